//! What the writer of a letter can do about its failure, where the words of the one who refused say more than the code.
//!
//! [`deliverability::classify`] knows what they mean, and says it to those who run servers. These sentences are for those who
//! write letters: they can look at an address, a text, an attachment, and ask somebody.

use deliverability::{Kind, classify};

use super::{Ended, How};

/// `None`: the status says enough.
pub(super) fn about(ended: &Ended) -> Option<&'static str> {
    let by_peer = super::remote(&ended.last.by).is_some();
    let code = ended.last.reply.enhanced.map(|code| (code.subject, code.detail));
    match ended.how {
        How::Failed if by_peer => refused(classify(&ended.last.reply, None).kind),
        How::Expired if by_peer => waited(classify(&ended.last.reply, None).kind),
        How::Failed if code == Some((0, 0)) => Some("Your administrator can say more."),
        How::Expired => waited_for_us(code?),
        _ => None,
    }
}

fn refused(kind: Kind) -> Option<&'static str> {
    Some(match kind {
        Kind::InvalidRecipient => {
            "There is no such address. Look for a typing error, or ask the recipient by other means for the right address."
        }
        Kind::InactiveMailbox => {
            "The mailbox is closed. Ask the recipient by other means for another address, and remove this one from your \
             address book."
        }
        Kind::QuotaExceeded => FULL,
        Kind::BadDomain => {
            "Behind the @ of the address is no domain that takes mail. Look for a typing error there, or ask the recipient \
             by other means."
        }
        Kind::InvalidSender => {
            "Your own address was not accepted. Check the sender's address in your mail program, or tell your \
             administrator."
        }
        Kind::RelayDenied => {
            "The server that should take mail for this address says that it does not. Look for a typing error behind the @; \
             if there is none, tell the recipient by other means that the mail of that domain is not set up well."
        }
        Kind::LoginNeeded => {
            "Nothing is wrong with your letter: the next server wants a login from this one. Tell your administrator."
        }
        Kind::AuthenticationFailed => {
            "The other server could not verify that the letter is from you. Tell your administrator: SPF, DKIM or DMARC of \
             your domain needs attention. If you wrote under an address of another provider, send it through that provider."
        }
        Kind::BadConfiguration | Kind::Reputation => {
            "The other server does not trust the server that your letter came from. Nothing is wrong with the address: \
             show this to your administrator, and reach the recipient by other means until it is mended."
        }
        Kind::TlsNeeded => ENCRYPTION,
        Kind::SpamContent => {
            "The other server took your letter for unwanted mail. Write it with fewer links and without attachments, and \
             with a subject that the recipient knows, or ask the recipient by other means to allow your address."
        }
        Kind::Virus => {
            "The other server found something dangerous in the letter. Do not send it again; have your computer and the \
             attachments checked."
        }
        Kind::BadLetter => {
            "The form of the letter was not accepted, and not what it says. Send it from another mail program, or show \
             this to your administrator."
        }
        Kind::LetterTooLarge => {
            "The letter is too large for the other side. Send it with smaller attachments, or put a link into it."
        }
        Kind::TooManyRecipients | Kind::RateLimited => {
            "The other server takes no more letters like this one for now. Send it again tomorrow, to fewer recipients."
        }
        Kind::Routing => {
            "The letter went round in a circle between servers. Tell your administrator, and the recipient by other means."
        }
        _ => return None,
    })
}

/// For all the time that it was tried.
fn waited(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::QuotaExceeded => Some(FULL),
        Kind::TlsNeeded => Some(ENCRYPTION),
        Kind::AuthenticationFailed | Kind::BadConfiguration | Kind::Reputation | Kind::LoginNeeded => refused(kind),
        _ => None,
    }
}

/// Our own words, by their code (RFC 3463 §3).
fn waited_for_us(code: (u16, u16)) -> Option<&'static str> {
    match code {
        (7, _) => Some(ENCRYPTION),
        (4, 3 | 4) => Some(
            "It could not be found out which server takes mail for this address. Look for a typing error behind the @; if \
             there is none, tell the recipient by other means.",
        ),
        (3, 1) => Some("There was no room for it on this server. Tell your administrator, and send it again later."),
        (2, 2) => Some(FULL),
        (3, _) => Some("It was this server that could not do it. Tell your administrator."),
        _ => None,
    }
}

const FULL: &str = "The mailbox is full. Send the letter again later, or tell the recipient by other means.";
const ENCRYPTION: &str = "The letter was to go encrypted, and that did not come about between the two servers. Nothing is \
                          wrong with the address: show this to your administrator.";
