//! MAIL FROM: whom one may say to be.

use mail::header::fields;
use smtp::{Mailbox, Reply, ReversePath};

use crate::credentials::Account;
use crate::directory::Directory;

/// How an account may send under a reverse-path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum May {
    Send,
    /// From `<>`, where the letter itself shows that it is the account's: receipts and other automatic answers
    /// (RFC 8098 §3, RFC 3834 §4) have no return path.
    SendIfItIsTheirs,
}

/// Whether an account may send as `from`: it owns the address, or the address without its tag (RFC 6409 §6.1).
///
/// # Errors
/// The refusal. The account is told what it owns: it has proved who it is.
pub(super) fn owned(account: &Account, from: &ReversePath, directory: &Directory) -> Result<May, Reply> {
    if account.owns(from) {
        return Ok(May::Send);
    }
    let Some(mailbox) = from.mailbox() else {
        return if account.addresses.is_empty() { Err(not_theirs(account)) } else { Ok(May::SendIfItIsTheirs) };
    };
    if directory.without_tag(mailbox).is_some_and(|base| account.owns(&ReversePath::Mailbox(base))) {
        return Ok(May::Send);
    }
    Err(Reply::new(553, (5, 7, 1), "").with_text(format!("you may not send as {mailbox}; {}", owns(account))))
}

/// Whether a letter from `<>` with this header is the account's.
///
/// # Errors
/// The refusal.
pub(super) fn written_by(account: &Account, header: &[u8], directory: &Directory) -> Result<(), Reply> {
    let theirs = |author| matches!(owned(account, &ReversePath::Mailbox(author), directory), Ok(May::Send));
    if author(header).is_some_and(theirs) { Ok(()) } else { Err(not_theirs(account)) }
}

/// The one author of a letter: `ann@example.org`, `Ann <ann@example.org>`. What is harder to read is nobody's.
fn author(header: &[u8]) -> Option<Mailbox> {
    let mut from = fields(header).filter(|field| field.is("From"));
    let (only, None) = (from.next()?, from.next()) else { return None };
    let value = String::from_utf8(only.unfolded().into_owned()).ok()?;
    let address = match value.split_once('<') {
        Some((_, address)) => address.trim_end().strip_suffix('>')?,
        None => value.as_str(),
    };
    address.trim().parse().ok()
}

fn not_theirs(account: &Account) -> Reply {
    Reply::new(550, (5, 7, 1), "").with_text(format!(
        "a letter from the null sender <> must have an address of your own in its From field; {}",
        owns(account)
    ))
}

fn owns(account: &Account) -> String {
    const SHOWN: usize = 5;
    let some: Vec<String> = account.addresses.iter().take(SHOWN).map(ToString::to_string).collect();
    match account.addresses.len() {
        0 => format!("the account {} has no addresses yet", account.name),
        n if n > SHOWN => format!("the account {} has {} and {} more", account.name, some.join(", "), n - SHOWN),
        _ => format!("the account {} has {}", account.name, some.join(", ")),
    }
}
