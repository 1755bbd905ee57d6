//! AUTH (RFC 4954): which mechanism, and the exchange.

use super::output::{Closed, Stage};
use super::params::put;
use super::sender::Next;
use super::session::ClientSession;
use crate::reply::{Reply, Severity};
use crate::sasl::{ClientExchange, Mechanism, decode_base64, encode_base64};
use crate::secret::Secret;

/// RFC 4954 §4: an initial response that makes the command longer than RFC 5321 §4.5.3.1.4 allows is sent as the answer
/// to an empty challenge instead.
const COMMAND_LINE: usize = 512;

/// What a transcript shows in place of a response or a challenge.
pub(super) const REDACTED: &str = "***";

/// The exchange, from the choice of the mechanism to 235.
#[derive(Debug, Default)]
pub(super) struct Auth {
    exchange: Option<(Mechanism, ClientExchange)>,
    /// What goes out next, not yet in base64.
    response: Option<Secret>,
    /// The peer said 235 and was believed.
    pub(super) done: bool,
}

impl Auth {
    /// `AUTH` with its mechanism and, where there is one and it is short enough, the initial response.
    pub(super) fn write_command(&mut self, out: &mut Vec<u8>) {
        let Some((mechanism, _)) = &self.exchange else { return };
        put(out, format_args!("AUTH {mechanism}"));
        let Some(response) = self.response.take() else { return };
        let encoded = encode_base64(response.expose());
        if encoded.len() + mechanism.name().len() + "AUTH  \r\n".len() > COMMAND_LINE {
            self.response = Some(response);
        } else {
            put(out, format_args!(" {encoded}"));
        }
    }

    pub(super) fn write_response(&mut self, out: &mut Vec<u8>) {
        if let Some(response) = self.response.take() {
            put(out, format_args!("{}", encode_base64(response.expose())));
        }
    }

    /// The command as a transcript shows it.
    pub(super) fn shown(&self) -> String {
        let mechanism = self.exchange.as_ref().map_or("", |(mechanism, _)| mechanism.name());
        format!("AUTH {mechanism} {REDACTED}")
    }

    /// Takes a challenge; the response to it is kept for the sender.
    fn challenge(&mut self, challenge: &Reply) -> Result<(), &'static str> {
        let (mechanism, exchange) = self.exchange.as_mut().ok_or("a challenge came without AUTH")?;
        if self.response.is_some() {
            // The initial response was too long for the command; this is the empty challenge that asks for it.
            return Ok(());
        }
        // quirk: LOGIN's challenges are plain text with some peers; nothing in them is used.
        let challenge = match mechanism {
            Mechanism::Login => Vec::new(),
            _ => decode_base64(challenge.text().trim().as_bytes()).map_err(|_| "a challenge of AUTH is not base64")?,
        };
        let response = exchange.step(&challenge);
        self.response = Some(response.map_err(|_| "a challenge of AUTH is not what its mechanism allows")?);
        Ok(())
    }

    /// 235 came. RFC 5802 §5: with SCRAM only a server that proved itself is believed.
    fn finish(&mut self) -> Result<(), &'static str> {
        let proved = self.exchange.take().is_some_and(|(_, exchange)| exchange.finish().is_ok());
        self.done = proved;
        proved.then_some(()).ok_or("the server said yes to AUTH without having proved that it knows the password")
    }
}

impl ClientSession {
    /// Begins AUTH with the strongest mechanism that both sides have, or ends the session.
    pub(super) fn begin_auth(&mut self) {
        let Some(credentials) = &self.config.auth else { return };
        let tls = self.tls.as_ref();
        if tls.is_none() && !self.config.insecure_allow_plaintext_auth {
            return self.leave(Closed::AuthNeedsTls);
        }
        let offered = self.capabilities.as_ref().map_or(&[][..], |offered| &offered.auth);
        let Some(mechanism) = Mechanism::choose(offered, tls, self.config.insecure_allow_plaintext_auth) else {
            return self.leave(Closed::AuthNotOffered);
        };
        match ClientExchange::new(mechanism, &credentials.user, &credentials.password, tls) {
            Ok(mut exchange) => {
                self.auth.response = exchange.initial();
                self.auth.exchange = Some((mechanism, exchange));
                self.next = Next::Auth;
            }
            Err(_) => self.leave(Closed::Refused { stage: Stage::Auth, reply: UNUSABLE }),
        }
    }

    pub(super) fn receive_auth(&mut self, reply: Reply) {
        let heard = match (reply.severity(), reply.code.as_u16()) {
            (_, 334) => self.auth.challenge(&reply).map(|()| self.next = Next::AuthResponse),
            (_, 235) => self.auth.finish().map(|()| self.opened()),
            (Severity::Transient | Severity::Permanent, _) => {
                return self.leave(Closed::Refused { stage: Stage::Auth, reply });
            }
            _ => Err("the reply to AUTH is neither yes nor no"),
        };
        if let Err(what) = heard {
            self.protocol_error(Stage::Auth, what);
        }
    }
}

/// In our own words: nothing was sent.
const UNUSABLE: Reply =
    Reply::new(535, (5, 7, 8), "the configured user name or password has characters that AUTH cannot carry");
