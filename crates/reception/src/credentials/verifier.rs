//! Is this the password?

use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use smtp::sasl::ScramVerifier;
use smtp::{Reply, Secret};

use super::hash::{self, HashError};
use super::memory::Memory;
use super::pool::{Full, Pool};
use super::roster::Roster;
use super::store::{AccountStore, StoreError};
use super::throttle::Throttle;
use crate::config::{LoginLimits, Passwords};
use crate::directory::fold;

/// Checks passwords; one for the whole program, through all reloads.
pub struct Verifier {
    store: AccountStore,
    memory: Memory,
    pool: Pool,
    throttle: Mutex<Throttle>,
    /// Checked for names that do not exist, so that these take as long.
    dummy: Arc<str>,
    made_up: Secret,
}

/// Why a login is not taken.
#[derive(Debug, thiserror::Error)]
pub enum LoginRefusal {
    /// The client's fault. The reply must wait this long.
    #[error("the name or the password is wrong")]
    Wrong { delay: Duration },
    /// Too many failures from there.
    #[error("logins from there are not taken for {} s", .0.as_secs())]
    Blocked(Duration),
    /// As many logins wait as may.
    #[error("too many logins at once")]
    Busy,
    /// Local trouble.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Local trouble.
    #[error(transparent)]
    Hash(#[from] HashError),
}

impl LoginRefusal {
    /// What the client is told; 421 means: and the connection is closed.
    pub fn reply(&self) -> Reply {
        match self {
            // RFC 4954 §6: 535 5.7.8.
            Self::Wrong { .. } => Reply::new(535, (5, 7, 8), "the user name or password is wrong"),
            Self::Blocked(wait) => Reply::new(421, (4, 7, 0), "").with_text(format!(
                "too many failed logins from your network; correct the password and try again in {} minutes",
                wait.as_secs().div_ceil(60).max(1)
            )),
            Self::Busy => Reply::new(454, (4, 7, 0), "too many logins at once; try again in a moment"),
            Self::Store(_) | Self::Hash(_) => {
                Reply::new(454, (4, 7, 0), "logins cannot be checked right now; try again later")
            }
        }
    }
}

impl Verifier {
    /// Starts the threads that hash.
    ///
    /// # Errors
    /// Local trouble: the file, random numbers, threads.
    pub fn new(store: AccountStore, passwords: &Passwords) -> io::Result<Self> {
        let mut random = [0u8; 64];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let (key, nobody) = random.split_at(32);
        let dummy = store.hasher().hash(&Secret::new(nobody)).map_err(io::Error::other)?;
        Ok(Self {
            made_up: store.made_up_key().map_err(io::Error::other)?,
            memory: Memory::new(Secret::new(key), passwords.remember),
            pool: Pool::new(passwords.threads, passwords.waiting)?,
            throttle: Mutex::default(),
            dummy: dummy.into(),
            store,
        })
    }

    /// The accounts as they are now.
    ///
    /// # Errors
    /// Local trouble.
    pub fn roster(&self) -> Result<Arc<Roster>, StoreError> {
        self.store.roster()
    }

    /// Whether `password` is that of the account `name`, and the account may log in.
    ///
    /// # Errors
    /// See [`LoginRefusal`].
    pub async fn login(
        &self,
        limits: &LoginLimits,
        client: IpAddr,
        name: &str,
        password: Secret,
    ) -> Result<(), LoginRefusal> {
        self.may_try(limits, client)?;
        let roster = self.store.roster()?;
        let entry = roster.entry(name).filter(|entry| entry.account.enabled);
        let key = fold(name);
        if let Some(entry) = entry
            && self.memory.knows(&key, &entry.hash, &password, Instant::now())
        {
            return Ok(());
        }
        let stored: Arc<str> = entry.map_or_else(|| Arc::clone(&self.dummy), |entry| entry.hash.as_str().into());
        let (work_password, work_stored) = (password.clone(), Arc::clone(&stored));
        let work = self.pool.run(move || hash::verify(&work_password, &work_stored));
        let right = work.map_err(|Full| LoginRefusal::Busy)?.await.map_err(|_| LoginRefusal::Busy)??;
        if right && entry.is_some() {
            self.memory.remember(&key, &stored, &password, Instant::now());
            return Ok(());
        }
        Err(LoginRefusal::Wrong { delay: self.failed(limits, client, name) })
    }

    /// What a SCRAM exchange for this name is checked against. For a name that does not exist, or may not log in, one that
    /// is made up and stays the same (RFC 5802 §9).
    ///
    /// # Errors
    /// See [`LoginRefusal`].
    pub fn scram(&self, limits: &LoginLimits, client: IpAddr, name: &str) -> Result<ScramVerifier, LoginRefusal> {
        self.may_try(limits, client)?;
        let roster = self.store.roster()?;
        let entry = roster.entry(name).filter(|entry| entry.account.enabled);
        let made_up = || ScramVerifier::made_up(&fold(name), &self.made_up, self.store.scram_iterations());
        Ok(entry.map_or_else(made_up, |entry| entry.scram.clone()))
    }

    /// SCRAM was proved: whether the account (still) may log in.
    ///
    /// # Errors
    /// See [`LoginRefusal`].
    pub fn scram_proved(&self, limits: &LoginLimits, client: IpAddr, name: &str) -> Result<(), LoginRefusal> {
        if self.store.roster()?.is_enabled(name) {
            return Ok(());
        }
        Err(LoginRefusal::Wrong { delay: self.failed(limits, client, name) })
    }

    /// A login failed elsewhere (a SCRAM proof): how long its reply must wait.
    pub fn failed(&self, limits: &LoginLimits, client: IpAddr, name: &str) -> Duration {
        let mut throttle = self.throttle.lock().unwrap_or_else(PoisonError::into_inner);
        throttle.failed(limits, client, name, Instant::now())
    }

    fn may_try(&self, limits: &LoginLimits, client: IpAddr) -> Result<(), LoginRefusal> {
        let throttle = self.throttle.lock().unwrap_or_else(PoisonError::into_inner);
        match throttle.blocked(limits, client, Instant::now()) {
            Some(wait) => Err(LoginRefusal::Blocked(wait)),
            None => Ok(()),
        }
    }
}
