use smtp::{Reply, ReplyCode};

use super::*;

fn reply(line: &str) -> Reply {
    let (code, text) = line.split_once(' ').unwrap();
    let code = ReplyCode::from_wire(code.parse().unwrap()).unwrap();
    match smtp::EnhancedCode::parse_prefix(text) {
        Some((enhanced, rest)) => Reply::from_peer(code, Some(enhanced), rest),
        None => Reply::from_peer(code, None, text),
    }
}

use Action as A;
use Kind as K;
use Scope as S;

const GOOGLE: &str = "google.com";
const YAHOO: &str = "yahoodns.net";
const OUTLOOK: &str = "olc.protection.outlook.com";

#[rustfmt::skip]
const TEXTS: &[(&str, &str, Kind, Scope, Action)] = &[
    // Gmail
    (GOOGLE, "421 4.7.28 Gmail has detected an unusual rate of unsolicited mail originating from your IP address.", K::RateLimited, S::SenderIp, A::Slow),
    (GOOGLE, "421 4.7.28 Gmail has detected an unusual rate of mail originating from your DKIM domain [example.com].", K::RateLimited, S::SenderDomain, A::Slow),
    (GOOGLE, "550 5.7.26 This mail has been blocked because the sender is unauthenticated.", K::AuthenticationFailed, S::SenderDomain, A::FixDns),
    (GOOGLE, "421 4.7.26 Your email has been rate limited because it is unauthenticated.", K::AuthenticationFailed, S::SenderDomain, A::FixDns),
    (GOOGLE, "550 5.7.25 The IP address sending this message does not have a PTR record setup.", K::BadConfiguration, S::SenderIp, A::FixDns),
    (GOOGLE, "421 4.7.29 Your email has been rate limited because this message wasn't sent over a TLS connection.", K::TlsNeeded, S::Us, A::Alert),
    (GOOGLE, "550 5.7.30 This mail has been blocked because DKIM does not pass.", K::AuthenticationFailed, S::SenderDomain, A::FixDns),
    (GOOGLE, "550 5.7.40 The sending domain does not have a DMARC record.", K::AuthenticationFailed, S::SenderDomain, A::FixDns),
    (GOOGLE, "550 5.7.1 Our system has detected that this message is likely suspicious due to the very low reputation of the sending IP address.", K::Reputation, S::SenderIp, A::Pause),
    (GOOGLE, "550 5.7.1 Our system has detected that this message is likely suspicious due to the very low reputation of the sending domain.", K::Reputation, S::SenderDomain, A::Pause),
    (GOOGLE, "450 4.2.1 The user you are trying to contact is receiving mail too quickly.", K::RateLimited, S::Mailbox, A::Retry),
    (GOOGLE, "452 4.2.2 The recipient's inbox is out of storage space.", K::QuotaExceeded, S::Mailbox, A::Retry),
    (GOOGLE, "552 5.2.2 The recipient's inbox is out of storage space and inactive. OverQuotaPerm", K::InactiveMailbox, S::Mailbox, A::Suppress),
    (GOOGLE, "552 5.3.4 Your message exceeded Google's message size limits.", K::LetterTooLarge, S::Message, A::None),
    (GOOGLE, "550 5.1.1 The email account that you tried to reach does not exist. NoSuchUser", K::InvalidRecipient, S::Address, A::Suppress),
    (GOOGLE, "550 5.7.1 This message is not RFC 5322 compliant. 'From' header is missing.", K::BadLetter, S::Message, A::None),
    (GOOGLE, "501 5.5.4 HELO/EHLO argument is invalid", K::BadConfiguration, S::Us, A::Alert),
    // Yahoo
    (YAHOO, "421 4.7.0 [TS01] Messages from 192.0.2.1 temporarily deferred due to user complaints", K::RateLimited, S::SenderIp, A::Slow),
    (YAHOO, "421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume or user complaints", K::Reputation, S::SenderIp, A::Pause),
    (YAHOO, "553 5.7.2 [TSS09] All messages from 192.0.2.1 will be permanently deferred; Retrying will NOT succeed.", K::Reputation, S::SenderIp, A::Pause),
    (YAHOO, "553 5.7.1 [BL21] Connections will not be accepted from 192.0.2.1, because the ip is in Spamhaus's list", K::Reputation, S::SenderIp, A::Pause),
    (YAHOO, "550 5.7.9 This mail has been blocked because the sender is unauthenticated.", K::AuthenticationFailed, S::SenderDomain, A::FixDns),
    (YAHOO, "554 5.7.9 Message not accepted for policy reasons. See https://senders.yahooinc.com/error-codes [PH01]", K::SpamContent, S::Message, A::Alert),
    (YAHOO, "552 1 Requested mail action aborted, mailbox not found", K::InactiveMailbox, S::Mailbox, A::Suppress),
    (YAHOO, "554 delivery error: dd This mailbox is disabled (554.30).", K::InactiveMailbox, S::Mailbox, A::Suppress),
    // Microsoft
    (OUTLOOK, "550 5.7.515 Access denied, sending domain example.com doesn't meet the required authentication level.", K::AuthenticationFailed, S::SenderDomain, A::FixDns),
    (OUTLOOK, "550 5.7.1 Unfortunately, messages from [192.0.2.1] weren't sent. Please contact your Internet service provider since part of their network is on our block list (S3150).", K::Reputation, S::SenderIp, A::Pause),
    (OUTLOOK, "451 4.7.650 The mail server [192.0.2.1] has been temporarily rate limited due to IP reputation.", K::RateLimited, S::SenderIp, A::Slow),
    (OUTLOOK, "421 Connection refused from 192.0.2.1 due to exceed max concurrent connections. IB007", K::TooManyConnections, S::Destination, A::Slow),
    (OUTLOOK, "421 4.7.0 The mail server [192.0.2.1] has exceeded maximum number of messages per connection", K::RateLimited, S::Destination, A::Slow),
    (OUTLOOK, "550 5.7.30 Basic authentication is not supported for Client Submission.", K::LoginNeeded, S::Us, A::Alert),
    (OUTLOOK, "550 5.4.1 Recipient address rejected: Access denied. [AM1.outlook.com]", K::InvalidRecipient, S::Address, A::Suppress),
    // others
    ("mail.icloud.com", "421 [HCM1] Your mail from 192.0.2.1 was deferred.", K::Reputation, S::SenderIp, A::Slow),
    ("mail.icloud.com", "554 Your email was rejected due to having a domain present in the Spamhaus DBL", K::Reputation, S::SenderDomain, A::Pause),
    ("comcast.net", "421 4.1.0 192.0.2.1 Throttled - try again later. RL000010", K::RateLimited, S::SenderIp, A::Slow),
    ("gmx.net", "554 Transaction failed Reject due to policy restrictions.", K::Reputation, S::SenderIp, A::Pause),
    ("gmx.net", "450 Requested mail action not taken: mailbox unavailable Reject due to policy restrictions.", K::RateLimited, S::SenderIp, A::Slow),
    ("orange.fr", "421 Trop de connexions, veuillez verifier votre configuration. OFR_102", K::TooManyConnections, S::Destination, A::Slow),
    ("orange.fr", "421 Service refuse. Veuillez essayer plus tard. OFR_104", K::Reputation, S::SenderIp, A::Pause),
    ("qq.com", "550 Ip frequency limited. http://service.mail.qq.com", K::RateLimited, S::SenderIp, A::Slow),
    ("netease.com", "554 DT:SPM 163 mx1,abc", K::SpamContent, S::Message, A::Alert),
    // nobody in particular
    ("", "550 5.1.1 <a@example.com>: Recipient address rejected: User unknown in virtual mailbox table", K::InvalidRecipient, S::Address, A::Suppress),
    ("", "450 4.1.1 <a@example.com>: Recipient address rejected: User unknown", K::InvalidRecipient, S::Address, A::Retry),
    ("", "550 5.1.1 User a (a@example.com) not listed in Domino Directory", K::InvalidRecipient, S::Address, A::Suppress),
    ("", "550 Unrouteable address", K::InvalidRecipient, S::Address, A::Suppress),
    ("", "550 5.7.1 <a@example.com>: Relay access denied", K::RelayDenied, S::Destination, A::Alert),
    ("", "550 5.7.1 Unable to relay", K::RelayDenied, S::Destination, A::Alert),
    ("", "554 5.7.1 <a@example.com>: Relay access denied; blocked using our spam policy", K::RelayDenied, S::Destination, A::Alert),
    ("", "550 5.7.1 Relaying denied", K::RelayDenied, S::Destination, A::Alert),
    ("", "550 5.7.1 Message rejected by the postmaster's rule", K::Policy, S::Destination, A::Alert),
    ("", "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org", K::Reputation, S::SenderIp, A::Pause),
    ("", "550 5.7.1 SPF check failed for example.com", K::AuthenticationFailed, S::SenderDomain, A::FixDns),
    ("", "550 5.7.1 This message contains a virus", K::Virus, S::Message, A::Alert),
    ("", "550 5.7.1 Your message looks like spam", K::SpamContent, S::Message, A::Alert),
    ("", "554 5.7.1 URL is listed: SURBL", K::SpamContent, S::Message, A::Alert),
    ("", "530 5.7.0 Must issue a STARTTLS command first", K::TlsNeeded, S::Us, A::Alert),
    ("", "530 5.7.57 Client not authenticated to send mail", K::LoginNeeded, S::Us, A::Alert),
    ("", "450 4.2.0 <a@example.com>: Recipient address rejected: Greylisted for 300 seconds", K::Greylisted, S::Destination, A::Retry),
    ("", "451 4.7.1 Greylisting in action, please come back in 00:05:00", K::Greylisted, S::Destination, A::Retry),
    ("", "421 4.7.0 example.com Error: too many connections from 192.0.2.1", K::TooManyConnections, S::Destination, A::Slow),
    ("", "452 4.5.3 Too many recipients", K::TooManyRecipients, S::Message, A::Retry),
    ("", "552 too many recipients", K::TooManyRecipients, S::Message, A::Retry),
    ("", "552 5.3.4 Message size exceeds fixed limit", K::LetterTooLarge, S::Message, A::None),
    ("", "452 4.3.1 Insufficient system storage", K::ServerTrouble, S::Destination, A::Retry),
    ("", "550 5.7.25 Client host rejected: cannot find your reverse hostname, [192.0.2.1]", K::BadConfiguration, S::SenderIp, A::FixDns),
    ("", "550 5.1.10 RESOLVER.ADR.RecipientNotFound; the recipient's domain has a null MX", K::BadDomain, S::Address, A::Suppress),
    ("", "553 5.1.8 Sender address rejected: Domain not found", K::InvalidSender, S::SenderDomain, A::Alert),
    ("", "554 5.4.6 Too many hops", K::Routing, S::Destination, A::Alert),
    ("", "502 5.5.1 Command not implemented", K::Protocol, S::Us, A::Alert),
    ("", "451 Temporary local problem", K::ServerTrouble, S::Destination, A::Retry),
    ("", "550 no", K::Uncategorized, S::Destination, A::None),
    ("", "450 no", K::Uncategorized, S::Destination, A::Retry),
    ("", "250 2.0.0 Ok", K::Accepted, S::Destination, A::None),
];

