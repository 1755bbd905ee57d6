//! The relay tricks of old, each by its name, and who may send as whom.

use super::recipient::targets;
use super::*;
use smtp::envelope::Notify;

use crate::config::Domains;
use crate::credentials::{Account, AddressPattern};
use crate::directory::{Directory, NoAccounts};

fn directory() -> Directory {
    let text = r#"
        [local."local.example"]
        mailboxes = ["user", "alice"]
        [relay."relay.example"]
        recipients = ["known"]
        [relay."open.example"]
        recipients = "any"
    "#;
    let domains: Domains = toml::from_str(text).unwrap();
    Directory::new(&domains, 1000).unwrap()
}

fn path(text: &str) -> ForwardPath {
    ForwardPath::Mailbox(text.parse().unwrap())
}

fn ask(text: &str, trust: Trust) -> Result<Vec<Mailbox>, Reply> {
    targets(&path(text), trust, &directory(), &NoAccounts)
}

/// What a stranger gets.
fn refused(text: &str) -> String {
    ask(text, Trust::Stranger).expect_err(text).to_string()
}

fn accepted(text: &str) -> String {
    let targets = ask(text, Trust::Stranger).unwrap();
    targets.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_stranger_cannot_send_to_other_domains() {
    assert!(refused("victim@other.example").starts_with("550 5.7.1 relaying is not permitted"));
    assert!(refused("victim@sub.local.example").starts_with("550 5.7.1"));
    assert!(refused("victim@notlocal.example").starts_with("550 5.7.1"));
}

#[test]
fn who_is_known_can() {
    assert_eq!(ask("victim@other.example", Trust::Known), Ok(vec!["victim@other.example".parse().unwrap()]));
    assert_eq!(ask("a%b@other.example", Trust::Known), Ok(vec!["a%b@other.example".parse().unwrap()]));
}

#[test]
fn a_local_user_who_does_not_exist_is_refused_at_rcpt_for_everyone() {
    assert!(refused("nobody@local.example").starts_with("550 5.1.1"));
    assert!(ask("nobody@local.example", Trust::Known).unwrap_err().to_string().starts_with("550 5.1.1"));
    assert!(refused("nobody@relay.example").starts_with("550 5.1.1"));
}

#[test]
fn local_users_and_valid_relay_recipients_are_accepted() {
    assert_eq!(accepted("user@local.example"), "user@local.example");
    assert_eq!(accepted("known@relay.example"), "known@relay.example");
    assert_eq!(accepted("whoever@open.example"), "whoever@open.example");
}

#[test]
fn percent_hack_is_refused() {
    assert!(refused("user%other.example@local.example").starts_with("550 5.7.1"));
    assert!(refused("user%other.example@open.example").starts_with("550 5.7.1"));
}

#[test]
fn percent_hack_behind_a_subaddress_is_refused() {
    assert!(refused("user+%other.example@local.example").starts_with("550 5.7.1"));
}

#[test]
fn bang_path_is_refused() {
    assert!(refused("other.example!user@local.example").starts_with("550 5.7.1"));
    assert!(refused("other.example!user@open.example").starts_with("550 5.7.1"));
}

#[test]
fn quoted_at_is_refused() {
    assert!(refused("\"user@other.example\"@local.example").starts_with("550 5.7.1"));
    assert!(refused("\"user@other.example\"@open.example").starts_with("550 5.7.1"));
}

#[test]
fn quoted_percent_is_refused() {
    assert!(refused("\"user%other.example\"@local.example").starts_with("550 5.7.1"));
}

#[test]
fn quoted_spaces_are_nobody() {
    assert!(refused("\" user\"@local.example").starts_with("550 5."));
    assert!(refused("\"user \"@local.example").starts_with("550 5."));
}

#[test]
fn address_literals_are_not_ours() {
    assert!(refused("user@[127.0.0.1]").starts_with("550 5.7.1"));
    assert!(refused("user@[IPv6:::1]").starts_with("550 5.7.1"));
}

#[test]
fn capital_letters_of_our_domain_are_our_domain() {
    assert_eq!(accepted("user@LOCAL.Example"), "user@local.example");
}

#[test]
fn a_domain_with_a_trailing_dot_is_never_a_way_out() {
    if let Ok(mailbox) = "user@other.example.".parse() {
        assert!(targets(&ForwardPath::Mailbox(mailbox), Trust::Stranger, &directory(), &NoAccounts).is_err());
    }
}

#[test]
fn a_u_label_and_its_a_label_are_one_domain() {
    let domains: Domains = toml::from_str("[local.\"bücher.example\"]\nmailboxes = [\"user\"]").unwrap();
    let directory = Directory::new(&domains, 1000).unwrap();
    let to = path("user@xn--bcher-kva.example");
    assert!(targets(&to, Trust::Stranger, &directory, &NoAccounts).is_ok());
}

#[test]
fn full_width_forms_are_refused() {
    let local = smtp::LocalPart::from_dequoted("user＠other.example").unwrap();
    let host = "user@local.example".parse::<Mailbox>().unwrap().host;
    let to = ForwardPath::Mailbox(Mailbox { local, host });
    let reply = targets(&to, Trust::Stranger, &directory(), &NoAccounts).unwrap_err();
    assert!(reply.to_string().starts_with("550 5.7.1"), "{reply}");
}

#[test]
fn pipes_and_files_are_refused() {
    for name in ["|cmd", "/etc/passwd", "../x"] {
        let local = smtp::LocalPart::from_dequoted(name).unwrap();
        let host = "user@local.example".parse::<Mailbox>().unwrap().host;
        let to = ForwardPath::Mailbox(Mailbox { local, host });
        let reply = targets(&to, Trust::Stranger, &directory(), &NoAccounts).unwrap_err();
        assert!(reply.to_string().starts_with("550 5.7.1"), "{name}: {reply}");
    }
}

#[test]
fn postmaster_without_a_domain_is_accepted() {
    let found = targets(&ForwardPath::Postmaster, Trust::Stranger, &directory(), &NoAccounts).unwrap();
    assert_eq!(found, ["user@local.example".parse().unwrap()]);
}

fn account(addresses: &[&str]) -> Account {
    let addresses: Vec<AddressPattern> = addresses.iter().map(|text| text.parse().unwrap()).collect();
    Account { name: "alice".to_owned(), addresses, enabled: true, created: 0 }
}

fn from(text: &str) -> ReversePath {
    if text.is_empty() { ReversePath::Null } else { ReversePath::Mailbox(text.parse().unwrap()) }
}

fn owned(addresses: &[&str], text: &str) -> Result<(), String> {
    sender::owned(&account(addresses), &from(text), &directory()).map(drop).map_err(|reply| reply.to_string())
}

#[test]
fn an_account_sends_as_its_own_addresses_only() {
    assert_eq!(owned(&["alice@local.example"], "Alice@LOCAL.example"), Ok(()));
    let refusal = owned(&["alice@local.example"], "user@local.example").unwrap_err();
    assert!(refusal.starts_with("553 5.7.1 you may not send as user@local.example"), "{refusal}");
    assert!(refusal.contains("alice@local.example"), "{refusal}");
}

#[test]
fn an_account_may_tag_its_address_in_a_domain_with_tags() {
    assert_eq!(owned(&["alice@local.example"], "alice+shop@local.example"), Ok(()));
    assert!(owned(&["alice@far.example"], "alice+shop@far.example").is_err());
}

#[test]
fn a_wildcard_owns_the_domain_and_no_other() {
    assert_eq!(owned(&["*@local.example"], "whoever@local.example"), Ok(()));
    assert!(owned(&["*@local.example"], "whoever@sub.local.example").is_err());
    assert_eq!(owned(&["*"], "whoever@far.example"), Ok(()));
}

#[test]
fn a_letter_from_nobody_is_for_relaying_servers_and_for_answers_of_ones_own() {
    let may = |addresses: &[&str]| sender::owned(&account(addresses), &ReversePath::Null, &directory());
    assert_eq!(may(&["*"]), Ok(May::Send));
    assert_eq!(may(&["alice@local.example"]), Ok(May::SendIfItIsTheirs));
    assert!(may(&[]).unwrap_err().to_string().starts_with("550 5.7.1 a letter from the null sender"));
    let alice = account(&["alice@local.example"]);
    for (header, theirs) in [
        ("Subject: read\r\nFrom: alice@local.example\r\n", true),
        ("From: \"Alice, of sales\" <Alice@LOCAL.example>\r\n", true),
        ("From:\r\n Alice\r\n <alice+shop@local.example> \r\n", true),
        ("From: user@local.example\r\n", false),
        ("From: alice@local.example, user@local.example\r\n", false),
        ("From: <alice@local.example>, <user@local.example>\r\n", false),
        ("From: user@local.example <alice@local.example> x\r\n", false),
        ("From: alice@local.example\r\nFrom: user@local.example\r\n", false),
        ("From: alice@local.example (Alice)\r\n", false),
        ("Subject: x\r\n\r\nFrom: alice@local.example\r\n", false),
        ("", false),
    ] {
        assert_eq!(sender::written_by(&alice, header.as_bytes(), &directory()).is_ok(), theirs, "{header:?}");
    }
}

fn recipient_of(accepted: &[(&str, &[&str])]) -> Vec<Recipient> {
    let paths: Vec<_> = accepted.iter().map(|(to, _)| (path(to), RcptParams::default())).collect();
    let targets: Vec<Vec<Mailbox>> =
        accepted.iter().map(|(_, targets)| targets.iter().map(|text| text.parse().unwrap()).collect()).collect();
    recipients(&paths, &targets)
}

#[test]
fn each_mailbox_gets_one_copy() {
    let all = recipient_of(&[("info@l.example", &["a@l.example", "b@l.example"]), ("b@l.example", &["b@l.example"])]);
    let addresses: Vec<String> = all.iter().map(|recipient| recipient.address.to_string()).collect();
    assert_eq!(addresses, ["a@l.example", "b@l.example"]);
}

#[test]
fn the_address_before_an_alias_is_kept_as_orcpt() {
    let all = recipient_of(&[("info@l.example", &["a@l.example"]), ("b@l.example", &["b@l.example"])]);
    assert_eq!(all[0].params.orcpt.as_ref().unwrap().address, "info@l.example");
    assert_eq!(all[1].params.orcpt, None);
}

/// RFC 3461 §5.2.7.3.
#[test]
fn of_one_of_several_nobody_is_told_that_it_was_delivered() {
    let notify = |success, failure| Some(Notify { never: false, success, failure, delay: false });
    let mailboxes = |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect::<Vec<Mailbox>>();
    let paths: Vec<_> = [
        ("info@l.example", notify(true, true)),
        ("all@l.example", notify(true, false)),
        ("me@l.example", notify(true, false)),
    ]
    .map(|(to, notify)| (path(to), RcptParams { notify, orcpt: None }))
    .into();
    let targets = [
        mailboxes(&["a@l.example", "b@l.example"]),
        mailboxes(&["c@l.example", "d@l.example"]),
        mailboxes(&["m@l.example"]),
    ];
    let told: Vec<_> = recipients(&paths, &targets).iter().map(|one| one.params.notify.unwrap()).collect();
    let never = Notify { never: true, success: false, failure: false, delay: false };
    let failure = notify(false, true).unwrap();
    assert_eq!(told, [failure, failure, never, never, notify(true, false).unwrap()]);
    let names: Vec<_> = expanded(&paths, &targets).iter().map(|one| one.address.to_string()).collect();
    assert_eq!(names, ["info@l.example", "all@l.example"]);
}
