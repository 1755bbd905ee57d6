//! What the session says of its own accord. Each refusal names what to do.

use crate::reply::Reply;

pub(super) const OK: Reply = Reply::new(250, (2, 0, 0), "OK");
pub(super) const SENDER_OK: Reply = Reply::new(250, (2, 1, 0), "Sender OK");
pub(super) const HELD_BEYOND_BY: Reply =
    Reply::new(501, (5, 5, 4), "The message would be held for longer than BY allows; hold it for less or allow more");
pub(super) const RECIPIENT_OK: Reply = Reply::new(250, (2, 1, 5), "Recipient OK");
pub(super) const SEND_DATA: Reply = Reply::plain(354, "Send the message; end it with a line that holds only a dot");
pub(super) const KEPT: Reply = Reply::new(250, (2, 0, 0), "Message kept");
pub(super) const BYE: Reply = Reply::new(221, (2, 0, 0), "Goodbye");
pub(super) const HELP: Reply = Reply::new(
    214,
    (2, 0, 0),
    "Commands: EHLO HELO LHLO STARTTLS AUTH MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT (RFC 5321)",
);
pub(super) const CANNOT_VERIFY: Reply =
    Reply::new(252, (2, 0, 0), "Cannot verify the user here; send the message and its delivery will be tried");
pub(super) const NO_EXPN: Reply = Reply::new(502, (5, 5, 1), "EXPN is not provided here");

// The order of commands.
pub(super) const SAY_HELLO: Reply = Reply::new(503, (5, 5, 1), "Greet first: EHLO your.host.name");
pub(super) const SESSION_REFUSED: Reply = Reply::new(503, (5, 5, 1), "This session was refused; say QUIT");
pub(super) const USE_LHLO: Reply = Reply::new(500, (5, 5, 1), "This port speaks LMTP; greet with LHLO");
pub(super) const USE_EHLO: Reply = Reply::new(500, (5, 5, 1), "This port speaks SMTP; greet with EHLO");
pub(super) const NESTED_MAIL: Reply = Reply::new(503, (5, 5, 1), "A message is already begun; end it or say RSET");
pub(super) const NEED_MAIL: Reply = Reply::new(503, (5, 5, 1), "Say MAIL FROM first");
pub(super) const NEED_RCPT: Reply = Reply::new(554, (5, 5, 1), "No valid recipients; say RCPT TO first");
/// RFC 2033 §4.2: "the server MUST return a 503 reply code".
pub(super) const NEED_RCPT_LMTP: Reply = Reply::new(503, (5, 5, 1), "No valid recipients; say RCPT TO first");
pub(super) const IN_CHUNKS: Reply =
    Reply::new(503, (5, 5, 1), "A message is coming in by BDAT; end it with BDAT … LAST or say RSET");
pub(super) const CHUNKS_FAILED: Reply = Reply::new(503, (5, 5, 1), "An earlier BDAT failed; say RSET and begin anew");
pub(super) const BINARY_NEEDS_BDAT: Reply = Reply::new(503, (5, 5, 1), "BODY=BINARYMIME needs BDAT instead of DATA");
pub(super) const NO_CHUNKING: Reply = Reply::new(502, (5, 5, 1), "BDAT is not offered here; use DATA");

// TLS and AUTH.
pub(super) const READY_FOR_TLS: Reply = Reply::new(220, (2, 0, 0), "Ready to start TLS");
pub(super) const TLS_FIRST: Reply =
    Reply::new(530, (5, 7, 0), "Must issue STARTTLS first: this port sends mail only over TLS");
pub(super) const TLS_ALREADY: Reply = Reply::new(503, (5, 5, 1), "TLS is already active");
pub(super) const NO_STARTTLS: Reply = Reply::new(502, (5, 5, 1), "STARTTLS is not offered here");
pub(super) const BEHIND_STARTTLS: Reply =
    Reply::new(554, (5, 5, 1), "Nothing may follow STARTTLS before TLS has begun; closing the connection");
pub(super) const AUTH_FIRST: Reply = Reply::new(530, (5, 7, 0), "Authentication required: log in with AUTH");
pub(super) const AUTH_NEEDS_TLS: Reply =
    Reply::new(538, (5, 7, 11), "Authentication needs encryption: issue STARTTLS first");
