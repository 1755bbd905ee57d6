//! argon2id, as a PHC string (`$argon2id$v=19$m=…,t=…,p=1$salt$hash`).

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use smtp::Secret;

use crate::config::Passwords;

/// Hashes new passwords with the configured cost; checks with the cost that a hash names.
#[derive(Clone, Debug)]
pub(super) struct Hasher {
    params: Params,
}

/// Local trouble: no memory, no random numbers, or a cost that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a password could not be hashed: {0}")]
pub struct HashError(String);

impl Hasher {
    /// # Errors
    /// For figures that argon2 does not allow.
    pub(super) fn new(passwords: &Passwords) -> Result<Self, HashError> {
        let kibibytes = u32::try_from(passwords.argon2_memory / 1024).unwrap_or(u32::MAX);
        let params = Params::new(kibibytes, passwords.argon2_passes, 1, None);
        params.map(|params| Self { params }).map_err(|error| HashError(error.to_string()))
    }

    pub(super) fn hash(&self, password: &Secret) -> Result<String, HashError> {
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, self.params.clone());
        let hash = argon2.hash_password(password.expose()).map_err(|error| HashError(error.to_string()))?;
        Ok(hash.to_string())
    }
}

/// Whether this is the password of `hash`.
///
/// # Errors
/// Where it could not be found out.
pub(super) fn verify(password: &Secret, hash: &str) -> Result<bool, HashError> {
    use argon2::password_hash::Error;
    let parsed = PasswordHash::new(hash).map_err(|error| HashError(error.to_string()))?;
    match Argon2::default().verify_password(password.expose(), &parsed) {
        Ok(()) => Ok(true),
        Err(Error::PasswordInvalid) => Ok(false),
        Err(error) => Err(HashError(error.to_string())),
    }
}
