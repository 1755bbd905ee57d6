//! Which site the servers of a domain are: where letters meet the same limits.
//!
//! Servers of a large provider, known by their names, are one site however many sets of them there are; else the set of
//! MX hosts itself is the site. Both are pure functions of names.
//!
//! # Invariants
//! - A site's name holds only letters, digits, `-`, `_`, `.`, `,`, `+` and `#`, and is at most a few hundred octets long,
//!   whatever the DNS says; so no set of MX hosts takes the name of a site that the configuration makes (`smtp:…`).
//! - Domains have one `via` only if they have the same servers and trust these for the same reason.
//!
//! # Limits
//! A domain belongs to a provider only if all its servers do. Who names a host of the provider's that is no mail server
//! could make the provider seem dead: what one set of its servers does is therefore never taken for all of them, see
//! [`crate::place::Way::is_one_of_many`].

use deliverability::Shaping;
use queue::{Site, Via};
use sha2::{Digest, Sha256};

/// A longer list of names is shortened.
const LONGEST: usize = 200;

/// The site and the way into it, of servers with these names.
pub(crate) fn of_servers(shaping: &Shaping, domain: &str, names: &[String]) -> (Site, Via) {
    let mut names: Vec<String> = names.iter().map(|name| name.to_ascii_lowercase()).collect();
    names.sort_unstable();
    names.dedup();
    let set: std::sync::Arc<str> = shortened(&names).into();
    let site = provider(shaping, &names).map_or_else(|| Site(set.clone()), |name| Site(name.into()));
    // A server that has the domain's own name was named by the sender and not by the DNS: nobody else shares its connections.
    let own = names.iter().any(|name| name.eq_ignore_ascii_case(domain));
    let via = if own { Via(format!("{set}#own:{domain}").into()) } else { Via(set) };
    (site, via)
}

/// The site of a domain that has no servers, or whose servers cannot be found out.
pub(crate) fn of_nobody(domain: &str) -> (Site, Via) {
    let key: std::sync::Arc<str> = format!("mx:{domain}").into();
    (Site(key.clone()), Via(key))
}

fn provider<'s>(shaping: &'s Shaping, names: &[String]) -> Option<&'s str> {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    shaping.provider_of(&names)
}

/// The names with commas between; a long list, or one of strange names, is its first plain name and a hash of all.
fn shortened(names: &[String]) -> String {
    let all = names.join(",");
    if all.len() <= LONGEST && names.iter().all(|name| is_plain(name)) {
        return all;
    }
    let hash = Sha256::digest(all.as_bytes());
    let hash: String = hash.iter().take(16).map(|octet| format!("{octet:02x}")).collect();
    match names.iter().find(|name| is_plain(name) && name.len() <= LONGEST) {
        Some(first) => format!("{first},+{}#{hash}", names.len() - 1),
        None => format!("+{}#{hash}", names.len()),
    }
}

fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.'))
}

#[cfg(test)]
mod tests;
