//! What both sides of SCRAM share: the keys (RFC 5802 §3), the messages (§7), the channel binding (RFC 9266, RFC 5929).

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::{SaslError, decode_base64, encode_base64, prepare_password};
use crate::secret::Secret;
use crate::tls::TlsInfo;

/// RFC 7677 §4: "the hash iteration-count announced by a server SHOULD be at least 4096".
pub const MIN_ITERATIONS: u32 = 4096;
/// About a third of a second of our own time; a server that asks for more wants to keep us busy.
pub const MAX_ITERATIONS: u32 = 1_000_000;
const LONGEST_NONCE: usize = 512;

pub(super) type Key = [u8; 32];

/// What a server keeps of a password for SCRAM (RFC 5802 §3): no way back to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScramVerifier {
    pub salt: Vec<u8>,
    pub iterations: u32,
    pub stored_key: Secret,
    pub server_key: Secret,
}

/// The text is no verifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a verifier has the form SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey")]
pub struct BadVerifier;

impl ScramVerifier {
    /// RFC 5802 §3: SaltedPassword by PBKDF2-HMAC-SHA-256. Slow on purpose: not for a thread that serves connections.
    pub fn derive(password: &Secret, salt: &[u8], iterations: u32) -> Self {
        let salted = salted_password(password, salt, iterations);
        Self {
            salt: salt.to_vec(),
            iterations,
            stored_key: Secret::new(sha256(&client_key(&salted))),
            server_key: Secret::new(server_key(&salted)),
        }
    }

    /// With a fresh salt.
    pub fn generate(password: &Secret, iterations: u32) -> Result<Self, SaslError> {
        let mut salt = [0; 16];
        getrandom::fill(&mut salt).map_err(|_| SaslError::NoRandomness)?;
        Ok(Self::derive(password, &salt, iterations))
    }

    /// For a name that has no account: always the same for the name, and nobody has its password (RFC 5802 §9). `key` is
    /// the server's own secret; without it a made-up salt could be told from a real one.
    pub fn made_up(authcid: &str, key: &Secret, iterations: u32) -> Self {
        let key = sha256(key.expose());
        let of = |purpose: &[u8]| hmac(&key, &[purpose, authcid.as_bytes()]);
        Self {
            salt: of(b"salt ").iter().copied().take(16).collect(),
            iterations,
            stored_key: Secret::new(of(b"stored key ")),
            server_key: Secret::new(of(b"server key ")),
        }
    }

    /// Whether this is the password, for PLAIN and LOGIN. As slow as [`ScramVerifier::derive`].
    pub fn verify(&self, password: &Secret) -> bool {
        let claimed = Self::derive(password, &self.salt, self.iterations);
        claimed.stored_key.expose().ct_eq(self.stored_key.expose()).into()
    }

    /// For storage: `SCRAM-SHA-256$4096:salt$StoredKey:ServerKey`, the binary parts in base64. Keep it as secret as a
    /// password's hash.
    pub fn encode(&self) -> String {
        let [salt, stored, server] =
            [&self.salt, self.stored_key.expose(), self.server_key.expose()].map(encode_base64);
        format!("SCRAM-SHA-256${}:{salt}${stored}:{server}", self.iterations)
    }

    /// Reads what [`ScramVerifier::encode`] wrote.
    ///
    /// # Errors
    /// Whoever wrote the text did it wrong; trying again does not help.
    pub fn decode(text: &str) -> Result<Self, BadVerifier> {
        Self::parse(text).ok_or(BadVerifier)
    }

    fn parse(text: &str) -> Option<Self> {
        let (hashing, keys) = text.strip_prefix("SCRAM-SHA-256$")?.split_once('$')?;
        let (iterations, salt) = hashing.split_once(':')?;
        let (stored, server) = keys.split_once(':')?;
        let iterations = number(iterations).filter(|n| *n > 0)?;
        let salt = decode_base64(salt.as_bytes()).ok().filter(|salt| !salt.is_empty())?;
        let [stored_key, server_key] = [decode_key(stored)?, decode_key(server)?].map(Secret::new);
        Some(Self { salt, iterations, stored_key, server_key })
    }
}

/// Hi() of RFC 5802 §2.2. The password is prepared first; one that cannot be prepared is hashed as it is.
pub(super) fn salted_password(password: &Secret, salt: &[u8], iterations: u32) -> Key {
    let prepared = prepare_password(password.expose());
    let password = prepared.as_ref().unwrap_or(password);
    pbkdf2::pbkdf2_hmac_array::<Sha256, 32>(password.expose(), salt, iterations)
}