pub(super) const NO_AUTH: Reply = Reply::new(503, (5, 5, 1), "AUTH is not offered here");
pub(super) const AUTH_TWICE: Reply = Reply::new(503, (5, 5, 1), "Already authenticated");
pub(super) const AUTH_IN_MAIL: Reply = Reply::new(503, (5, 5, 1), "AUTH is not possible within a message; say RSET");
pub(super) const UNKNOWN_MECHANISM: Reply =
    Reply::new(504, (5, 5, 4), "This authentication mechanism is not offered; see the reply to EHLO");
pub(super) const AUTH_OK: Reply = Reply::new(235, (2, 7, 0), "Authentication succeeded");
pub(super) const AUTH_CANCELLED: Reply = Reply::new(501, (5, 7, 0), "Authentication cancelled");
pub(super) const AUTH_LINE: Reply = Reply::new(500, (5, 5, 6), "Authentication line too long");
pub(super) const AUTH_TROUBLE: Reply =
    Reply::new(454, (4, 7, 0), "Authentication is not possible now; try again later");
pub(super) const NOT_EMPTY: Reply = Reply::new(501, (5, 5, 2), "The last response must be empty");

// Lines.
pub(super) const BARE_NEWLINE: Reply =
    Reply::new(500, (5, 5, 2), "A command ends with CR LF; this one has a CR or LF alone and is not run");
pub(super) const LINE_TOO_LONG: Reply = Reply::new(500, (5, 5, 2), "Command line too long");
pub(super) const NOT_SMTP: Reply = Reply::new(421, (4, 7, 0), "This port speaks SMTP; closing the connection");

// Letters.
pub(super) const TOO_BIG: Reply = Reply::new(552, (5, 3, 4), "Message too big; see SIZE in the reply to EHLO");
pub(super) const BARE_NEWLINE_IN_MESSAGE: Reply =
    Reply::new(550, (5, 6, 11), "The message has a CR or LF alone; every line must end with CR LF");
pub(super) const NUL_IN_MESSAGE: Reply =
    Reply::new(550, (5, 6, 0), "The message has a NUL octet; encode binary content, as base64 does");
pub(super) const HEADER_TOO_BIG: Reply = Reply::new(552, (5, 3, 4), "The header of the message is too big");
pub(super) const FIELD_TOO_BIG: Reply =
    Reply::new(552, (5, 3, 4), "A field in the header of the message is too big; spread its content over several");
pub(super) const TOO_MANY_FIELDS: Reply = Reply::new(554, (5, 6, 0), "The header of the message has too many fields");
pub(super) const TOO_MANY_HOPS: Reply =
    Reply::new(554, (5, 4, 6), "Too many hops: the message has gone in a circle, see its Received fields");

// Limits and endings.
pub(super) const TOO_MANY_RECIPIENTS: Reply =
    Reply::new(452, (4, 5, 3), "Too many recipients; send the message to these and then again to the others");
pub(super) const TOO_MANY_MESSAGES: Reply =
    Reply::new(452, (4, 5, 3), "Too many messages in one session; open a new connection");
pub(super) const TOO_MANY_ERRORS: Reply = Reply::new(421, (4, 7, 0), "Too many errors; closing the connection");
pub(super) const TOO_MUCH_JUNK: Reply =
    Reply::new(421, (4, 7, 0), "Too many commands without a message; closing the connection");
pub(super) const TOO_MANY_AUTH_FAILURES: Reply =
    Reply::new(421, (4, 7, 0), "Too many failed authentications; closing the connection");
pub(super) const TOO_MUCH_DISCARDED: Reply =
    Reply::new(421, (4, 7, 0), "Too much data behind an error; closing the connection");
pub(super) const TOO_MUCH_AHEAD: Reply =
    Reply::new(421, (4, 7, 0), "Too much was sent without waiting for replies; closing the connection");
pub(super) const IDLE: Reply = Reply::new(421, (4, 4, 2), "No command came in time; closing the connection");
pub(super) const TOO_SLOW: Reply = Reply::new(421, (4, 4, 2), "The message came in too slowly; closing the connection");
pub(super) const LOCAL_TROUBLE: Reply = Reply::new(451, (4, 3, 0), "Local trouble; try again later");

/// RFC 6710 §3: X.3.6, and the new priority in front of the words.
pub(super) fn priority(priority: i8) -> Reply {
    Reply::new(250, (2, 3, 6), "").with_text(format!("{priority} is the new priority of the message; sender OK"))
}
