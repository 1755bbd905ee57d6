//! The address book: whether an address is ours, and which mailboxes it stands for. A value made from the configuration.
//!
//! ```text
//! directory.resolve(&address, &accounts) -> Local(mailboxes) | Relay | NoSuchUser | Routed | NotOurs | Unresolvable
//! ```
//!
//! # Invariants
//! - `%`, `!`, `|`, `/` and a second `@` in a local part never route (protocol tricks of old, RFC 5321 App. F.2): such a
//!   name is either a mailbox or alias that is written so in the configuration, or it is refused, catch-all or not.
//! - Postmaster of a local domain is always somebody, as long as there is one mailbox (RFC 5321 §4.5.1).
//!
//! # Limits
//! Aliases lead at most [`DEPTH`] steps, and one address stands for at most `limits.alias_expansion` others.

mod build;
mod names;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};

use smtp::{Domain, Host, LocalPart, Mailbox};

pub use build::DirectoryError;
pub use names::{Address, DomainName, LocalName, Target};

/// Aliases that may lead from one to the next.
pub const DEPTH: usize = 10;

/// The domains that letters are accepted for, and the addresses in them.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    local: HashMap<Domain, Local>,
    relay: HashMap<Domain, Option<HashSet<Box<str>>>>,
    postmaster: Option<Mailbox>,
    expansion: usize,
}

/// One local domain. Names are folded to small letters.
#[derive(Clone, Debug, Default)]
struct Local {
    mailboxes: HashMap<Box<str>, Mailbox>,
    accounts: bool,
    aliases: HashMap<Box<str>, Vec<Mailbox>>,
    catch_all: Option<Mailbox>,
    subaddress: Vec<char>,
}

/// What an address is to us.
#[derive(Clone, Debug, PartialEq)]
pub enum Resolution {
    /// Ours. These get the letter: mailboxes here, or addresses elsewhere that an alias names. Never empty.
    Local(Vec<Mailbox>),
    /// In a domain that is passed on, and valid there.
    Relay,
    /// In a domain of ours, but nobody.
    NoSuchUser,
    /// In a domain of ours, and the name tries to route.
    Routed,
    /// In none of our domains.
    NotOurs,
    /// The aliases go in circles, too deep or to too many.
    Unresolvable,
}

/// Addresses that belong to accounts: mailboxes in the local domains that say so.
pub trait AccountBook {
    /// The address as its account spells it, where one owns it.
    fn mailbox(&self, address: &Mailbox) -> Option<Mailbox>;
    /// The first address, by account name, that is `wanted`.
    fn first(&self, wanted: &dyn Fn(&Mailbox) -> bool) -> Option<Mailbox>;
}

/// Nobody has an account.
#[derive(Clone, Copy, Debug)]
pub struct NoAccounts;

impl AccountBook for NoAccounts {
    fn mailbox(&self, _: &Mailbox) -> Option<Mailbox> {
        None
    }
    fn first(&self, _: &dyn Fn(&Mailbox) -> bool) -> Option<Mailbox> {
        None
    }
}

/// What one address leads to.
enum Step<'a> {
    Mailbox(Mailbox),
    Alias(&'a [Mailbox]),
    Elsewhere,
    Routed,
    Nobody,
}

impl Directory {
    /// What `address` is to us.
    pub fn resolve(&self, address: &Mailbox, accounts: &dyn AccountBook) -> Resolution {
        let Host::Domain(domain) = &address.host else { return Resolution::NotOurs };
        if let Some(names) = self.relay.get(domain) {
            return resolve_relay(names.as_ref(), &address.local);
        }
        if !self.local.contains_key(domain) {
            return Resolution::NotOurs;
        }
        match self.step(address, accounts) {
            Step::Mailbox(mailbox) => Resolution::Local(vec![mailbox]),
            Step::Alias(targets) => self.expand(address, targets, accounts),
            Step::Routed => Resolution::Routed,
            Step::Nobody if is_postmaster(&address.local) => self.postmaster(accounts),
            Step::Nobody | Step::Elsewhere => Resolution::NoSuchUser,
        }
    }

