//! From a [`Command`] to a line: what a client sends, and the law that we read what we write.

use std::fmt::Write;

use super::Command;
use crate::datetime;
use crate::envelope::{Body, Hold, MailParams, Notify, RcptParams, Ret};
use crate::xtext;

impl Command {
    /// Appends the line with its CRLF. Whether the peer offers what the parameters need is the caller's business.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Auth { mechanism, initial } => {
                out.extend_from_slice(b"AUTH ");
                out.extend_from_slice(mechanism.as_bytes());
                if let Some(initial) = initial {
                    out.push(b' ');
                    out.extend_from_slice(initial.expose());
                }
            }
            _ => out.extend_from_slice(self.text().as_bytes()),
        }
        out.extend_from_slice(b"\r\n");
    }

    /// The line without its CRLF. AUTH has no text: its initial response must not reach one.
    fn text(&self) -> String {
        match self {
            Self::Ehlo(host) => format!("EHLO {host}"),
            Self::Helo(host) => format!("HELO {host}"),
            Self::Lhlo(host) => format!("LHLO {host}"),
            Self::Mail { from, params } => {
                let mut line = format!("MAIL FROM:<{from}>");
                mail_params(params, &mut line);
                line
            }
            Self::Rcpt { to, params } => {
                let mut line = format!("RCPT TO:<{to}>");
                rcpt_params(params, &mut line);
                line
            }
            Self::Bdat { size, last } => format!("BDAT {size}{}", if *last { " LAST" } else { "" }),
            Self::Vrfy(user) => format!("VRFY {user}{}", smtputf8(user)),
            Self::Expn(list) => format!("EXPN {list}{}", smtputf8(list)),
            Self::Data => "DATA".into(),
            Self::Rset => "RSET".into(),
            Self::Noop => "NOOP".into(),
            Self::Quit => "QUIT".into(),
            Self::Help => "HELP".into(),
            Self::StartTls => "STARTTLS".into(),
            Self::Auth { mechanism, .. } => format!("AUTH {mechanism}"),
        }
    }
}

fn smtputf8(argument: &str) -> &'static str {
    if argument.is_ascii() { "" } else { " SMTPUTF8" }
}

/// Writing to a String cannot fail, so results are dropped.
fn mail_params(params: &MailParams, line: &mut String) {
    if let Some(size) = params.size {
        let _ = write!(line, " SIZE={size}");
    }
    if let Some(body) = params.body {
        line.push_str(match body {
            Body::SevenBit => " BODY=7BIT",
            Body::EightBitMime => " BODY=8BITMIME",
            Body::BinaryMime => " BODY=BINARYMIME",
        });
    }
    if params.smtputf8 {
        line.push_str(" SMTPUTF8");
    }
    if let Some(ret) = params.ret {
        line.push_str(if ret == Ret::Full { " RET=FULL" } else { " RET=HDRS" });
    }
    if let Some(envid) = &params.envid {
        let _ = write!(line, " ENVID={}", xtext::encode(envid));
    }
    match &params.auth {
        Some(Some(mailbox)) => drop(write!(line, " AUTH={}", xtext::encode(&mailbox.to_string()))),
        Some(None) => line.push_str(" AUTH=<>"),
        None => {}
    }
    if params.requiretls {
        line.push_str(" REQUIRETLS");
    }
    if let Some(by) = params.by {
        let _ = write!(line, " BY={by}");
    }
    match params.hold {
        Some(Hold::For(seconds)) => drop(write!(line, " HOLDFOR={seconds}")),
        Some(Hold::Until(time)) => drop(write!(line, " HOLDUNTIL={}", datetime::write(time))),
        None => {}
    }
    if let Some(priority) = params.mt_priority {
        let _ = write!(line, " MT-PRIORITY={priority}");
    }
}

fn rcpt_params(params: &RcptParams, line: &mut String) {
    if let Some(notify) = &params.notify {
        let _ = write!(line, " NOTIFY={}", notify_words(notify));
    }
    if let Some(orcpt) = &params.orcpt {
        // ASCII only, so that it needs nothing of the transaction (RFC 6533 §3, utf-8-addr-xtext).
        let address = match orcpt.address_type.as_str() {
            "utf-8" => xtext::encode_utf8(&orcpt.address, false),
            _ => xtext::encode(&orcpt.address),
        };
        let _ = write!(line, " ORCPT={};{address}", orcpt.address_type);
    }
}

fn notify_words(notify: &Notify) -> String {
    let words =
        [(notify.never, "NEVER"), (notify.success, "SUCCESS"), (notify.failure, "FAILURE"), (notify.delay, "DELAY")];
    words.into_iter().filter(|(set, _)| *set).map(|(_, word)| word).collect::<Vec<_>>().join(",")
}
