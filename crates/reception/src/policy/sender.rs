//! MAIL FROM: whom one may say to be.

use smtp::{Reply, ReversePath};

use crate::credentials::Account;
use crate::directory::Directory;

/// Whether an account may send as `from`: it owns the address, or the address without its tag (RFC 6409 §6.1).
///
/// # Errors
/// The refusal. The account is told what it owns: it has proved who it is.
pub(super) fn owned(account: &Account, from: &ReversePath, directory: &Directory) -> Result<(), Reply> {
    if account.owns(from) {
        return Ok(());
    }
    let Some(mailbox) = from.mailbox() else {
        return Err(Reply::new(550, (5, 7, 1), "").with_text(format!(
            "the null sender <> is for the reports of mail servers; use an address of your own: {}",
            owns(account)
        )));
    };
    if directory.without_tag(mailbox).is_some_and(|base| account.owns(&ReversePath::Mailbox(base))) {
        return Ok(());
    }
    Err(Reply::new(553, (5, 7, 1), "").with_text(format!("you may not send as {mailbox}; {}", owns(account))))
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