    /// Who reads `<postmaster>`. RFC 5321 §4.5.1: it must be accepted, without a domain too.
    pub fn postmaster(&self, accounts: &dyn AccountBook) -> Resolution {
        let here = |mailbox: &Mailbox| self.is_local(&mailbox.host);
        let Some(reader) = self.postmaster.clone().or_else(|| accounts.first(&here)) else {
            return Resolution::NoSuchUser;
        };
        match self.step(&reader, accounts) {
            Step::Mailbox(mailbox) => Resolution::Local(vec![mailbox]),
            Step::Elsewhere => Resolution::Local(vec![reader]),
            Step::Alias(targets) => self.expand(&reader, targets, accounts),
            Step::Routed | Step::Nobody => Resolution::NoSuchUser,
        }
    }

    /// Who reads `name@host`, where `host` is this machine's own name and none of our domains: letters of cron and mailx go
    /// to `root` without a domain. It is the mailbox or alias of that name in the postmaster's domain, else the postmaster.
    /// `NotOurs` where there is no postmaster either.
    pub fn on_this_machine(&self, name: &LocalPart, accounts: &dyn AccountBook) -> Resolution {
        let Resolution::Local(postmaster) = self.postmaster(accounts) else { return Resolution::NotOurs };
        let reader = self.postmaster.clone().or_else(|| postmaster.first().cloned());
        let namesake = reader.map(|reader| Mailbox { local: name.clone(), host: reader.host });
        match namesake.map(|namesake| self.resolve(&namesake, accounts)) {
            Some(Resolution::Local(mailboxes)) => Resolution::Local(mailboxes),
            _ => Resolution::Local(postmaster),
        }
    }

    /// The address without its tag, in a local domain that has tags: `alice@…` for `alice+shop@…`.
    pub fn without_tag(&self, address: &Mailbox) -> Option<Mailbox> {
        let Host::Domain(domain) = &address.host else { return None };
        let base = without_tag(address.local.as_str(), &self.local.get(domain)?.subaddress)?;
        Some(Mailbox { local: LocalPart::from_dequoted(base).ok()?, host: address.host.clone() })
    }

    /// Whether mailboxes of this host are here.
    pub fn is_local(&self, host: &Host) -> bool {
        matches!(host, Host::Domain(domain) if self.local.contains_key(domain))
    }

    /// Whether this host is passed on.
    pub fn is_relay(&self, host: &Host) -> bool {
        matches!(host, Host::Domain(domain) if self.relay.contains_key(domain))
    }

    /// Follows aliases breadth first. An address met again is not followed again; an alias that names itself means the
    /// mailbox of that name.
    fn expand(&self, from: &Mailbox, targets: &[Mailbox], accounts: &dyn AccountBook) -> Resolution {
        let mut seen = HashSet::from([fold_mailbox(from)]);
        let mut found: Vec<Mailbox> = Vec::new();
        let mut level: Vec<Mailbox> = targets.to_vec();
        for _ in 0..DEPTH {
            let mut next = Vec::new();
            for target in level {
                let again = !seen.insert(fold_mailbox(&target));
                match self.step(&target, accounts) {
                    Step::Alias(_) if again => found.extend(self.own_mailbox(&target, accounts)),
                    Step::Alias(more) => next.extend_from_slice(more),
                    Step::Mailbox(mailbox) => found.push(mailbox),
                    Step::Elsewhere => found.push(target),
                    Step::Routed | Step::Nobody => {}
                }
                if found.len() + next.len() > self.expansion {
                    return Resolution::Unresolvable;
                }
            }
            if next.is_empty() {
                let mut once = HashSet::new();
                found.retain(|mailbox| once.insert(fold_mailbox(mailbox)));
                return if found.is_empty() { Resolution::NoSuchUser } else { Resolution::Local(found) };
            }
            level = next;
        }
        Resolution::Unresolvable
    }

