//! What a command line that is not understood gets. Each text names what to do.

use crate::address::AddressError;
use crate::reply::Reply;

pub(crate) const CONTROL: Reply =
    Reply::new(500, (5, 5, 2), "Control characters are not allowed in a command; end each line with CR LF");
pub(crate) const NOT_UTF8: Reply = Reply::new(501, (5, 5, 2), "Characters beyond ASCII must be UTF-8");
pub(crate) const UNKNOWN: Reply = Reply::new(500, (5, 5, 1), "Command not recognized; HELP lists what is");
pub(crate) const NO_ARGUMENT: Reply = Reply::new(501, (5, 5, 4), "This command takes no argument");
pub(crate) const HELO_SYNTAX: Reply =
    Reply::new(501, (5, 5, 4), "Name yourself with a host name or an address literal, as in: EHLO mail.example.com");
pub(crate) const MAIL_SYNTAX: Reply = Reply::new(501, (5, 5, 4), "Syntax: MAIL FROM:<user@example.com>");
pub(crate) const RCPT_SYNTAX: Reply = Reply::new(501, (5, 5, 4), "Syntax: RCPT TO:<user@example.com>");
pub(crate) const EMPTY_RECIPIENT: Reply = Reply::new(501, (5, 1, 3), "A recipient cannot be empty");
pub(crate) const NEEDS_SMTPUTF8: Reply =
    Reply::new(553, (5, 6, 7), "An address beyond ASCII needs UTF-8 and the SMTPUTF8 parameter in MAIL FROM");
pub(crate) const BDAT_SYNTAX: Reply =
    Reply::new(501, (5, 5, 4), "Syntax: BDAT size [LAST]; the chunk's end is unknown, closing the connection");
pub(crate) const AUTH_SYNTAX: Reply = Reply::new(501, (5, 5, 4), "Syntax: AUTH mechanism [initial-response]");
pub(crate) const VRFY_SYNTAX: Reply = Reply::new(501, (5, 5, 4), "Name a user or a mailbox");

/// A sender or recipient address that cannot be read; `mail` says which of the two.
pub(crate) fn address(error: AddressError, mail: bool) -> Reply {
    if error == AddressError::NeedsSmtpUtf8 {
        return NEEDS_SMTPUTF8;
    }
    let (reply, whose) =
        if mail { (Reply::new(501, (5, 1, 7), ""), "sender") } else { (Reply::new(501, (5, 1, 3), ""), "recipient") };
    reply.with_text(format!("This {whose} address is not valid: {error}"))
}

/// RFC 5321 §4.1.1.11: "If the server SMTP does not recognize or cannot implement one or more of the parameters … it
/// will return code 555."
pub(crate) fn not_offered(keyword: &str) -> Reply {
    Reply::new(555, (5, 5, 4), "")
        .with_text(format!("The parameter {} is not offered here; see the reply to EHLO", brief(keyword)))
}

pub(crate) fn bad_value(keyword: &'static str) -> Reply {
    Reply::new(501, (5, 5, 4), "").with_text(format!("The value of {keyword} is not valid"))
}

pub(crate) fn twice(keyword: &'static str) -> Reply {
    Reply::new(501, (5, 5, 4), "").with_text(format!("The parameter {keyword} is given twice"))
}

/// RFC 2852 §2: a 55z reply.
pub(crate) fn by_too_soon(least: u32) -> Reply {
    Reply::new(555, (5, 5, 4), "")
        .with_text(format!("BY with R needs at least {least} seconds here; see the reply to EHLO"))
}

pub(crate) fn hold_too_far(longest: u64) -> Reply {
    Reply::new(501, (5, 5, 4), "")
        .with_text(format!("A message is held for at most {longest} seconds here; see the reply to EHLO"))
}

/// A peer's own word is given back only as far as it is short and plain.
fn brief(word: &str) -> String {
    word.chars().filter(|c| c.is_ascii_graphic()).take(24).collect()
}
