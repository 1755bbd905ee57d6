//! The server's side of an exchange.

use subtle::ConstantTimeEq as _;

use super::scram::{self, Binding, Key};
use super::{Mechanism, SaslError, ScramVerifier, decode_base64, encode_base64, prepare_name, prepare_password};
use crate::secret::Secret;
use crate::tls::TlsInfo;

/// What the session does next.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Send it by 334 and give the client's response to [`ServerExchange::step`].
    Challenge(Vec<u8>),
    /// PLAIN, LOGIN: ask whether this is the password. The exchange is over.
    NeedPassword { authcid: String, password: Secret },
    /// SCRAM: ask for the verifier and give it to [`ServerExchange::handle_verifier`]; for an unknown name a made-up one.
    NeedVerifier { authcid: String },
    /// SCRAM: the client has proved its password. If it may come in, send `final_message` by 334 so that it sees that we
    /// know the password too, read its response, which is empty, and only then say 235 (RFC 4954 §4). The exchange is over.
    Proved { authcid: String, final_message: Vec<u8> },
    /// Say [`SaslError::reply`]. The exchange is over.
    Failed(SaslError),
}

/// One AUTH command's exchange.
///
/// # How it is used
/// [`ServerExchange::start`], then for each [`Step`] what it says. What comes out of turn fails the exchange.
#[derive(Debug)]
pub struct ServerExchange {
    state: State,
}

#[derive(Debug)]
enum State {
    Plain,
    LoginName,
    LoginPassword { authcid: String },
    ScramFirst(Channel),
    ScramVerifier(First),
    ScramFinal(Box<Final>),
    Over,
}

/// What SCRAM has to know of the connection.
#[derive(Debug)]
struct Channel {
    plus: bool,
    plus_offered: bool,
    tls: Option<TlsInfo>,
}

/// The client's first message, understood.
#[derive(Debug)]
struct First {
    authcid: String,
    nonce: String,
    /// The message without its GS2 header; part of what is signed.
    bare: String,
    /// What `c=` has to be: the GS2 header and the channel binding's data.
    binding: Secret,
}

/// What the client's final message is held against.
#[derive(Debug)]
struct Final {
    authcid: String,
    nonce: String,
    binding: Secret,
    /// `client-first-message-bare "," server-first-message ","`; the final one follows.
    signed: String,
    stored_key: Secret,
    server_key: Secret,
}

impl ServerExchange {
    /// `offered` is what EHLO offered on this connection: a client that could bind the channel and did not see the offer
    /// is being deceived. `initial` is the decoded initial response.
    pub fn start(
        mechanism: Mechanism,
        offered: &[Mechanism],
        tls: Option<&TlsInfo>,
        initial: Option<&[u8]>,
    ) -> (Self, Step) {
        let state = match mechanism {
            Mechanism::Plain => State::Plain,
            Mechanism::Login => State::LoginName,
            Mechanism::ScramSha256 | Mechanism::ScramSha256Plus => State::ScramFirst(Channel {
                plus: mechanism == Mechanism::ScramSha256Plus,
                plus_offered: offered.contains(&Mechanism::ScramSha256Plus),
                tls: tls.cloned(),
            }),
        };
        let mut exchange = Self { state };
        let step = match (initial, mechanism) {
            (Some(response), _) => exchange.step(response),
            (None, Mechanism::Login) => Step::Challenge(b"Username:".to_vec()),
            (None, _) => Step::Challenge(Vec::new()),
        };
        (exchange, step)
    }

    /// The client's response, decoded.
    pub fn step(&mut self, response: &[u8]) -> Step {
        let step = match std::mem::replace(&mut self.state, State::Over) {
            State::Plain => plain(response),
            State::LoginName => self.login_name(response),
            State::LoginPassword { authcid } => {
                prepare_password(response).map(|password| Step::NeedPassword { authcid, password })
            }
            State::ScramFirst(channel) => self.scram_first(&channel, response),
            State::ScramFinal(expected) => scram_final(*expected, response),
            State::ScramVerifier(_) | State::Over => Err(SaslError::OutOfOrder),
        };
        step.unwrap_or_else(Step::Failed)
    }

    /// The answer to [`Step::NeedVerifier`].
    pub fn handle_verifier(&mut self, verifier: ScramVerifier) -> Step {
        scram::fresh_nonce().and_then(|nonce| self.scram_challenge(verifier, &nonce)).unwrap_or_else(Step::Failed)
    }

    fn login_name(&mut self, response: &[u8]) -> Result<Step, SaslError> {
        self.state = State::LoginPassword { authcid: prepare_name(response)? };
        Ok(Step::Challenge(b"Password:".to_vec()))
    }

    fn scram_first(&mut self, channel: &Channel, response: &[u8]) -> Result<Step, SaslError> {
        let first = First::parse(channel, response)?;
        let authcid = first.authcid.clone();
        self.state = State::ScramVerifier(first);
        Ok(Step::NeedVerifier { authcid })
    }

    /// RFC 5802 §7: `server-first-message = [reserved-mext ","] nonce "," salt "," iteration-count`.
    pub(super) fn scram_challenge(&mut self, verifier: ScramVerifier, nonce: &str) -> Result<Step, SaslError> {
        let State::ScramVerifier(first) = std::mem::replace(&mut self.state, State::Over) else {
            return Err(SaslError::OutOfOrder);
        };
        let nonce = format!("{}{nonce}", first.nonce);
        let challenge = format!("r={nonce},s={},i={}", encode_base64(&verifier.salt), verifier.iterations);
        self.state = State::ScramFinal(Box::new(Final {
            authcid: first.authcid,
            nonce,
            binding: first.binding,
            signed: format!("{},{challenge},", first.bare),
            stored_key: verifier.stored_key,
            server_key: verifier.server_key,
        }));
        Ok(Step::Challenge(challenge.into_bytes()))
    }
}