    fn step(&self, address: &Mailbox, accounts: &dyn AccountBook) -> Step<'_> {
        let Host::Domain(domain) = &address.host else { return Step::Elsewhere };
        let Some(local) = self.local.get(domain) else { return Step::Elsewhere };
        let name = fold(address.local.as_str());
        if let Some(step) = self.named(local, address, &name, accounts) {
            return step;
        }
        if routes(&name) {
            return Step::Routed;
        }
        if let Some(base) = without_tag(&name, &local.subaddress)
            && let Ok(base_part) = LocalPart::from_dequoted(base)
            && let Some(step) =
                self.named(local, &Mailbox { local: base_part, host: address.host.clone() }, base, accounts)
        {
            return step;
        }
        match &local.catch_all {
            Some(target) if !is_postmaster(&address.local) => Step::Alias(std::slice::from_ref(target)),
            _ => Step::Nobody,
        }
    }

    /// An alias or mailbox of exactly this name. An alias goes first, so that it can add readers to a mailbox.
    fn named<'a>(
        &'a self,
        local: &'a Local,
        address: &Mailbox,
        name: &str,
        accounts: &dyn AccountBook,
    ) -> Option<Step<'a>> {
        if let Some(targets) = local.aliases.get(name) {
            return Some(Step::Alias(targets));
        }
        if let Some(mailbox) = local.mailboxes.get(name) {
            return Some(Step::Mailbox(mailbox.clone()));
        }
        let owned = if local.accounts { accounts.mailbox(address) } else { None };
        owned.map(Step::Mailbox)
    }

    /// The mailbox that has the name of an alias.
    fn own_mailbox(&self, address: &Mailbox, accounts: &dyn AccountBook) -> Option<Mailbox> {
        let Host::Domain(domain) = &address.host else { return None };
        let local = self.local.get(domain)?;
        let mailbox = local.mailboxes.get(&*fold(address.local.as_str())).cloned();
        mailbox.or_else(|| if local.accounts { accounts.mailbox(address) } else { None })
    }
}

fn resolve_relay(names: Option<&HashSet<Box<str>>>, local: &LocalPart) -> Resolution {
    let name = fold(local.as_str());
    match names {
        Some(names) if names.contains(&*name) => Resolution::Relay,
        // RFC 5321 §4.5.1: postmaster is supported by every domain, whether somebody has thought of listing it or not.
        Some(_) if is_postmaster(local) => Resolution::Relay,
        _ if routes(&name) => Resolution::Routed,
        Some(_) => Resolution::NoSuchUser,
        None => Resolution::Relay,
    }
}

/// The form that local parts of our domains are compared in. Whose case it is, is ours to say (RFC 5321 §2.4).
pub(crate) fn fold(local: &str) -> Box<str> {
    local.to_lowercase().into_boxed_str()
}

fn fold_mailbox(mailbox: &Mailbox) -> (Box<str>, Host) {
    (fold(mailbox.local.as_str()), mailbox.host.clone())
}

fn is_postmaster(local: &LocalPart) -> bool {
    local.as_str().eq_ignore_ascii_case("postmaster")
}

/// Whether a name would mean a route, a pipe or a file to some server behind us. Full-width forms count as what they look like.
fn routes(name: &str) -> bool {
    name.starts_with(['.', '|', '/', '-'])
        || name.contains(['%', '!', '@', '/', '\\', '|', '\u{ff20}', '\u{ff05}', '\u{ff01}'])
}

fn without_tag<'a>(name: &'a str, delimiters: &[char]) -> Option<&'a str> {
    let (base, _tag) = name.split_once(delimiters)?;
    (!base.is_empty()).then_some(base)
}
