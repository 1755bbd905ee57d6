//! `gatepost account`: made, listed and changed in `state.db`, while the server runs or not.

use std::io::BufRead;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use reception::credentials::{Account, AccountStore, AddressPattern, StoreError, generate_password};
use smtp::Secret;

use super::{AccountCommand, ConfigFile, print_json};
use crate::config;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::output::{GOOD, Table, WARN, paint};

pub fn run(command: AccountCommand) -> Result<(), Fault> {
    match command {
        AccountCommand::Add { name, addresses, password_stdin, file } => add(&name, &addresses, password_stdin, &file),
        AccountCommand::List { json, file } => list(json, &file),
        AccountCommand::Password { name, password_stdin, file } => {
            let (password, made) = password(password_stdin)?;
            open(&file)?.set_password(&name, &password).map_err(refuse)?;
            tell(&name, "has a new password", made.then_some(&password));
            Ok(())
        }
        AccountCommand::Disable { name, file } => {
            open(&file)?.set_enabled(&name, false).map_err(refuse)?;
            tell(&name, "may log in no more", None);
            Ok(())
        }
        AccountCommand::Enable { name, file } => {
            open(&file)?.set_enabled(&name, true).map_err(refuse)?;
            tell(&name, "may log in again", None);
            Ok(())
        }
        AccountCommand::Remove { name, file } => {
            open(&file)?.remove(&name).map_err(refuse)?;
            tell(&name, "is gone", None);
            Ok(())
        }
    }
}

fn add(name: &str, addresses: &[String], password_stdin: bool, file: &ConfigFile) -> Result<(), Fault> {
    let patterns = match addresses {
        // An account that is named like an address owns that address.
        [] => name.parse().map(|own: AddressPattern| vec![own]).map_err(|_| {
            Fault::new(Exit::Usage, format!("which addresses may `{name}` send as?"))
                .help("--address shop@example.org, or --address '*@example.org' for all of a domain")
        })?,
        given => given.iter().map(|text| pattern(text)).collect::<Result<_, _>>()?,
    };
    let store = open(file)?;
    let (password, made) = password(password_stdin)?;
    store.add(name, &password, &patterns).map_err(refuse)?;
    tell(name, "may log in", made.then_some(&password));
    Ok(())
}

fn pattern(text: &str) -> Result<AddressPattern, Fault> {
    text.parse().map_err(|error| {
        Fault::new(Exit::Usage, format!("`{text}` is no address: {error}"))
            .help("write shop@example.org or *@example.org")
    })
}

fn list(json: bool, file: &ConfigFile) -> Result<(), Fault> {
    let accounts = open(file)?.list().map_err(refuse)?;
    if json {
        let rows: Vec<_> = accounts.iter().map(as_json).collect();
        return print_json(&rows);
    }
    if accounts.is_empty() {
        println!("There is no account yet: gatepost account add NAME --address ADDRESS");
        return Ok(());
    }
    let mut table = Table::new(&["ACCOUNT", "STATE", "MAY SEND AS"]);
    for account in &accounts {
        let state = if account.enabled { paint(GOOD, "enabled") } else { paint(WARN, "disabled") };
        let addresses: Vec<String> = account.addresses.iter().map(ToString::to_string).collect();
        table.row([account.name.clone(), state, addresses.join(" ")]);
    }
    anstream::print!("{}", table.render());
    Ok(())
}

fn as_json(account: &Account) -> serde_json::Value {
    serde_json::json!({
        "name": account.name,
        "enabled": account.enabled,
        "created": account.created,
        "addresses": account.addresses.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

/// The password, and whether we made it.
fn password(from_stdin: bool) -> Result<(Secret, bool), Fault> {
    if !from_stdin {
        return Ok((generate_password(), true));
    }
    let mut line = String::new();
    std::io::stdin()
        .lock()
        .read_line(&mut line)
        .map_err(|error| Fault::io(Exit::Usage, "the password cannot be read from standard input", &error))?;
    let password = line.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        return Err(Fault::new(Exit::Usage, "there is no password on standard input").help("its first line is taken"));
    }
    Ok((Secret::new(password), false))
}

fn tell(name: &str, what: &str, made: Option<&Secret>) {
    anstream::println!("{} account {name} {what}", paint(GOOD, "ok"));
    if let Some(password) = made {
        println!("password: {}", String::from_utf8_lossy(password.expose()));
        println!("It is not kept and cannot be shown again.");
    }
}

fn open(file: &ConfigFile) -> Result<AccountStore, Fault> {
    let loaded = config::read(&file.config)?;
    let folder = &loaded.config.server.data_dir;
    crate::server::make_data_dir(folder)?;
    let database = crate::server::state_db(folder);
    let store = AccountStore::open(&database, &loaded.config.passwords).map_err(refuse)?;
    give_away(folder, &database)
        .map_err(|error| Fault::io(Exit::DataDir, format_args!("{}", database.display()), &error))?;
    Ok(store)
}

/// Accounts are often made by root for a server that runs as another user: what root has made here is the folder's
/// owner's.
fn give_away(folder: &Path, database: &Path) -> std::io::Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let owner = std::fs::metadata(folder)?;
    for suffix in ["", "-wal", "-shm"] {
        let mut path = database.as_os_str().to_owned();
        path.push(suffix);
        match std::os::unix::fs::lchown(&path, Some(owner.uid()), Some(owner.gid())) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn refuse(error: StoreError) -> Fault {
    let exit = match error {
        StoreError::Exists(_) | StoreError::Unknown(_) => Exit::Failed,
        _ => Exit::DataDir,
    };
    Fault::new(exit, error.to_string())
}
