//! What quickstart prints: the port table as measured, and lines to try by hand.

use std::net::SocketAddr;
use std::path::Path;

use smtp::Secret;

use super::{ACCOUNT, STRANGER};
use crate::certificates::LocalCertificate;
use crate::output::{BAD, GOOD, HEAD, paint};
use crate::ports::Port;

/// Lines that work when pasted; `@name@` stands for what was made.
const HINTS: &str = include_str!("hints.txt");

/// What one port showed.
#[derive(Debug, serde::Serialize)]
pub struct Row {
    #[serde(flatten)]
    pub port: Port,
    /// Where it is served here.
    pub address: SocketAddr,
    pub ok: bool,
    /// Protocol and cipher as negotiated.
    pub tls: String,
    pub login: String,
    pub milliseconds: u128,
    pub error: Option<String>,
}

pub fn print(rows: &[Row]) {
    let head = format!("{:<6}{:<24}{:<21}{}", "PORT", "ENCRYPTION", "LOGIN", "RESULT");
    anstream::println!("{}", paint(HEAD, &head));
    for row in rows {
        print_row(row);
    }
    let others: Vec<String> = rows
        .iter()
        .filter(|row| row.stands_in())
        .map(|row| format!("{} for {}", row.address.port(), row.port.number))
        .collect();
    if !others.is_empty() {
        println!("* {}: the port itself is taken, or needs a right.", others.join(", "));
    }
}

impl Row {
    /// Served at another number than its own.
    fn stands_in(&self) -> bool {
        self.address.port() != self.port.number
    }
}

fn print_row(row: &Row) {
    let star = if row.stands_in() { "*" } else { "" };
    let port = format!("{}{star}", row.address.port());
    let result = if row.ok { format!("{} {} ms", paint(GOOD, "ok"), row.milliseconds) } else { paint(BAD, "failed") };
    let (protocol, cipher) = row.tls.split_once(' ').unwrap_or((&row.tls, ""));
    let mode = if row.port.profile == "submissions" { "at once" } else { "STARTTLS" };
    let encryption = if row.tls.is_empty() { row.port.encryption.into() } else { format!("{protocol}, {mode}") };
    anstream::println!("{port:<6}{encryption:<24}{:<21}{result}", row.login);
    anstream::println!("      {cipher:<24}{}; blocked {}", row.port.purpose, row.port.blocked);
    if let Some(error) = &row.error {
        anstream::println!("      {}", paint(BAD, error));
    }
}

pub fn print_hints(rows: &[Row], folder: &Path, certificate: &LocalCertificate, password: &Secret) {
    let port = |profile: &str| {
        rows.iter().find(|row| row.port.profile == profile).map_or(0, |row| row.address.port()).to_string()
    };
    let path = |path: &Path| path.display().to_string();
    let program = std::env::current_exe().map_or_else(|_| "gatepost".to_owned(), |exe| path(&exe));
    let made = [
        ("@account@", ACCOUNT.to_owned()),
        ("@stranger@", STRANGER.to_owned()),
        ("@password@", String::from_utf8_lossy(password.expose()).into_owned()),
        ("@authority@", path(&certificate.authority)),
        ("@submission@", port("submission")),
        ("@submissions@", port("submissions")),
        ("@mail@", path(&folder.join("mail"))),
        ("@config@", path(&folder.join("gatepost.toml"))),
        ("@program@", program),
    ];
    let text = made.iter().fold(HINTS.to_owned(), |text, (name, value)| text.replace(name, value));
    anstream::println!("\n{}{text}", paint(HEAD, "Try it yourself"));
}