#[test]
fn each_text_is_put_where_it_belongs() {
    let wrong: Vec<String> = TEXTS
        .iter()
        .filter_map(|(provider, line, kind, scope, action)| {
            let got = classify(&reply(line), (!provider.is_empty()).then_some(*provider));
            let expected = Class { kind: *kind, scope: *scope, action: *action };
            (got != expected).then(|| format!("{line}\n   got {got:?}\n   not {expected:?}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn only_refusals_for_good_of_an_address_suppress_it() {
    let rules = PROVIDERS.iter().flat_map(|(_, rules)| rules.iter()).chain(CODES);
    for rule in rules.filter(|rule| rule.class.action == Action::Suppress) {
        assert!(matches!(rule.class.scope, Scope::Address | Scope::Mailbox), "{:?}", rule.class);
    }
    assert_eq!(classify(&reply("450 4.2.1 mailbox disabled"), None).action, Action::Retry);
}

#[test]
fn phrases_are_written_in_lower_case() {
    let rules = PROVIDERS.iter().flat_map(|(_, rules)| rules.iter()).chain(CODES);
    for phrase in rules.flat_map(|rule| rule.phrases) {
        assert_eq!(*phrase, phrase.to_lowercase());
    }
}

#[test]
fn each_provider_of_the_table_is_a_site_that_is_shipped() {
    let shaping = crate::Shaping::shipped().unwrap();
    for (site, _) in PROVIDERS {
        assert!(shaping.is_provider(site), "{site}");
    }
}

#[test]
fn an_address_that_is_refused_for_now_is_not_called_wrong() {
    let now = classify(&reply("450 4.1.1 User unknown"), None).explain();
    let forever = classify(&reply("550 5.1.1 User unknown"), None).explain();
    assert!(now.contains("tried again") && !now.contains("lists"), "{now}");
    assert!(forever.contains("lists"), "{forever}");
}

#[test]
fn each_explanation_is_sentences_for_people() {
    for (_, line, ..) in TEXTS {
        let words = classify(&reply(line), None).explain();
        assert!(words.ends_with('.') && words.len() > 30, "{words}");
    }
}

proptest::proptest! {
    #[test]
    fn no_reply_panics(code in 200u16..600, enhanced in proptest::option::of((2u8..6, 0u16..1000, 0u16..1000)), text in "\\PC{0,200}") {
        let enhanced = enhanced.map(|(class, subject, detail)| smtp::EnhancedCode::new(class, subject, detail));
        let reply = Reply::from_peer(ReplyCode::from_wire(code).unwrap(), enhanced, &text);
        for provider in [None, Some(GOOGLE), Some(YAHOO), Some(OUTLOOK), Some("")] {
            let class = classify(&reply, provider);
            let transient = reply.is_transient();
            proptest::prop_assert!(!(transient && class.action == Action::Suppress));
        }
    }
}
