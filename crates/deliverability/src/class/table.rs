//! The table behind [`super::classify`]: data, first fit wins. Phrases are lower case and found anywhere in the text.

use super::{Action as A, Action, Class, Kind as K, Kind, Scope as S, Scope};

/// Empty lists fit everything. `codes`: whole codes, or a first digit.
pub(super) struct Rule {
    pub codes: &'static [u16],
    /// Subject and detail; the class is the code's first digit.
    pub enhanced: &'static [(u16, u16)],
    pub phrases: &'static [&'static str],
    pub class: Class,
}

const fn rule(
    codes: &'static [u16],
    enhanced: &'static [(u16, u16)],
    phrases: &'static [&'static str],
    kind: Kind,
    scope: Scope,
    action: Action,
) -> Rule {
    Rule { codes, enhanced, phrases, class: Class { kind, scope, action } }
}

/// By the provider's site.
pub(super) const PROVIDERS: &[(&str, &[Rule])] = &[
    ("google.com", GOOGLE),
    ("yahoodns.net", YAHOO),
    ("yahoo.co.jp", YAHOO),
    ("olc.protection.outlook.com", MICROSOFT),
    ("mail.protection.outlook.com", MICROSOFT),
    ("mail.icloud.com", ICLOUD),
    ("comcast.net", COMCAST),
    ("gmx.net", GMX),
    ("orange.fr", ORANGE),
    ("qq.com", CHINA),
    ("netease.com", CHINA),
];

/// https://support.google.com/a/answer/3726730, read in late 2026.
const GOOGLE: &[Rule] = &[
    rule(&[], &[(7, 23), (7, 25)], &[], K::BadConfiguration, S::SenderIp, A::FixDns),
    rule(
        &[],
        &[(7, 24), (7, 26), (7, 27), (7, 30), (7, 31), (7, 32), (7, 40)],
        &[],
        K::AuthenticationFailed,
        S::SenderDomain,
        A::FixDns,
    ),
    rule(&[], &[(7, 28)], &["dkim domain", "spf domain", "url domain"], K::RateLimited, S::SenderDomain, A::Slow),
    rule(&[], &[(7, 28)], &[], K::RateLimited, S::SenderIp, A::Slow),
    rule(&[], &[(7, 29)], &[], K::TlsNeeded, S::Us, A::Alert),
    rule(&[], &[], &["reputation of the sending domain"], K::Reputation, S::SenderDomain, A::Pause),
    rule(&[], &[], &["very low reputation"], K::Reputation, S::SenderIp, A::Pause),
    rule(&[4], &[(2, 1)], &[], K::RateLimited, S::Mailbox, A::Retry),
    rule(&[], &[], &["overquotaperm"], K::InactiveMailbox, S::Mailbox, A::Suppress),
    rule(&[], &[(5, 4)], &["helo", "ehlo"], K::BadConfiguration, S::Us, A::Alert),
];

/// https://senders.yahooinc.com/smtp-error-codes, read in late 2026.
const YAHOO: &[Rule] = &[
    rule(&[], &[], &["[tss09]", "[tss11]"], K::Reputation, S::SenderIp, A::Pause),
    rule(&[], &[], &["[bl"], K::Reputation, S::SenderIp, A::Pause),
    rule(&[], &[], &["[ts01]", "[ts02]", "[ts03]"], K::RateLimited, S::SenderIp, A::Slow),
    rule(
        &[],
        &[],
        &["[tss04]", "[tss05]", "[ts04]", "[ipts04]", "[ipts05]", "vs98-ip0"],
        K::Reputation,
        S::SenderIp,
        A::Pause,
    ),
    rule(&[], &[], &["[ph01]"], K::SpamContent, S::Message, A::Alert),
    rule(&[], &[(7, 9)], &[], K::AuthenticationFailed, S::SenderDomain, A::FixDns),
    rule(
        &[],
        &[],
        &["max message per connection", "max messages per connection"],
        K::RateLimited,
        S::Destination,
        A::Slow,
    ),
    rule(&[554], &[(30, 0)], &[], K::InactiveMailbox, S::Mailbox, A::Suppress),
    rule(
        &[552, 554],
        &[],
        &["mailbox not found", "mailbox is disabled", "(554.30)", "mailbox is unavailable"],
        K::InactiveMailbox,
        S::Mailbox,
        A::Suppress,
    ),
];