/// RFC 4616 §2: `message = [authzid] UTF8NUL authcid UTF8NUL passwd`.
fn plain(response: &[u8]) -> Result<Step, SaslError> {
    let mut parts = response.split(|b| *b == 0);
    let (Some(authzid), Some(authcid), Some(password), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(SaslError::Malformed);
    };
    let authcid = prepare_name(authcid)?;
    own_identity(authzid, &authcid)?;
    Ok(Step::NeedPassword { authcid, password: prepare_password(password)? })
}

/// An authorization identity is empty or the user's own name; anything else would be acting for another (CVE-2023-27582
/// and its kin took it unchecked).
fn own_identity(authzid: &[u8], authcid: &str) -> Result<(), SaslError> {
    match authzid.is_empty() || prepare_name(authzid)? == authcid {
        true => Ok(()),
        false => Err(SaslError::ForeignIdentity),
    }
}

impl First {
    /// RFC 5802 §7:
    /// ```abnf
    /// client-first-message      = gs2-header client-first-message-bare
    /// gs2-header                = gs2-cbind-flag "," [ authzid ] ","
    /// client-first-message-bare = [reserved-mext ","] username "," nonce ["," extensions]
    /// ```
    fn parse(channel: &Channel, response: &[u8]) -> Result<Self, SaslError> {
        let text = std::str::from_utf8(response).map_err(|_| SaslError::Malformed)?;
        let (flag, rest) = text.split_once(',').ok_or(SaslError::Malformed)?;
        let (authzid, bare) = rest.split_once(',').ok_or(SaslError::Malformed)?;
        let header = text.strip_suffix(bare).unwrap_or_default();

        let mut attributes = bare.split(',');
        // A mandatory extension (`m=`) that we do not know must fail (RFC 5802 §5.1); it stands where the name should.
        let name = attributes.next().and_then(|a| a.strip_prefix("n=")).ok_or(SaslError::Malformed)?;
        let nonce = attributes.next().and_then(|a| a.strip_prefix("r=")).ok_or(SaslError::Malformed)?;
        if !scram::is_nonce(nonce) {
            return Err(SaslError::Malformed);
        }
        let authcid = prepare_name(scram::unescape_name(name).ok_or(SaslError::Malformed)?.as_bytes())?;
        if !authzid.is_empty() {
            let authzid = authzid.strip_prefix("a=").and_then(scram::unescape_name).ok_or(SaslError::Malformed)?;
            own_identity(authzid.as_bytes(), &authcid)?;
        }
        let binding = Secret::new([header.as_bytes(), channel.data(flag)?].concat());
        Ok(Self { authcid, nonce: nonce.to_owned(), bare: bare.to_owned(), binding })
    }
}

impl Channel {
    /// The data that the GS2 flag asks to be bound (RFC 5802 §6 and §7).
    fn data(&self, flag: &str) -> Result<&[u8], SaslError> {
        match (flag, flag.strip_prefix("p=")) {
            // "If the flag is set to "y" and the server supports channel binding, the server MUST fail authentication."
            ("y", _) if self.plus_offered => Err(SaslError::Downgraded),
            ("n" | "y", _) if !self.plus => Ok(&[]),
            (_, Some(name)) if self.plus => {
                let binding = Binding::from_name(name).ok_or(SaslError::UnsupportedBinding)?;
                let data = self.tls.as_ref().and_then(|tls| binding.data(tls)).ok_or(SaslError::UnsupportedBinding)?;
                Ok(data.expose())
            }
            _ => Err(SaslError::Malformed),
        }
    }
}

/// RFC 5802 §7: `client-final-message = channel-binding "," nonce ["," extensions] "," proof`.
fn scram_final(expected: Final, response: &[u8]) -> Result<Step, SaslError> {
    let text = std::str::from_utf8(response).map_err(|_| SaslError::Malformed)?;
    let (unproved, proof) = text.rsplit_once(",p=").ok_or(SaslError::Malformed)?;
    let proof = scram::decode_key(proof).ok_or(SaslError::Malformed)?;
    let mut attributes = unproved.split(',');
    let binding = attributes.next().and_then(|a| a.strip_prefix("c=")).ok_or(SaslError::Malformed)?;
    let nonce = attributes.next().and_then(|a| a.strip_prefix("r=")).ok_or(SaslError::Malformed)?;

    let binding = decode_base64(binding.as_bytes()).map_err(|_| SaslError::Malformed)?;
    if !bool::from(binding.ct_eq(expected.binding.expose())) {
        return Err(SaslError::WrongBinding);
    }
    if nonce != expected.nonce {
        return Err(SaslError::WrongNonce);
    }
    let stored_key = key(&expected.stored_key)?;
    let signed = [expected.signed.as_bytes(), unproved.as_bytes()];
    let claimed_client_key = scram::xor(&proof, &scram::hmac(&stored_key, &signed));
    if !bool::from(scram::sha256(&claimed_client_key).ct_eq(&stored_key)) {
        return Err(SaslError::WrongProof);
    }
    let signature = scram::hmac(&key(&expected.server_key)?, &signed);
    let final_message = format!("v={}", encode_base64(&signature)).into_bytes();
    Ok(Step::Proved { authcid: expected.authcid, final_message })
}

fn key(secret: &Secret) -> Result<Key, SaslError> {
    secret.expose().try_into().map_err(|_| SaslError::DamagedVerifier)
}
