//! SASL (RFC 4422): PLAIN (RFC 4616), LOGIN, SCRAM-SHA-256 and -PLUS (RFC 5802, 7677, 9266), both sides, without I/O.

use crate::secret::Secret;

/// A mechanism that is offered or used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mechanism {
    Plain,
    Login,
    ScramSha256,
    ScramSha256Plus,
}

/// What a server keeps of a password for SCRAM (RFC 5802 §3): no way back to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScramVerifier {
    pub salt: Vec<u8>,
    pub iterations: u32,
    pub stored_key: Secret,
    pub server_key: Secret,
}

impl ScramVerifier {
    /// RFC 5802 §3: SaltedPassword by PBKDF2-HMAC-SHA-256.
    pub fn derive(_password: &Secret, _salt: &[u8], _iterations: u32) -> Self {
        unimplemented!()
    }
}