/// https://learn.microsoft.com/exchange/troubleshoot/email-delivery/ndr, read in late 2026.
const MICROSOFT: &[Rule] = &[
    rule(&[], &[(7, 515), (7, 509)], &[], K::AuthenticationFailed, S::SenderDomain, A::FixDns),
    rule(&[], &[(7, 511), (7, 606), (7, 607), (7, 608), (7, 609), (7, 610)], &[], K::Reputation, S::SenderIp, A::Pause),
    rule(&[], &[], &["(s3150)", "(s3140)", "on our block list"], K::Reputation, S::SenderIp, A::Pause),
    rule(
        &[],
        &[],
        &["ib007", "maximum number of connections", "max concurrent connections"],
        K::TooManyConnections,
        S::Destination,
        A::Slow,
    ),
    rule(&[], &[], &["messages per connection"], K::RateLimited, S::Destination, A::Slow),
    rule(&[4], &[], &["server busy", "temporarily rate limited"], K::RateLimited, S::SenderIp, A::Slow),
    rule(&[5], &[(7, 30)], &[], K::LoginNeeded, S::Us, A::Alert),
    rule(&[5], &[(4, 1)], &["recipient address rejected: access denied"], K::InvalidRecipient, S::Address, A::Suppress),
    rule(&[5], &[(7, 64)], &[], K::RelayDenied, S::Destination, A::Alert),
];

const ICLOUD: &[Rule] = &[
    rule(&[], &[], &["[hcm1]", "[bs02]"], K::Reputation, S::SenderIp, A::Slow),
    rule(&[], &[], &["spamhaus dbl"], K::Reputation, S::SenderDomain, A::Pause),
];

const COMCAST: &[Rule] = &[rule(&[], &[], &["rl00000", "rl000010"], K::RateLimited, S::SenderIp, A::Slow)];

const GMX: &[Rule] = &[
    rule(&[5], &[], &["reject due to policy"], K::Reputation, S::SenderIp, A::Pause),
    rule(&[4], &[], &["reject due to policy"], K::RateLimited, S::SenderIp, A::Slow),
];

const ORANGE: &[Rule] = &[
    rule(&[], &[], &["trop de connexions"], K::TooManyConnections, S::Destination, A::Slow),
    rule(&[], &[], &["service refus"], K::Reputation, S::SenderIp, A::Pause),
];

const CHINA: &[Rule] = &[
    rule(&[], &[], &["frequency limited", "rp:orq", "hl:itc"], K::RateLimited, S::SenderIp, A::Slow),
    rule(&[], &[], &["dt:spm", "mail content denied"], K::SpamContent, S::Message, A::Alert),
];

const LISTED: &[&str] = &[
    "spamhaus",
    "spamcop",
    "barracudacentral",
    "sorbs",
    "blacklist",
    "block list",
    "blocklist",
    "blocked using",
    "listed in",
    "listed at",
    "dnsbl",
    " rbl",
    "bad reputation",
    "poor reputation",
    "low reputation",
    "ip reputation",
    "your ip has been blocked",
];
const RELAY: &[&str] = &[
    "relay access denied",
    "relaying denied",
    "relay not permitted",
    "relaying is not permitted",
    "unable to relay",
    "not permitted to relay",
    "relay denied",
    "relaying not allowed",
    "we do not relay",
    "relay is prohibited",
    "relaying prohibited",
    "cannot relay",
];
const UNKNOWN: &[&str] = &[
    "user unknown",
    "unknown user",
    "no such user",
    "no such recipient",
    "does not exist",
    "doesn't exist",
    "recipient unknown",
    "unknown recipient",
    "no mailbox here",
    "mailbox not found",
    "invalid recipient",
    "invalid mailbox",
    "unrouteable address",
    "recipient not found",
    "address unknown",
    "unknown address",
    "no such mailbox",
    "unknown local",
    "user not found",
    "nosuchuser",
];
const INACTIVE: &[&str] = &[
    "mailbox disabled",
    "mailbox is disabled",
    "account disabled",
    "account is disabled",
    "account has been disabled",
    "is inactive",
    "account inactive",
    "no longer active",
    "mailbox unavailable or inactive",
    "account suspended",
    "no longer available",
];
const FULL: &[&str] = &[
    "over quota",
    "quota exceeded",
    "mailbox full",
    "mailbox is full",
    "exceeded storage",
    "out of storage",
    "exceeds quota",
    "overquota",
];
const GREY: &[&str] = &["greylist", "graylist", "grey-list", "gray-list"];
const AUTHENTIC: &[&str] =
    &["spf", "dkim", "dmarc", "unauthenticated", "authentication information", "not authenticated mail"];
