use super::*;

/// Texts as servers say them; `None`: nothing to wait for is named.
const TEXTS: &[(&str, Option<u64>)] = &[
    // postgrey, sqlgrey, policyd, greylistd and other policy servers of Postfix and Exim
    ("<a@example.com>: Recipient address rejected: Greylisted for 300 seconds", Some(300)),
    (
        "<a@example.com>: Recipient address rejected: Greylisted for 181 seconds (see http://isg.ee.ethz.ch/tools/postgrey/help/example.com.html)",
        Some(181),
    ),
    ("<a@example.com>: Recipient address rejected: Greylisted for 5 minutes", Some(300)),
    (
        "<a@example.com>: Recipient address rejected: Policy Rejection- Hotkey Greylisting in progress ... Please try again after 2 minutes",
        Some(120),
    ),
    (
        "<a@example.com>: Recipient address rejected: Greylisting in action. Please try delivery again in 240 seconds.",
        Some(240),
    ),
    ("Greylisting enabled, try again in 1 minutes", Some(60)),
    ("Sender address rejected: Greylisted for 55 sec.", Some(55)),
    ("Greylisted, please try again in 60 seconds", Some(60)),
    ("You are greylisted. Please retry in 15 minutes", Some(900)),
    ("GREYLISTED: please come back in 10 min", Some(600)),
    ("greylisted, wait 300 s", Some(300)),
    ("Graylisted - retry in 300s", Some(300)),
    ("Grey-listed: try again in 2h", Some(7200)),
    // milter-greylist
    ("Greylisting in action, please come back in 00:09:00", Some(540)),
    ("Greylisting in action, please come back in 01:00:00", Some(3600)),
    ("Greylisting in action, please come back in 00:00:30", Some(30)),
    // others
    ("try again in 5 minutes", Some(300)),
    ("retry in 300 seconds", Some(300)),
    ("Service temporarily unavailable, please try again in 1 hour", Some(3600)),
    ("Too many messages, please try again in one hour.", Some(3600)),
    ("Please try again in an hour", Some(3600)),
    ("Please try again in a minute", Some(60)),
    ("Try again in half an hour", Some(1800)),
    ("Your IP is blocked. Please wait 10 minutes before reconnecting", Some(600)),
    ("You must wait at least 30 minutes", Some(1800)),
    ("Rate limit exceeded, retry after 120 seconds", Some(120)),
    ("try again in 1 hour and 30 minutes", Some(5400)),
    ("try again in 5 minutes, 30 seconds", Some(330)),
    ("Please try again in 5-10 minutes", Some(600)),
    ("Please try again in 5 to 10 minutes", Some(600)),
    ("Mailbox busy, resend in 2 hours", Some(7200)),
    ("Quota exceeded; try again in 1 day", Some(86_400)),
    ("Temporary failure\nplease retry in 20 mins", Some(1200)),
    ("Zu viele Verbindungen, bitte versuchen Sie es in 5 Minuten erneut", Some(300)),
    ("Bitte in Ruhe warten: 30 Sekunden", Some(30)),
    ("Bitte erneut in einer Stunde", Some(3600)),
    ("Bitte nach dem Warten wiederholen in 2 Stunden", Some(7200)),
    ("Trop de connexions, veuillez réessayer dans 10 minutes", Some(600)),
    ("Veuillez patienter 1 heure", Some(3600)),
    ("Service indisponible, reessayez dans 30 secondes", Some(30)),
    ("The user is receiving mail too quickly. try again in 0 seconds", Some(0)),
    // nothing is named
    ("Greylisting in action, please come back later", None),
    ("Temporarily greylisted as anti-spam measure. Please try again.", None),
    ("sender/recip/ip triad greylisted; retry AFTER A DECENT INTERVAL will succeed", None),
    ("4.7.1 Try again later", None),
    ("relaying denied 5.7.1", None),
    ("try again in 2026", None),
    ("Please try again in a few minutes", None),
    ("Please try again. You sent too many messages in 10 minutes", None),
    ("You may send 50 messages in 1 hour; try again later", None),
    ("too many connections in 60 seconds", None),
    ("Timeout waiting 30 seconds for command", None),
    ("Please try again later. (421-4.7.28) 5 seconds", None),
    ("retry, RFC 5321 4.5.4.1 recommends 30 minutes", None),
    ("first seen: greylisted 30 seconds ago", None),
    ("Server busy. Please try again later from [192.0.2.1]. (S77719)", None),
    ("try again 5 times in 1 hour", None),
    ("4.3.2 Please try again later (4m)", None),
    ("Connection refused, 15 minutes", None),
    ("Too many concurrent SMTP connections; please try again later.", None),
    ("try again in 05:00", None),
    ("retry in 5 mailboxes", None),
    ("Insufficient system storage (UsedDiskSpace 92 %)", None),
    ("your message id 300s will be kept", None),
];

#[test]
fn the_time_that_a_reply_names_is_read_and_nothing_else() {
    for (text, seconds) in TEXTS {
        assert_eq!(named_wait(text), seconds.map(Duration::from_secs), "{text}");
    }
}

#[test]
fn case_does_not_matter() {
    assert_eq!(named_wait("PLEASE TRY AGAIN IN 5 MINUTES"), Some(Duration::from_secs(300)));
    assert_eq!(named_wait("PLEASE TRY AGAIN IN AN HOUR"), Some(Duration::from_secs(3600)));
}

#[test]
fn a_time_behind_the_octets_that_are_looked_at_is_not_found() {
    let text = format!("{} try again in 5 minutes", "é".repeat(LOOKED_AT));
    assert_eq!(named_wait(&text), None);
}

proptest::proptest! {
    #[test]
    fn no_text_panics(text in ".{0,300}", count in "[0-9]{1,12}", unit in "[a-zé]{0,8}") {
        let _ = named_wait(&text);
        let _ = named_wait(&format!("{text} try again in {count}{unit}{text}"));
    }
}
