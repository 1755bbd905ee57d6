//! All accounts as they are now, in memory.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use smtp::sasl::ScramVerifier;
use smtp::{Host, Mailbox};

use super::account::{Account, AddressPattern};
use crate::directory::{AccountBook, fold};

/// A snapshot of the accounts. Names are looked up in small letters.
#[derive(Default)]
pub struct Roster {
    entries: BTreeMap<Box<str>, Entry>,
    mailboxes: HashMap<(Box<str>, Host), Mailbox>,
}

/// An account with what its password is checked against.
pub(super) struct Entry {
    pub(super) account: Account,
    /// PHC string.
    pub(super) hash: String,
    pub(super) scram: ScramVerifier,
}

impl Roster {
    pub(super) fn new(entries: impl IntoIterator<Item = Entry>) -> Self {
        let entries: BTreeMap<_, _> = entries.into_iter().map(|entry| (fold(&entry.account.name), entry)).collect();
        let mut mailboxes = HashMap::new();
        for mailbox in entries.values().flat_map(|entry| own_mailboxes(&entry.account)) {
            // Two accounts may own one address; it is one mailbox.
            mailboxes.entry(key(mailbox)).or_insert_with(|| mailbox.clone());
        }
        Self { entries, mailboxes }
    }

    /// The account of this name, enabled or not.
    pub fn account(&self, name: &str) -> Option<&Account> {
        self.entry(name).map(|entry| &entry.account)
    }

    /// Whether there is an account of this name that may log in.
    pub fn is_enabled(&self, name: &str) -> bool {
        self.account(name).is_some_and(|account| account.enabled)
    }

    pub(super) fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries.get(&fold(name))
    }
}

impl fmt::Debug for Roster {
    /// Nothing of the hashes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.entries.values().map(|entry| &entry.account.name)).finish()
    }
}

impl AccountBook for Roster {
    fn mailbox(&self, address: &Mailbox) -> Option<Mailbox> {
        self.mailboxes.get(&key(address)).cloned()
    }

    fn first(&self, wanted: &dyn Fn(&Mailbox) -> bool) -> Option<Mailbox> {
        self.entries.values().flat_map(|entry| own_mailboxes(&entry.account)).find(|mailbox| wanted(mailbox)).cloned()
    }
}

fn own_mailboxes(account: &Account) -> impl Iterator<Item = &Mailbox> {
    account.addresses.iter().filter_map(|pattern| match pattern {
        AddressPattern::Mailbox(mailbox) => Some(mailbox),
        AddressPattern::Domain(_) | AddressPattern::Any => None,
    })
}

fn key(mailbox: &Mailbox) -> (Box<str>, Host) {
    (fold(mailbox.local.as_str()), mailbox.host.clone())
}