const LOGIN: &[&str] =
    &["authentication required", "must authenticate", "client was not authenticated", "not authenticated", "smtp auth"];
const CONTENT: &[&str] = &[
    "spam",
    "unsolicited",
    "junk mail",
    "bulk mail",
    "content rejected",
    "message content",
    "bad url",
    "uribl",
    "surbl",
];
const VIRUS: &[&str] =
    &["virus", "malware", "infected", "attachment type", "prohibited attachment", "blocked attachment", "phishing"];
const BUSY: &[&str] = &[
    "too many messages",
    "rate limit",
    "ratelimit",
    "too fast",
    "too quickly",
    "throttl",
    "unusual rate",
    "messages per connection",
    "temporarily deferred",
    "sending limit",
    "limit exceeded",
    "too much mail",
];
const CONNECTIONS: &[&str] = &[
    "too many connections",
    "too many concurrent",
    "too many sessions",
    "too many simultaneous",
    "concurrent connections",
];
const NAMELESS: &[&str] = &[
    "reverse dns",
    "rdns",
    "ptr record",
    "no ptr",
    "cannot find your hostname",
    "cannot find your reverse",
    "reverse hostname",
    "helo command rejected",
    "invalid helo",
    "bad helo",
];
const LETTER: &[&str] = &[
    "rfc 5322",
    "rfc5322",
    "rfc 2822",
    "multiple from",
    "duplicate header",
    "header missing",
    "missing header",
    "messages missing a valid",
    "bare lf",
    "bare <lf>",
];

