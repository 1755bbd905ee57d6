//! Passwords that were right some minutes ago: a website that connects anew for each letter pays argon2 once.
//!
//! # Invariants
//! - What is kept is HMAC-SHA-256 under a key that is made at start and lies only in memory.
//! - The stored hash is part of what is hashed: a changed password is forgotten by itself.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use smtp::Secret;
use subtle::ConstantTimeEq;

type Tag = [u8; 32];

pub(super) struct Memory {
    key: Secret,
    keep: Duration,
    tags: Mutex<HashMap<Box<str>, (Tag, Instant)>>,
}

impl Memory {
    pub(super) fn new(key: Secret, keep: Duration) -> Self {
        Self { key, keep, tags: Mutex::default() }
    }

    /// Whether this password was right for this account, with this stored hash, not long ago.
    pub(super) fn knows(&self, name: &str, stored: &str, password: &Secret, now: Instant) -> bool {
        let Some((tag, until)) = self.lock().get(name).copied() else { return false };
        let Some(offered) = self.tag(name, stored, password) else { return false };
        now < until && bool::from(tag.ct_eq(&offered))
    }

    pub(super) fn remember(&self, name: &str, stored: &str, password: &Secret, now: Instant) {
        if self.keep.is_zero() {
            return;
        }
        let (Some(tag), Some(until)) = (self.tag(name, stored, password), now.checked_add(self.keep)) else { return };
        let mut tags = self.lock();
        // Bounded by the number of accounts that log in within `keep`, with some slack.
        if tags.len() == tags.capacity() {
            tags.retain(|_, (_, until)| now < *until);
        }
        tags.insert(name.into(), (tag, until));
    }

    fn tag(&self, name: &str, stored: &str, password: &Secret) -> Option<Tag> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.key.expose()).ok()?;
        for part in [name.as_bytes(), stored.as_bytes(), password.expose()] {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        Some(mac.finalize().into_bytes().into())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Box<str>, (Tag, Instant)>> {
        self.tags.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
