//! The client's side of an exchange.

use subtle::ConstantTimeEq as _;

use super::scram::{self, Binding, Key, MAX_ITERATIONS, MIN_ITERATIONS};
use super::{Mechanism, SaslError, decode_base64, encode_base64, prepare_name, prepare_password};
use crate::secret::Secret;
use crate::tls::TlsInfo;

/// One AUTH command's exchange, as the client that wants in.
///
/// # How it is used
/// `AUTH <mechanism> [<initial>]`; each 334 goes to [`ClientExchange::step`], whose result is the response; at 235
/// [`ClientExchange::finish`] says whether to believe it. A server that takes no initial response gets it as its first
/// step's answer instead.
#[derive(Debug)]
pub struct ClientExchange {
    authcid: String,
    password: Secret,
    state: State,
}

#[derive(Debug)]
enum State {
    Plain,
    LoginName,
    LoginPassword,
    ScramFirst(Start),
    ScramChallenge(Start),
    ScramVerdict {
        signature: Key,
    },
    /// Nothing is left to be sent.
    Done,
    /// Something went wrong before.
    Over,
}

/// The client's own first message, in its parts.
#[derive(Debug)]
struct Start {
    /// `n,,`, `y,,` or `p=…,,`.
    header: String,
    /// The header's channel binding data.
    binding: Option<Secret>,
    nonce: String,
    /// `n=…,r=…`.
    bare: String,
}

impl ClientExchange {
    /// `tls` is the connection's; with it SCRAM-SHA-256 tells the server that we could have bound the channel, so use
    /// that mechanism under TLS only where the server did not offer -PLUS, as [`Mechanism::choose`] does.
    pub fn new(
        mechanism: Mechanism,
        authcid: &str,
        password: &Secret,
        tls: Option<&TlsInfo>,
    ) -> Result<Self, SaslError> {
        let authcid = prepare_name(authcid.as_bytes())?;
        let state = match mechanism {
            Mechanism::Plain => State::Plain,
            Mechanism::Login => State::LoginName,
            _ => State::ScramFirst(Start::new(mechanism, &authcid, tls, scram::fresh_nonce()?)?),
        };
        Ok(Self { authcid, password: prepare_password(password.expose())?, state })
    }

    /// What may stand behind the mechanism in the AUTH command; LOGIN has nothing there.
    pub fn initial(&mut self) -> Option<Secret> {
        match self.state {
            State::Plain | State::ScramFirst(_) => self.step(&[]).ok(),
            _ => None,
        }
    }

