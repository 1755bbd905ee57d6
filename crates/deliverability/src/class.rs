//! What a refusal is about, whom it concerns, and what is to be done: three questions, three answers.
//!
//! Asked in this order: the provider's own rules, the enhanced code (with a phrase where the code alone says too little),
//! the basic code with a phrase; the first rule that fits answers. What fits none is [`Kind::Uncategorized`].
//!
//! # Invariants
//! - Only a permanent refusal that is about an address or a mailbox ever says [`Action::Suppress`]: a bad reputation of
//!   ours must not empty an address list.
//! - 5.7.1 alone is [`Kind::Policy`]: relaying, lists, authentication and content are told apart by the words.

mod table;
#[cfg(test)]
mod tests;

use serde::Serialize;
use smtp::Reply;
use table::{CODES, PROVIDERS, Rule};

use crate::{LOOKED_AT, front};

/// What a refusal is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// No refusal at all.
    Accepted,
    InvalidRecipient,
    InactiveMailbox,
    QuotaExceeded,
    /// The recipient's domain takes no mail, or is not there.
    BadDomain,
    InvalidSender,
    RelayDenied,
    /// The server wants a login.
    LoginNeeded,
    /// SPF, DKIM or DMARC.
    AuthenticationFailed,
    /// The address that letters come from has no name, or its HELO is wrong.
    BadConfiguration,
    TlsNeeded,
    /// The sending address or domain is listed, or has a bad reputation.
    Reputation,
    SpamContent,
    Virus,
    /// The letter breaks the rules for letters.
    BadLetter,
    LetterTooLarge,
    Policy,
    Greylisted,
    RateLimited,
    TooManyConnections,
    TooManyRecipients,
    ServerTrouble,
    Routing,
    Expired,
    Protocol,
    Uncategorized,
}

impl Kind {
    /// For somebody who looks at the queue and has not read the RFCs.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Accepted => "they took it",
            Self::InvalidRecipient => "there is no such address",
            Self::InactiveMailbox => "the mailbox is not in use",
            Self::QuotaExceeded => "the mailbox is full",
            Self::BadDomain => "the domain takes no mail",
            Self::InvalidSender => "they do not take the sender's address",
            Self::RelayDenied => "that server does not take mail for this domain",
            Self::LoginNeeded => "that server wants a login",
            Self::AuthenticationFailed => "SPF, DKIM or DMARC does not pass",
            Self::BadConfiguration => "our address has no name, or the wrong one",
            Self::TlsNeeded => "that server wants TLS",
            Self::Reputation => "our address or domain has a bad reputation there",
            Self::SpamContent => "they take it for spam",
            Self::Virus => "they take it for a virus",
            Self::BadLetter => "the letter breaks the rules for letters",
            Self::LetterTooLarge => "the letter is too large for them",
            Self::Policy => "a policy of theirs forbids it",
            Self::Greylisted => "greylisting: they take it when it comes again later",
            Self::RateLimited => "too much from us in too short a time",
            Self::TooManyConnections => "too many connections from us at once",
            Self::TooManyRecipients => "too many recipients at once",
            Self::ServerTrouble => "that server has trouble of its own",
            Self::Routing => "they cannot reach where it is to go",
            Self::Expired => "it waited for too long",
            Self::Protocol => "the two servers misunderstood each other",
            Self::Uncategorized => "they did not say why",
        }
    }
}

/// Whom or what a refusal concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// This recipient's address.
    Address,
    /// The mailbox behind it.
    Mailbox,
    /// This letter.
    Message,
    /// The domain of the sender.
    SenderDomain,
    /// The address of ours that connected.
    SenderIp,
    /// The server or domain that was to take the letter.
    Destination,
    /// Our own settings.
    Us,
}

/// What is to be done beside telling the sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Nothing: the letter was taken, or its sender is told.
    None,
    /// No further letters to this address.
    Suppress,
    /// Try again by the schedule.
    Retry,
    /// Fewer letters at a time to this site.
    Slow,
    /// No letters to this site for a while.
    Pause,
    /// The DNS of ours needs a hand: SPF, DKIM, DMARC, PTR.
    FixDns,
    /// An operator should look.
    Alert,
}

/// The three answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Class {
    pub kind: Kind,
    pub scope: Scope,
    pub action: Action,
}

/// Classifies a reply. `provider`: the site of the provider that said it ([`crate::Shaping::provider_of`]).
pub fn classify(reply: &Reply, provider: Option<&str>) -> Class {
    if !(reply.is_transient() || reply.is_permanent()) {
        return Class { kind: Kind::Accepted, scope: Scope::Destination, action: Action::None };
    }
    let text = front(reply.text(), LOOKED_AT).to_lowercase().replace('\n', " ");
    let own = PROVIDERS.iter().filter(|(site, _)| provider.is_some_and(|provider| provider.eq_ignore_ascii_case(site)));
    let own = own.flat_map(|(_, rules)| rules.iter());
    let found = own.chain(CODES).find(|rule| rule.fits(reply, &text));
    let class = found.map_or_else(|| unknown(reply), |rule| rule.class);
    class.in_time(reply)
}

