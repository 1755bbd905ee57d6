//! From the configuration to the address book.

use std::collections::HashMap;

use smtp::{Domain, Host, Mailbox};

use super::{AccountBook, Directory, Local, Resolution};
use crate::config::{Domains, LocalDomain, RelayRecipients};

/// Domains that cannot be served as they are written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DirectoryError {
    #[error("the domain {0} is both under domains.local and domains.relay; keep one")]
    Twice(Domain),
    #[error("the mailbox `{name}` of {domain} is there twice")]
    MailboxTwice { domain: Domain, name: String },
    #[error("the alias {0} leads further than 10 aliases, or to more addresses than limits.alias_expansion")]
    TooMuch(Mailbox),
    #[error("the alias {0} leads to nobody: its targets lead back to it, or are no mailboxes of the domain")]
    Nowhere(Mailbox),
}

impl Directory {
    /// The address book of these domains. `expansion`: `limits.alias_expansion`.
    pub fn new(domains: &Domains, expansion: usize) -> Result<Self, DirectoryError> {
        let mut directory = Self { expansion, ..Self::default() };
        for (name, config) in &domains.relay {
            let names = match &config.recipients {
                RelayRecipients::Any => None,
                RelayRecipients::These(names) => Some(names.iter().map(|name| name.folded()).collect()),
            };
            directory.relay.insert(name.0.clone(), names);
        }
        for (name, config) in &domains.local {
            if directory.relay.contains_key(&name.0) {
                return Err(DirectoryError::Twice(name.0.clone()));
            }
            directory.local.insert(name.0.clone(), local(&name.0, config)?);
        }
        directory.postmaster = postmaster(domains);
        directory.check_aliases()?;
        Ok(directory)
    }

    /// Each alias is followed once, so that a circle is an error of the configuration and not of a letter.
    fn check_aliases(&self) -> Result<(), DirectoryError> {
        for (domain, local) in &self.local {
            for (name, targets) in &local.aliases {
                let Ok(part) = smtp::LocalPart::from_dequoted(name) else { continue };
                let alias = Mailbox { local: part, host: Host::Domain(domain.clone()) };
                match self.expand(&alias, targets, &Imagined(self)) {
                    Resolution::Unresolvable => return Err(DirectoryError::TooMuch(alias)),
                    Resolution::NoSuchUser => return Err(DirectoryError::Nowhere(alias)),
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

/// Accounts come and go while the configuration stays: whatever is no alias may be one.
struct Imagined<'a>(&'a Directory);

impl AccountBook for Imagined<'_> {
    fn mailbox(&self, address: &Mailbox) -> Option<Mailbox> {
        let Host::Domain(domain) = &address.host else { return None };
        let aliases = &self.0.local.get(domain)?.aliases;
        (!aliases.contains_key(&*super::fold(address.local.as_str()))).then(|| address.clone())
    }

    fn first(&self, _: &dyn Fn(&Mailbox) -> bool) -> Option<Mailbox> {
        None
    }
}

fn local(domain: &Domain, config: &LocalDomain) -> Result<Local, DirectoryError> {
    let mut mailboxes = HashMap::new();
    for name in &config.mailboxes {
        let mailbox = Mailbox { local: name.0.clone(), host: Host::Domain(domain.clone()) };
        if mailboxes.insert(name.folded(), mailbox).is_some() {
            return Err(DirectoryError::MailboxTwice { domain: domain.clone(), name: name.to_string() });
        }
    }
    let alias = |targets: &[super::Target]| targets.iter().map(|target| target.in_domain(domain)).collect();
    Ok(Local {
        mailboxes,
        accounts: config.accounts,
        aliases: config.aliases.iter().map(|(name, targets)| (name.folded(), alias(&targets.0))).collect(),
        catch_all: config.catch_all.as_ref().map(|target| target.in_domain(domain)),
        subaddress: config.subaddress.chars().collect(),
    })
}

fn postmaster(domains: &Domains) -> Option<Mailbox> {
    let first = || {
        domains.local.iter().find_map(|(domain, config)| {
            let name = config.mailboxes.first()?;
            Some(Mailbox { local: name.0.clone(), host: Host::Domain(domain.0.clone()) })
        })
    };
    domains.postmaster.as_ref().map(|address| address.0.clone()).or_else(first)
}
