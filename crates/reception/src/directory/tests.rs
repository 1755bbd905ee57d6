use super::*;
use crate::config::Domains;

fn try_book(text: &str) -> Result<Directory, DirectoryError> {
    let domains: Domains = toml::from_str(text).unwrap();
    Directory::new(&domains, 1000)
}

fn book(text: &str) -> Directory {
    try_book(text).unwrap()
}

fn address(text: &str) -> Mailbox {
    text.parse().unwrap()
}

fn local(addresses: &[&str]) -> Resolution {
    Resolution::Local(addresses.iter().map(|text| address(text)).collect())
}

fn resolve(book: &Directory, text: &str) -> Resolution {
    book.resolve(&address(text), &NoAccounts)
}

/// Whoever is in the list has an account with that address.
struct Owned(&'static [&'static str]);

impl AccountBook for Owned {
    fn mailbox(&self, wanted: &Mailbox) -> Option<Mailbox> {
        self.first(&|mailbox| fold_mailbox(mailbox) == fold_mailbox(wanted))
    }
    fn first(&self, wanted: &dyn Fn(&Mailbox) -> bool) -> Option<Mailbox> {
        self.0.iter().map(|text| address(text)).find(|mailbox| wanted(mailbox))
    }
}

const EXAMPLE: &str = r#"
[local."example.org"]
mailboxes = ["Alice", "bob"]
aliases = { info = ["alice", "bob"], Sales = "info", all = ["info", "carol@elsewhere.example"], alice2 = "alice+two" }
[relay."passed.example"]
recipients = ["dave"]
[relay."any.example"]
recipients = "any"
"#;

#[test]
fn a_mailbox_is_found_whatever_its_case_and_spelled_as_configured() {
    let book = book(EXAMPLE);
    assert_eq!(resolve(&book, "aLICE@EXAMPLE.org"), local(&["Alice@example.org"]));
    assert_eq!(resolve(&book, "\"alice\"@example.org"), local(&["Alice@example.org"]));
}

#[test]
fn who_is_not_there_is_nobody() {
    let book = book(EXAMPLE);
    assert_eq!(resolve(&book, "eve@example.org"), Resolution::NoSuchUser);
    assert_eq!(resolve(&book, "eve@passed.example"), Resolution::NoSuchUser);
    assert_eq!(resolve(&book, "dave@passed.example"), Resolution::Relay);
    assert_eq!(resolve(&book, "Postmaster@passed.example"), Resolution::Relay);
    assert_eq!(resolve(&book, "eve@any.example"), Resolution::Relay);
    assert_eq!(resolve(&book, "alice@sub.example.org"), Resolution::NotOurs);
    assert_eq!(resolve(&book, "alice@[192.0.2.1]"), Resolution::NotOurs);
}

#[test]
fn aliases_lead_on_and_each_reader_gets_one_copy() {
    let book = book(EXAMPLE);
    assert_eq!(resolve(&book, "info@example.org"), local(&["Alice@example.org", "bob@example.org"]));
    assert_eq!(resolve(&book, "sales@example.org"), local(&["Alice@example.org", "bob@example.org"]));
    let all = ["carol@elsewhere.example", "Alice@example.org", "bob@example.org"];
    assert_eq!(resolve(&book, "all@example.org"), local(&all));
    assert_eq!(resolve(&book, "alice2@example.org"), local(&["Alice@example.org"]));
}

#[test]
fn a_tag_is_taken_off_where_the_domain_has_tags() {
    let tagged = book(EXAMPLE);
    assert_eq!(resolve(&tagged, "alice+shop@example.org"), local(&["Alice@example.org"]));
    assert_eq!(resolve(&tagged, "info+shop+x@example.org"), local(&["Alice@example.org", "bob@example.org"]));
    assert_eq!(resolve(&tagged, "+shop@example.org"), Resolution::NoSuchUser);
    assert_eq!(tagged.without_tag(&address("alice+shop@example.org")), Some(address("alice@example.org")));
    assert_eq!(tagged.without_tag(&address("alice+shop@elsewhere.example")), None);
    let untagged = book("[local.\"example.org\"]\nmailboxes = [\"alice\"]\nsubaddress = \"\"");
    assert_eq!(resolve(&untagged, "alice+shop@example.org"), Resolution::NoSuchUser);
}

#[test]
fn an_exact_name_goes_before_its_tag() {
    let book = book("[local.\"example.org\"]\nmailboxes = [\"a\", \"a+b\"]");
    assert_eq!(resolve(&book, "a+b@example.org"), local(&["a+b@example.org"]));
}

#[test]
fn a_catch_all_gets_the_rest_but_no_routes() {
    let book = book("[local.\"example.org\"]\nmailboxes = [\"alice\", \"bob\"]\ncatch_all = \"alice\"");
    assert_eq!(resolve(&book, "anyone@example.org"), local(&["alice@example.org"]));
    assert_eq!(resolve(&book, "bob@example.org"), local(&["bob@example.org"]));
    for name in ["a%b", "a!b", "a@b", "|cmd", "/etc/passwd", "../x", "alice+%b", "-oProxy", "a\\b", "a＠b"] {
        let routed = Mailbox { local: LocalPart::from_dequoted(name).unwrap(), host: address("a@example.org").host };
        assert_eq!(book.resolve(&routed, &NoAccounts), Resolution::Routed, "{name}");
    }
}

#[test]
fn a_name_that_looks_like_a_route_is_a_mailbox_where_it_is_configured() {
    let book = book("[local.\"example.org\"]\nmailboxes = [\"a%b\"]");
    assert_eq!(resolve(&book, "a%b@example.org"), local(&["a%b@example.org"]));
}