impl Rule {
    fn fits(&self, reply: &Reply, text: &str) -> bool {
        let code = reply.code.as_u16();
        let basic = self.codes.is_empty()
            || self.codes.iter().any(|own| *own == code || u16::from(*own < 10) * *own == code / 100);
        let enhanced = self.enhanced.is_empty()
            || reply.enhanced.is_some_and(|own| self.enhanced.contains(&(own.subject, own.detail)));
        let phrase = self.phrases.is_empty() || self.phrases.iter().any(|phrase| text.contains(phrase));
        basic && enhanced && phrase
    }
}

fn unknown(reply: &Reply) -> Class {
    let action = if reply.is_transient() { Action::Retry } else { Action::None };
    Class { kind: Kind::Uncategorized, scope: Scope::Destination, action }
}

impl Class {
    /// A refusal for now never ends an address's life, and what is only to be told may still come right.
    fn in_time(mut self, reply: &Reply) -> Self {
        if reply.is_transient() && matches!(self.action, Action::Suppress | Action::None) {
            self.action = Action::Retry;
        }
        // A letter that was refused for good is not tried again. RFC 5321 §4.5.3.1.10: too many recipients at once is never
        // for good, even where an old server says 552.
        if reply.is_permanent() && self.action == Action::Retry && self.kind != Kind::TooManyRecipients {
            self.action = Action::None;
        }
        self
    }

    /// In plain words, for people: what happened and what to do.
    pub const fn explain(self) -> &'static str {
        match self.kind {
            Kind::InvalidRecipient | Kind::InactiveMailbox if matches!(self.action, Action::Retry) => {
                "The server does not take letters for this address now. The letter is tried again by itself; check how the address is written."
            }
            Kind::Accepted => "The server took it. Nothing is to be done.",
            Kind::InvalidRecipient => {
                "There is no such address at that server. Check how it is written, and take it off your lists."
            }
            Kind::InactiveMailbox => {
                "The mailbox exists no longer or is closed. Reach the person another way, and take the address off your lists."
            }
            Kind::QuotaExceeded => {
                "The recipient's mailbox is full. Only its owner can make room; try again in some days."
            }
            Kind::BadDomain => "The recipient's domain does not take mail. Check how it is written.",
            Kind::InvalidSender => {
                "The server does not accept the sender's address. Check that it exists and that its domain has an MX or address record."
            }
            Kind::RelayDenied => {
                "The server does not take mail for this domain from us. The domain's MX records may point to a wrong server, or the route here is wrong."
            }
            Kind::LoginNeeded => {
                "The server wants a login before it takes the letter. Give the route a user name and a password, or check them."
            }
            Kind::AuthenticationFailed => {
                "The server could not verify that the letter is from its sender's domain. Check SPF, DKIM and DMARC of that domain."
            }
            Kind::BadConfiguration => {
                "The server does not like how we present ourselves. The sending address needs a name in the DNS (PTR) that leads back to it, and HELO must say that name."
            }
            Kind::TlsNeeded => {
                "The server takes letters only over an encrypted connection. Do not switch TLS off for it."
            }
            Kind::Reputation => {
                "The server does not trust the address or domain that the letter came from. See whether it is on a block list, stop what causes complaints, then ask the provider to look again."
            }
            Kind::SpamContent => {
                "The server takes the letter for unwanted. Look at its text, links and attachments, and whether the recipient asked for it."
            }
            Kind::Virus => "The server found something dangerous in the letter. Check the computer that it came from.",
            Kind::BadLetter => {
                "The letter breaks the rules for letters. Mend the program that wrote it: one From, one Date, one Message-ID, lines that are not too long."
            }
            Kind::LetterTooLarge => {
                "The letter is larger than the server takes. Send a link in place of the attachment."
            }
            Kind::Policy => {
                "The server refuses the letter by a rule of its own. Its words say which; ask its postmaster."
            }
            Kind::Greylisted => {
                "The server asks every stranger to come a second time. The letter is tried again by itself."
            }
            Kind::RateLimited => {
                "The server wants fewer letters in this time. Letters to it are slowed down by themselves."
            }
            Kind::TooManyConnections => {
                "The server wants fewer connections at the same time. They are reduced by themselves."
            }
            Kind::TooManyRecipients => {
                "The letter has more recipients than the server takes at once. The rest is tried again by itself."
            }
            Kind::ServerTrouble => {
                "The server has trouble of its own. The letter is tried again by itself while there is time."
            }
            Kind::Routing => {
                "The letter does not find its way: servers pass it in a circle or cannot reach each other. The domain's MX records or forwardings are wrong."
            }
            Kind::Expired => "The letter was under way for too long, and was given up.",
            Kind::Protocol => "The two servers did not understand each other. An operator should look at the dialog.",
            Kind::Uncategorized => "The server refused the letter. Its own words say more.",
        }
    }
}
