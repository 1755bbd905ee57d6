//! `gatepost sendmail`: the way in for programs that call /usr/sbin/sendmail.

mod address_list;
pub mod dropbox;
pub mod letter;
pub mod options;
pub mod smtp_on_stdin;

pub use address_list::addresses;

/// The name of a user, by /etc/passwd; `uid-1000` where there is none.
pub fn user_name(uid: u32) -> String {
    let table = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = table.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    });
    name.unwrap_or_else(|| format!("uid-{uid}"))
}