    /// The response to a challenge, both decoded.
    ///
    /// # Errors
    /// The server misbehaves or does not know the password. Cancel the exchange by `*` (RFC 4954 §4).
    pub fn step(&mut self, challenge: &[u8]) -> Result<Secret, SaslError> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Plain => Ok(self.plain()),
            // What LOGIN's challenges say differs from server to server; only their order counts.
            State::LoginName => {
                self.state = State::LoginPassword;
                Ok(Secret::new(self.authcid.as_bytes()))
            }
            State::LoginPassword => {
                self.state = State::Done;
                Ok(self.password.clone())
            }
            State::ScramFirst(start) => {
                let message = format!("{}{}", start.header, start.bare);
                self.state = State::ScramChallenge(start);
                Ok(Secret::new(message))
            }
            State::ScramChallenge(start) => self.scram_prove(&start, challenge),
            State::ScramVerdict { signature } => self.scram_verdict(&signature, challenge),
            State::Done | State::Over => Err(SaslError::OutOfOrder),
        }
    }

    /// The server said 235: is it to be believed? With SCRAM only one that has proved that it knows the password.
    pub fn finish(&self) -> Result<(), SaslError> {
        match self.state {
            State::Done => Ok(()),
            State::ScramFirst(_) | State::ScramChallenge(_) | State::ScramVerdict { .. } => {
                Err(SaslError::ServerUnproved)
            }
            _ => Err(SaslError::OutOfOrder),
        }
    }

    fn plain(&mut self) -> Secret {
        self.state = State::Done;
        Secret::new([b"\0", self.authcid.as_bytes(), b"\0", self.password.expose()].concat())
    }

    fn scram_prove(&mut self, start: &Start, challenge: &[u8]) -> Result<Secret, SaslError> {
        let server = ServerFirst::parse(challenge)?;
        // RFC 5802 §5.1: the nonce begins with ours, and the server must have added something.
        if server.nonce.strip_prefix(start.nonce.as_str()).is_none_or(str::is_empty) {
            return Err(SaslError::WrongNonce);
        }
        if !(MIN_ITERATIONS..=MAX_ITERATIONS).contains(&server.iterations) {
            return Err(SaslError::BadIterations(server.iterations));
        }
        let salted = scram::salted_password(&self.password, &server.salt, server.iterations);
        let binding = start.binding.as_ref().map_or(&[][..], Secret::expose);
        let unproved = format!("c={},r={}", encode_base64(&[start.header.as_bytes(), binding].concat()), server.nonce);
        let signed = [start.bare.as_bytes(), b",", challenge, b",", unproved.as_bytes()];

        let client_key = scram::client_key(&salted);
        let proof = scram::xor(&client_key, &scram::hmac(&scram::sha256(&client_key), &signed));
        let signature = scram::hmac(&scram::server_key(&salted), &signed);
        self.state = State::ScramVerdict { signature };
        Ok(Secret::new(format!("{unproved},p={}", encode_base64(&proof))))
    }

    /// RFC 5802 §7: `server-final-message = (server-error / verifier) ["," extensions]`.
    fn scram_verdict(&mut self, signature: &Key, challenge: &[u8]) -> Result<Secret, SaslError> {
        let text = std::str::from_utf8(challenge).map_err(|_| SaslError::Malformed)?;
        let verdict = text.split(',').next().unwrap_or_default();
        if let Some(error) = verdict.strip_prefix("e=") {
            let word = error.chars().filter(|c| c.is_ascii_graphic()).take(64).collect();
            return Err(SaslError::ServerRefused(word));
        }
        let claimed = verdict.strip_prefix("v=").and_then(scram::decode_key).ok_or(SaslError::Malformed)?;
        if !bool::from(claimed.ct_eq(signature)) {
            return Err(SaslError::ServerUnproved);
        }
        self.state = State::Done;
        Ok(Secret::new(Vec::new()))
    }

    /// The same exchange with the nonce of a test vector.
    #[cfg(test)]
    pub(super) fn with_nonce(
        mechanism: Mechanism,
        authcid: &str,
        password: &Secret,
        tls: Option<&TlsInfo>,
        nonce: &str,
    ) -> Result<Self, SaslError> {
        let state = State::ScramFirst(Start::new(mechanism, authcid, tls, nonce.to_owned())?);
        Ok(Self { authcid: authcid.to_owned(), password: password.clone(), state })
    }
}

impl Start {
    fn new(mechanism: Mechanism, authcid: &str, tls: Option<&TlsInfo>, nonce: String) -> Result<Self, SaslError> {
        let plus = mechanism == Mechanism::ScramSha256Plus;
        let usable = tls.and_then(|tls| Binding::preferred(tls).map(|binding| (binding, binding.data(tls))));
        let (header, binding) = match usable {
            Some((binding, data)) if plus => (format!("p={binding},,"), data.cloned()),
            None if plus => return Err(SaslError::UnsupportedBinding),
            // RFC 5802 §6: "y" says that we could have, and that the server did not offer it.
            Some(_) => ("y,,".to_owned(), None),
            None => ("n,,".to_owned(), None),
        };
        let bare = format!("n={},r={nonce}", scram::escape_name(authcid));
        Ok(Self { header, binding, nonce, bare })
    }
}

struct ServerFirst<'a> {
    nonce: &'a str,
    salt: Vec<u8>,
    iterations: u32,
}

impl<'a> ServerFirst<'a> {
    /// RFC 5802 §7: `server-first-message = [reserved-mext ","] nonce "," salt "," iteration-count ["," extensions]`.
    fn parse(challenge: &'a [u8]) -> Result<Self, SaslError> {
        let text = std::str::from_utf8(challenge).map_err(|_| SaslError::Malformed)?;
        if let Some(error) = text.strip_prefix("e=") {
            return Err(SaslError::ServerRefused(error.chars().filter(char::is_ascii_graphic).take(64).collect()));
        }
        let mut attributes = text.split(',');
        let mut next = |prefix| attributes.next().and_then(|a| a.strip_prefix(prefix)).ok_or(SaslError::Malformed);
        let (nonce, salt, iterations) = (next("r=")?, next("s=")?, next("i=")?);
        let salt = decode_base64(salt.as_bytes()).map_err(|_| SaslError::Malformed)?;
        let iterations = scram::number(iterations).ok_or(SaslError::Malformed)?;
        match scram::is_nonce(nonce) && !salt.is_empty() {
            true => Ok(Self { nonce, salt, iterations }),
            false => Err(SaslError::Malformed),
        }
    }
}