/// RFC 5802 §3: `ClientKey := HMAC(SaltedPassword, "Client Key")`.
pub(super) fn client_key(salted: &Key) -> Key {
    hmac(salted, &[b"Client Key"])
}

/// RFC 5802 §3: `ServerKey := HMAC(SaltedPassword, "Server Key")`.
pub(super) fn server_key(salted: &Key) -> Key {
    hmac(salted, &[b"Server Key"])
}

pub(super) fn sha256(bytes: &[u8]) -> Key {
    Sha256::digest(bytes).into()
}

pub(super) fn hmac(key: &Key, parts: &[&[u8]]) -> Key {
    // Shorter keys are filled with zeros to the size of a block (RFC 2104 §2), so this is the same key.
    let mut block = [0; 64];
    block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
    let mut mac = Hmac::<Sha256>::new(&block.into());
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

/// RFC 5802 §3: `ClientProof := ClientKey XOR ClientSignature`; the same turns the proof back.
pub(super) fn xor(a: &Key, b: &Key) -> Key {
    std::array::from_fn(|i| a[i] ^ b[i])
}

pub(super) fn decode_key(text: &str) -> Option<Key> {
    decode_base64(text.as_bytes()).ok()?.try_into().ok()
}

/// RFC 5802 §7: `posit-number = %x31-39 *DIGIT`.
pub(super) fn number(text: &str) -> Option<u32> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?
}

/// 18 random octets in base64, which has no comma.
pub(super) fn fresh_nonce() -> Result<String, SaslError> {
    let mut random = [0; 18];
    getrandom::fill(&mut random).map_err(|_| SaslError::NoRandomness)?;
    Ok(encode_base64(&random))
}

/// RFC 5802 §7: `printable = %x21-2B / %x2D-7E`. The length is ours.
pub(super) fn is_nonce(text: &str) -> bool {
    (1..=LONGEST_NONCE).contains(&text.len()) && text.bytes().all(|b| matches!(b, 0x21..=0x2b | 0x2d..=0x7e))
}

/// RFC 5802 §5.1: `=` and `,` in a name are sent as `=3D` and `=2C`.
pub(super) fn escape_name(name: &str) -> String {
    name.replace('=', "=3D").replace(',', "=2C")
}

/// The way back. RFC 5802 §5.1: "If the server receives a username that contains '=' not followed by either '2C' or '3D',
/// then the server MUST fail the authentication."
pub(super) fn unescape_name(text: &str) -> Option<String> {
    let mut parts = text.split('=');
    let mut name = parts.next()?.to_owned();
    for part in parts {
        let (c, rest) = match (part.strip_prefix("2C"), part.strip_prefix("3D")) {
            (Some(rest), _) => (',', rest),
            (_, Some(rest)) => ('=', rest),
            _ => return None,
        };
        name.push(c);
        name.push_str(rest);
    }
    Some(name)
}

/// A channel binding that we know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Binding {
    /// RFC 9266; the one for TLS 1.3.
    TlsExporter,
    /// RFC 5929 §4; the one for TLS 1.2.
    TlsServerEndPoint,
}

impl Binding {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::TlsExporter => "tls-exporter",
            Self::TlsServerEndPoint => "tls-server-end-point",
        }
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        [Self::TlsExporter, Self::TlsServerEndPoint].into_iter().find(|binding| binding.name() == name)
    }

    /// What this connection has for it.
    pub(super) fn data(self, tls: &TlsInfo) -> Option<&Secret> {
        match self {
            Self::TlsExporter => tls.exporter.as_ref(),
            Self::TlsServerEndPoint => tls.end_point.as_ref(),
        }
    }

    /// The one that a client uses: the exporter where there is TLS 1.3, else the certificate's hash, which every server
    /// with TLS 1.2 can compute.
    pub(super) fn preferred(tls: &TlsInfo) -> Option<Self> {
        let order = match tls.protocol {
            "TLSv1.2" => [Self::TlsServerEndPoint, Self::TlsExporter],
            _ => [Self::TlsExporter, Self::TlsServerEndPoint],
        };
        order.into_iter().find(|binding| binding.data(tls).is_some())
    }
}

impl fmt::Display for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