#[test]
fn postmaster_is_always_somebody() {
    let first = book(EXAMPLE);
    assert_eq!(resolve(&first, "PostMaster@example.org"), local(&["Alice@example.org"]));
    assert_eq!(first.postmaster(&NoAccounts), local(&["Alice@example.org"]));
    let named = book("postmaster = \"chief@elsewhere.example\"\n[local.\"example.org\"]\nmailboxes = [\"alice\"]");
    assert_eq!(resolve(&named, "postmaster@example.org"), local(&["chief@elsewhere.example"]));
    let own = book("[local.\"example.org\"]\nmailboxes = [\"alice\", \"bob\"]\naliases = { postmaster = \"bob\" }");
    assert_eq!(resolve(&own, "postmaster@example.org"), local(&["bob@example.org"]));
    let account = book("[local.\"example.org\"]");
    assert_eq!(
        account.resolve(&address("postmaster@example.org"), &Owned(&["x@far.example", "z@example.org"])),
        local(&["z@example.org"])
    );
}

#[test]
fn postmaster_never_falls_into_a_catch_all() {
    let book = book("[local.\"example.org\"]\nmailboxes = [\"alice\", \"trap\"]\ncatch_all = \"trap\"");
    assert_eq!(resolve(&book, "postmaster@example.org"), local(&["alice@example.org"]));
}

#[test]
fn addresses_of_accounts_are_mailboxes_unless_the_domain_says_otherwise() {
    let with = book("[local.\"example.org\"]");
    let accounts = Owned(&["Zoe@example.org"]);
    assert_eq!(with.resolve(&address("zoe+x@example.org"), &accounts), local(&["Zoe@example.org"]));
    let without = book("[local.\"example.org\"]\naccounts = false");
    assert_eq!(without.resolve(&address("zoe@example.org"), &accounts), Resolution::NoSuchUser);
}

#[test]
fn an_alias_that_names_itself_means_the_mailbox() {
    let book =
        book("[local.\"example.org\"]\nmailboxes = [\"alice\", \"bob\"]\naliases = { alice = [\"alice\", \"bob\"] }");
    assert_eq!(resolve(&book, "alice@example.org"), local(&["alice@example.org", "bob@example.org"]));
}

#[test]
fn circles_and_dead_ends_are_errors_of_the_configuration() {
    for text in [
        "[local.\"example.org\"]
aliases = { a = \"b\", b = \"a\" }
accounts = false",
        "[local.\"example.org\"]
aliases = { a = \"b\", b = \"a\" }",
        "[local.\"example.org\"]
aliases = { a = \"nobody\" }
accounts = false",
    ] {
        let error = try_book(text).unwrap_err();
        assert!(matches!(error, DirectoryError::Nowhere(_)), "{error:?}");
    }
}

#[test]
fn an_alias_may_lead_to_an_account_that_is_still_to_come() {
    let book = book(
        "[local.\"example.org\"]
aliases = { a = \"b\", b = \"later\" }",
    );
    assert_eq!(resolve(&book, "a@example.org"), Resolution::NoSuchUser);
    assert_eq!(book.resolve(&address("a@example.org"), &Owned(&["later@example.org"])), local(&["later@example.org"]));
}

#[test]
fn aliases_lead_ten_steps_and_no_further() {
    let chain = |steps: usize| {
        let links: String = (0..steps).map(|i| format!("a{i} = \"a{}\", ", i + 1)).collect();
        format!("[local.\"example.org\"]\nmailboxes = [\"a{steps}\"]\naliases = {{ {} }}", links.trim_end_matches(", "))
    };
    assert_eq!(resolve(&book(&chain(DEPTH)), "a0@example.org"), local(&["a10@example.org"]));
    assert!(matches!(try_book(&chain(DEPTH + 1)), Err(DirectoryError::TooMuch(_))));
}

#[test]
fn an_alias_for_too_many_is_refused() {
    let names = |count: usize| (0..count).map(|i| format!("\"m{i}@far.example\"")).collect::<Vec<_>>().join(", ");
    let list = |count: usize| format!("[local.\"example.org\"]\naliases = {{ all = [{}] }}", names(count));
    assert!(matches!(resolve(&book(&list(1000)), "all@example.org"), Resolution::Local(all) if all.len() == 1000));
    assert!(try_book(&list(1001)).is_err());
}

#[test]
fn a_name_on_this_machine_is_its_namesake_or_the_postmaster() {
    let machine = |book: &Directory, name: &str| {
        book.on_this_machine(&LocalPart::from_dequoted(name).unwrap(), &Owned(&["carol@example.org"]))
    };
    let book = book(EXAMPLE);
    assert_eq!(machine(&book, "root"), local(&["Alice@example.org"]), "the postmaster");
    assert_eq!(machine(&book, "BOB"), local(&["bob@example.org"]), "a mailbox");
    assert_eq!(machine(&book, "info"), local(&["Alice@example.org", "bob@example.org"]), "an alias");
    assert_eq!(machine(&book, "carol"), local(&["carol@example.org"]), "an account");
    assert_eq!(machine(&book, "a%b"), local(&["Alice@example.org"]), "no route is followed");
}

#[test]
fn a_machine_without_mailboxes_leaves_its_own_names_to_the_routes() {
    let name = LocalPart::from_dequoted("root").unwrap();
    assert_eq!(book("").on_this_machine(&name, &NoAccounts), Resolution::NotOurs);
    let passed = book("[relay.\"a.example\"]\nrecipients = \"any\"");
    assert_eq!(passed.on_this_machine(&name, &NoAccounts), Resolution::NotOurs);
}