/// For everybody: the enhanced code, with a phrase where it says too little; then the basic code with a phrase.
pub(super) const CODES: &[Rule] = &[
    // The words win over a code that is used for everything (5.7.1, 5.0.0, 5.3.0, none).
    rule(&[], &[], RELAY, K::RelayDenied, S::Destination, A::Alert),
    rule(
        &[5],
        &[],
        &["not listed in domino", "not listed in public name"],
        K::InvalidRecipient,
        S::Address,
        A::Suppress,
    ),
    rule(&[], &[], GREY, K::Greylisted, S::Destination, A::Retry),
    // RFC 3463 §3.2: addresses.
    rule(&[], &[(1, 1)], LISTED, K::Reputation, S::SenderIp, A::Pause),
    rule(&[], &[(1, 0), (1, 1), (1, 3)], &[], K::InvalidRecipient, S::Address, A::Suppress),
    rule(&[], &[(1, 2), (1, 10)], &[], K::BadDomain, S::Address, A::Suppress),
    rule(&[], &[(1, 6)], &[], K::InactiveMailbox, S::Mailbox, A::Suppress),
    rule(&[], &[(1, 4), (1, 5)], &[], K::InvalidRecipient, S::Address, A::None),
    rule(&[], &[(1, 7), (1, 8), (1, 9)], &[], K::InvalidSender, S::SenderDomain, A::Alert),
    // RFC 3463 §3.3: mailboxes.
    rule(&[], &[(2, 2)], &[], K::QuotaExceeded, S::Mailbox, A::None),
    rule(&[4], &[(2, 1)], BUSY, K::RateLimited, S::Mailbox, A::Retry),
    rule(&[5], &[(2, 1)], LISTED, K::Reputation, S::SenderIp, A::Pause),
    rule(&[5], &[(2, 1)], UNKNOWN, K::InvalidRecipient, S::Address, A::Suppress),
    rule(&[], &[(2, 1)], &[], K::InactiveMailbox, S::Mailbox, A::Suppress),
    rule(&[], &[(2, 3)], &[], K::LetterTooLarge, S::Message, A::None),
    // RFC 3463 §3.4 to 3.6: systems, ways, protocol.
    rule(&[], &[(3, 4)], &[], K::LetterTooLarge, S::Message, A::None),
    rule(&[4], &[(3, 2), (4, 5)], CONNECTIONS, K::TooManyConnections, S::Destination, A::Slow),
    rule(&[4], &[(3, 2), (4, 5)], BUSY, K::RateLimited, S::SenderIp, A::Slow),
    rule(&[], &[(3, 1), (3, 2), (4, 5), (4, 1), (4, 2)], &[], K::ServerTrouble, S::Destination, A::Retry),
    rule(&[], &[(4, 3), (4, 4), (4, 6)], &[], K::Routing, S::Destination, A::Alert),
    rule(&[], &[(4, 7)], BUSY, K::RateLimited, S::SenderIp, A::Slow),
    rule(&[], &[(4, 7)], &[], K::Expired, S::Message, A::None),
    rule(&[], &[(5, 3)], &[], K::TooManyRecipients, S::Message, A::Retry),
    rule(&[], &[(5, 1), (5, 2), (5, 4), (5, 5), (5, 6)], NAMELESS, K::BadConfiguration, S::Us, A::Alert),
    rule(&[], &[(6, 1), (6, 2), (6, 3), (6, 6), (6, 7)], &[], K::BadLetter, S::Message, A::None),
    // RFC 3463 §3.8 and RFC 5248: policy, by number where the number is plain.
    rule(
        &[],
        &[(7, 20), (7, 21), (7, 22), (7, 23), (7, 24), (7, 26)],
        &[],
        K::AuthenticationFailed,
        S::SenderDomain,
        A::FixDns,
    ),
    rule(&[], &[(7, 25)], &[], K::BadConfiguration, S::SenderIp, A::FixDns),
    rule(&[], &[(7, 27)], &[], K::InvalidSender, S::SenderDomain, A::FixDns),
    rule(&[], &[(7, 10), (7, 11), (7, 29)], &[], K::TlsNeeded, S::Us, A::Alert),
    rule(&[], &[(7, 13)], &[], K::InactiveMailbox, S::Mailbox, A::Suppress),
    rule(&[], &[(7, 17), (7, 18)], &[], K::InactiveMailbox, S::Mailbox, A::None),
    rule(&[], &[(7, 28)], &[], K::RateLimited, S::SenderIp, A::Slow),
    rule(&[530, 535], &[], &["starttls"], K::TlsNeeded, S::Us, A::Alert),
    rule(&[530, 534, 535, 538], &[], &[], K::LoginNeeded, S::Us, A::Alert),
    // The basic code and the words.
    rule(&[], &[], VIRUS, K::Virus, S::Message, A::Alert),
    rule(&[], &[], NAMELESS, K::BadConfiguration, S::SenderIp, A::FixDns),
    rule(&[], &[], LISTED, K::Reputation, S::SenderIp, A::Pause),
    rule(&[], &[], AUTHENTIC, K::AuthenticationFailed, S::SenderDomain, A::FixDns),
    rule(&[], &[], LOGIN, K::LoginNeeded, S::Us, A::Alert),
    rule(&[4], &[], CONNECTIONS, K::TooManyConnections, S::Destination, A::Slow),
    rule(&[4], &[], BUSY, K::RateLimited, S::SenderIp, A::Slow),
    rule(&[], &[], &["too many recipients"], K::TooManyRecipients, S::Message, A::Retry),
    rule(
        &[],
        &[],
        &["too large", "too big", "message size exceeds", "size limit"],
        K::LetterTooLarge,
        S::Message,
        A::None,
    ),
    rule(&[], &[], FULL, K::QuotaExceeded, S::Mailbox, A::None),
    rule(&[], &[], LETTER, K::BadLetter, S::Message, A::None),
    rule(
        &[],
        &[],
        &["sender verify failed", "sender address rejected", "sender rejected"],
        K::InvalidSender,
        S::SenderDomain,
        A::Alert,
    ),
    rule(&[], &[], INACTIVE, K::InactiveMailbox, S::Mailbox, A::Suppress),
    rule(&[450, 550, 551, 553, 554], &[], UNKNOWN, K::InvalidRecipient, S::Address, A::Suppress),
    rule(&[554, 550, 571, 451, 421], &[], CONTENT, K::SpamContent, S::Message, A::Alert),
    // What is left says something by its number alone.
    rule(&[552], &[], &[], K::QuotaExceeded, S::Mailbox, A::None),
    rule(&[556, 521], &[], &[], K::BadDomain, S::Destination, A::Alert),
    rule(&[4], &[(7, 0), (7, 1)], &["try again later", "service unavailable"], K::RateLimited, S::SenderIp, A::Slow),
    rule(&[], &[(7, 0), (7, 1), (7, 2), (7, 7), (7, 9), (7, 38)], &[], K::Policy, S::Destination, A::Alert),
    rule(&[500, 501, 502, 503, 504, 555], &[], &[], K::Protocol, S::Us, A::Alert),
    rule(&[421, 451, 452], &[], &[], K::ServerTrouble, S::Destination, A::Retry),
];
