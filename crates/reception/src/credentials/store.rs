//! The accounts in `state.db`.
//!
//! SQLite in WAL mode, so that the command line may change accounts while the server runs; a change is one transaction. The
//! server notices by `PRAGMA data_version` and reads the accounts anew.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use smtp::Secret;
use smtp::sasl::{ScramVerifier, prepare_name, prepare_password};

use super::account::{Account, AddressPattern};
use super::hash::{HashError, Hasher};
use super::roster::{Entry, Roster};
use crate::config::Passwords;
use crate::directory::fold;

/// Each entry brings the tables from the version of its index to the next.
const MIGRATIONS: &[&str] = &["
    CREATE TABLE account (
        key TEXT PRIMARY KEY,
        name TEXT NOT NULL,
        hash TEXT NOT NULL,
        scram TEXT NOT NULL,
        enabled INTEGER NOT NULL DEFAULT 1,
        created INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE account_address (
        key TEXT NOT NULL REFERENCES account (key) ON DELETE CASCADE,
        position INTEGER NOT NULL,
        address TEXT NOT NULL,
        PRIMARY KEY (key, position)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE account_secret (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
    INSERT INTO account_secret VALUES ('made-up-verifiers', randomblob(32));
"];

/// The accounts. Cheap to clone; also used by the command line, while the server runs.
#[derive(Clone)]
pub struct AccountStore(Arc<Inner>);

struct Inner {
    path: PathBuf,
    hasher: Hasher,
    scram_iterations: u32,
    database: Mutex<Database>,
}

struct Database {
    connection: Connection,
    /// What was read, and at which version of the file.
    roster: Option<(i64, Arc<Roster>)>,
}

/// Why something could not be done with the accounts.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("there is already an account `{0}`")]
    Exists(String),
    #[error("there is no account `{0}`")]
    Unknown(String),
    #[error(
        "`{0}` cannot be the name of an account: 1 to 255 characters without spaces, none of them a control character"
    )]
    BadName(String),
    #[error("the password is empty, longer than 1024 octets, no UTF-8, or has control characters")]
    BadPassword,
    #[error(transparent)]
    Hash(#[from] HashError),
    #[error("a password could not be made ready for SCRAM: {0}")]
    Scram(#[from] smtp::sasl::SaslError),
    #[error("{}: {source}", path.display())]
    Database { path: PathBuf, source: rusqlite::Error },
    #[error("{} cannot be opened: {source}", path.display())]
    Open { path: PathBuf, source: std::io::Error },
    #[error("{} is damaged: {what}; put a copy of it in its place", path.display())]
    Damaged { path: PathBuf, what: String },
    #[error("{} was written by a newer version of gatepost (its accounts have form {found}, this one knows {known})", path.display())]
    Newer { path: PathBuf, found: i64, known: usize },
}

impl AccountStore {
    /// Opens or makes the file, checks it and brings its tables up to date.
    ///
    /// # Errors
    /// Local trouble, with the file named.
    pub fn open(path: &Path, passwords: &Passwords) -> Result<Self, StoreError> {
        let hasher = Hasher::new(passwords)?;
        make_private(path).map_err(|source| StoreError::Open { path: path.to_owned(), source })?;
        let at = |source| StoreError::Database { path: path.to_owned(), source };
        let mut connection = Connection::open(path).map_err(at)?;
        connection.busy_timeout(Duration::from_secs(10)).map_err(at)?;
        connection.pragma_update(None, "journal_mode", "WAL").map_err(at)?;
        connection.pragma_update(None, "synchronous", "FULL").map_err(at)?;
        connection.pragma_update(None, "foreign_keys", true).map_err(at)?;
        let sound: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(at)?;
        if sound != "ok" {
            return Err(StoreError::Damaged { path: path.to_owned(), what: sound });
        }
        migrate(&mut connection, path)?;
        let database = Mutex::new(Database { connection, roster: None });
        let scram_iterations = passwords.scram_iterations.max(4096);
        Ok(Self(Arc::new(Inner { path: path.to_owned(), hasher, scram_iterations, database })))
    }

    /// Makes a new account.
    ///
    /// # Errors
    /// [`StoreError::Exists`], [`StoreError::BadName`], [`StoreError::BadPassword`]; else local trouble.
    pub fn add(&self, name: &str, password: &Secret, addresses: &[AddressPattern]) -> Result<(), StoreError> {
        let bad = || StoreError::BadName(name.chars().filter(|c| !c.is_control()).collect());
        // As a session prepares the name that it is given: it must find this one. No kind of space is left in it.
        let prepared = prepare_name(name.as_bytes()).map_err(|_| bad())?;
        if prepared.contains(' ') {
            return Err(bad());
        }
        let (hash, scram) = self.derive(password)?;
        let key = fold(name);
        self.change(|transaction| {
            let inserted = transaction.execute(
                "INSERT OR IGNORE INTO account VALUES (?1, ?2, ?3, ?4, 1, ?5)",
                params![key, name, hash, scram, queue::Timestamp::now().0.cast_signed()],
            )?;
            if inserted == 1 {
                insert_addresses(transaction, &key, addresses)?;
            }
            Ok(inserted)
        })
        .and_then(|inserted| if inserted == 1 { Ok(()) } else { Err(StoreError::Exists(name.to_owned())) })
    }

    /// All accounts, by name.
    ///
    /// # Errors
    /// Local trouble.
    pub fn list(&self) -> Result<Vec<Account>, StoreError> {
        let mut database = self.lock();
        let entries = self.at(read_entries(&mut database.connection))?;
        Ok(entries.into_iter().map(|entry| entry.account).collect())
    }

    /// # Errors
    /// [`StoreError::Unknown`], [`StoreError::BadPassword`]; else local trouble.
    pub fn set_password(&self, name: &str, password: &Secret) -> Result<(), StoreError> {
        let (hash, scram) = self.derive(password)?;
        self.update(name, |transaction, key| {
            transaction.execute("UPDATE account SET hash = ?2, scram = ?3 WHERE key = ?1", params![key, hash, scram])
        })
    }

    /// # Errors
    /// [`StoreError::Unknown`]; else local trouble.
    pub fn set_enabled(&self, name: &str, enabled: bool) -> Result<(), StoreError> {
        self.update(name, |transaction, key| {
            transaction.execute("UPDATE account SET enabled = ?2 WHERE key = ?1", params![key, enabled])
        })
    }

    /// # Errors
    /// [`StoreError::Unknown`]; else local trouble.
    pub fn set_addresses(&self, name: &str, addresses: &[AddressPattern]) -> Result<(), StoreError> {
        self.update(name, |transaction, key| {
            transaction.execute("DELETE FROM account_address WHERE key = ?1", [key])?;
            let known = transaction.execute("UPDATE account SET key = key WHERE key = ?1", [key])?;
            if known > 0 {
                insert_addresses(transaction, key, addresses)?;
            }
            Ok(known)
        })
    }

    /// # Errors
    /// [`StoreError::Unknown`]; else local trouble.
    pub fn remove(&self, name: &str) -> Result<(), StoreError> {
        self.update(name, |transaction, key| transaction.execute("DELETE FROM account WHERE key = ?1", [key]))
    }

    /// The accounts as they are now. Some microseconds as long as nothing has changed.
    ///
    /// # Errors
    /// Local trouble.
    pub fn roster(&self) -> Result<Arc<Roster>, StoreError> {
        let mut database = self.lock();
        let ask = |connection: &Connection| {
            connection.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get::<_, i64>(0))
        };
        let version = self.at(ask(&database.connection))?;
        if let Some((read, roster)) = &database.roster
            && *read == version
        {
            return Ok(Arc::clone(roster));
        }
        let roster = Arc::new(Roster::new(self.at(read_entries(&mut database.connection))?));
        database.roster = Some((version, Arc::clone(&roster)));
        Ok(roster)
    }

    /// Makes up verifiers for names that do not exist; the same through restarts (RFC 5802 §9).
    pub(super) fn made_up_key(&self) -> Result<Secret, StoreError> {
        let query = "SELECT value FROM account_secret WHERE name = 'made-up-verifiers'";
        let value: Option<Vec<u8>> =
            self.at(self.lock().connection.query_row(query, [], |row| row.get(0)).optional())?;
        value.map(Secret::new).ok_or_else(|| StoreError::Damaged {
            path: self.0.path.clone(),
            what: "the table account_secret is empty".to_owned(),
        })
    }

    pub(super) fn hasher(&self) -> &Hasher {
        &self.0.hasher
    }

    pub(super) fn scram_iterations(&self) -> u32 {
        self.0.scram_iterations
    }

    fn derive(&self, password: &Secret) -> Result<(String, String), StoreError> {
        // As a session prepares the password that it is given: what is hashed here must be what is compared there.
        let password = prepare_password(password.expose()).map_err(|_| StoreError::BadPassword)?;
        let scram = ScramVerifier::generate(&password, self.0.scram_iterations)?;
        Ok((self.0.hasher.hash(&password)?, scram.encode()))
    }

    fn update(
        &self,
        name: &str,
        change: impl FnOnce(&Transaction<'_>, &str) -> rusqlite::Result<usize>,
    ) -> Result<(), StoreError> {
        let changed = self.change(|transaction| change(transaction, &fold(name)))?;
        if changed > 0 { Ok(()) } else { Err(StoreError::Unknown(name.to_owned())) }
    }

    fn change<T>(&self, change: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        let mut database = self.lock();
        // `data_version` tells of changes by others only.
        database.roster = None;
        let work = || {
            let transaction = database.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let done = change(&transaction)?;
            transaction.commit()?;
            Ok(done)
        };
        self.at(work())
    }

    fn at<T>(&self, result: rusqlite::Result<T>) -> Result<T, StoreError> {
        result.map_err(|source| StoreError::Database { path: self.0.path.clone(), source })
    }

    fn lock(&self) -> MutexGuard<'_, Database> {
        self.0.database.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn insert_addresses(transaction: &Transaction<'_>, key: &str, addresses: &[AddressPattern]) -> rusqlite::Result<()> {
    for (position, address) in addresses.iter().enumerate() {
        let values = params![key, position as i64, address.to_string()];
        transaction.execute("INSERT INTO account_address VALUES (?1, ?2, ?3)", values)?;
    }
    Ok(())
}

/// One read transaction, so that an account is never seen with the addresses of a moment before.
fn read_entries(connection: &mut Connection) -> rusqlite::Result<Vec<Entry>> {
    let transaction = connection.transaction()?;
    let mut addresses: std::collections::HashMap<String, Vec<AddressPattern>> = std::collections::HashMap::new();
    let mut query = transaction.prepare_cached("SELECT key, address FROM account_address ORDER BY key, position")?;
    for row in query.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))? {
        let (key, address) = row?;
        match address.parse() {
            Ok(pattern) => addresses.entry(key).or_default().push(pattern),
            Err(error) => tracing::warn!(account = key, address, %error, "an address of an account is not understood"),
        }
    }
    let mut query =
        transaction.prepare_cached("SELECT key, name, hash, scram, enabled, created FROM account ORDER BY key")?;
    let entries = query.query_map([], |row| {
        let key: String = row.get(0)?;
        let scram: String = row.get(3)?;
        let account = Account {
            name: row.get(1)?,
            addresses: addresses.remove(&key).unwrap_or_default(),
            enabled: row.get(4)?,
            created: row.get::<_, i64>(5)?.cast_unsigned(),
        };
        let scram = ScramVerifier::decode(&scram)
            .map_err(|error| rusqlite::Error::FromSqlConversionFailure(3, Type::Text, Box::new(error)))?;
        Ok(Entry { account, hash: row.get(2)?, scram })
    })?;
    entries.collect()
}

/// The file is the owner's alone, also before SQLite writes the first password hash to it.
fn make_private(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    std::fs::OpenOptions::new().append(true).create(true).mode(0o600).open(path).map(drop)
}

fn migrate(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let at = |source| StoreError::Database { path: path.to_owned(), source };
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(at)?;
    // Other rooms may keep tables in the same file; each has its own version.
    let table = "CREATE TABLE IF NOT EXISTS schema_version (room TEXT PRIMARY KEY, version INTEGER NOT NULL) STRICT";
    transaction.execute(table, []).map_err(at)?;
    let query = "SELECT version FROM schema_version WHERE room = 'accounts'";
    let found: i64 = transaction.query_row(query, [], |row| row.get(0)).optional().map_err(at)?.unwrap_or(0);
    let known = MIGRATIONS.len();
    let Some(missing) = usize::try_from(found).ok().and_then(|found| MIGRATIONS.get(found..)) else {
        return Err(StoreError::Newer { path: path.to_owned(), found, known });
    };
    for step in missing {
        transaction.execute_batch(step).map_err(at)?;
    }
    let write = "INSERT INTO schema_version VALUES ('accounts', ?1) ON CONFLICT (room) DO UPDATE SET version = ?1";
    transaction.execute(write, [known as i64]).map_err(at)?;
    transaction.commit().map_err(at)
}
