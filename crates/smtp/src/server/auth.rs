//! AUTH (RFC 4954). What is exchanged lies with [`crate::sasl`]; here is what stands around it.

use super::answer::Refusal;
use super::input::Line;
use super::phase::{Pending, Phase, Sasl};
use super::session::{Event, Output, ServerSession};
use super::{Answer, AuthQuestion, Question, offer, replies};
use crate::reply::{Reply, Severity};
use crate::sasl::{self, Mechanism, SaslError, ServerExchange, Step};
use crate::secret::Secret;

impl ServerSession {
    /// RFC 4954 §4: only once, not within a transaction; §6: 538 where TLS is missing.
    pub(super) fn auth_in_order(&self) -> Result<(), Reply> {
        match () {
            () if self.config.auth.is_empty() => Err(replies::NO_AUTH),
            () if self.tls.is_none() => Err(replies::AUTH_NEEDS_TLS),
            () if self.offered.auth.is_empty() => Err(replies::NO_AUTH),
            () if self.account.is_some() => Err(replies::AUTH_TWICE),
            () if self.open.is_some() => Err(replies::AUTH_IN_MAIL),
            () => Ok(()),
        }
    }

    pub(super) fn auth(&mut self, mechanism: &str, initial: Option<&Secret>) {
        let offered: Vec<Mechanism> = offer::mechanisms(&self.config, self.tls.as_ref()).collect();
        let Some(mechanism) = mechanism.parse().ok().filter(|mechanism| offered.contains(mechanism)) else {
            return self.refuse(replies::UNKNOWN_MECHANISM);
        };
        let decoded = initial.map(|initial| sasl::decode_initial(initial.expose()).map(Secret::new)).transpose();
        match decoded {
            Ok(initial) => {
                let initial = initial.as_ref().map(Secret::expose);
                let (exchange, step) = ServerExchange::start(mechanism, &offered, self.tls.as_ref(), initial);
                self.sasl_step(exchange, step);
            }
            Err(error) => self.refuse(error.reply()),
        }
    }

    /// One response line.
    pub(super) fn step_sasl(&mut self) -> bool {
        match self.input.line(self.config.limits.auth_line) {
            Line::Partial => return false,
            Line::Whole(len) => {
                let line = Secret::new(self.input.octets().get(..len).unwrap_or_default());
                self.input.consume(len + 2);
                self.queue.push_back(Output::Event(Event::Command("(response to AUTH)".to_owned())));
                if let Phase::Sasl(sasl) = std::mem::replace(&mut self.phase, Phase::Command) {
                    self.response(sasl, line.expose());
                }
            }
            Line::BareNewline => self.refuse_line(replies::BARE_NEWLINE),
            // RFC 4954 §4: "500 Authentication Exchange line is too long".
            Line::TooLong => self.refuse_line(replies::AUTH_LINE),
        }
        self.since = self.now;
        true
    }

    fn response(&mut self, sasl: Sasl, line: &[u8]) {
        // RFC 4954 §4: "If the server receives such a response, it MUST reject the AUTH command by sending a 501 reply."
        if line == b"*" {
            return self.refuse(replies::AUTH_CANCELLED);
        }
        match sasl {
            Sasl::Exchange(mut exchange) => match sasl::decode_base64(line).map(Secret::new) {
                Ok(response) => {
                    let step = exchange.step(response.expose());
                    self.sasl_step(exchange, step);
                }
                Err(error) => self.refuse(error.reply()),
            },
            // RFC 4954 §4: the client answers our proof with an empty line; some write it as an initial response.
            Sasl::Final { authcid } if line.is_empty() || line == b"=" => self.authenticate(authcid, replies::AUTH_OK),
            Sasl::Final { .. } => self.refuse(replies::NOT_EMPTY),
        }
    }

    fn sasl_step(&mut self, exchange: ServerExchange, step: Step) {
        match step {
            Step::Challenge(challenge) => self.challenge(&challenge, Sasl::Exchange(exchange)),
            Step::NeedPassword { authcid, password } => {
                let question = AuthQuestion::Password { authcid: authcid.clone(), password };
                self.ask(Question::Auth(question), Pending::Password { authcid });
            }
            Step::NeedVerifier { authcid } => {
                self.ask(Question::Auth(AuthQuestion::ScramVerifier { authcid }), Pending::Verifier(exchange));
            }
            Step::Proved { authcid, final_message } => {
                let question = AuthQuestion::ScramProved { authcid: authcid.clone() };
                self.ask(Question::Auth(question), Pending::Proved { authcid, final_message });
            }
            Step::Failed(error) => self.sasl_failed(&error),
        }
    }

    fn challenge(&mut self, challenge: &[u8], next: Sasl) {
        let reply = Reply::plain(334, "").with_text(sasl::encode_base64(challenge));
        self.say_redacted(&reply, Reply::plain(334, "(challenge)"));
        self.phase = Phase::Sasl(next);
    }

    pub(super) fn password_answered(&mut self, authcid: String, answer: Answer) {
        match self.verdict(answer, replies::AUTH_OK) {
            Ok(reply) => self.authenticate(authcid, reply),
            Err(refusal) => self.auth_refused(refusal),
        }
    }

    pub(super) fn verifier_answered(&mut self, mut exchange: ServerExchange, answer: Answer) {
        match answer {
            Answer::Scram(verifier) => {
                let step = exchange.handle_verifier(verifier);
                self.sasl_step(exchange, step);
            }
            other => match self.verdict(other, replies::AUTH_TROUBLE) {
                // Nobody is authenticated without a proof.
                Ok(_) => self.auth_refused(Refusal::Stay(replies::AUTH_TROUBLE)),
                Err(refusal) => self.auth_refused(refusal),
            },
        }
    }

    pub(super) fn proved_answered(&mut self, authcid: String, final_message: &[u8], answer: Answer) {
        match self.verdict(answer, replies::AUTH_OK) {
            Ok(_) => self.challenge(final_message, Sasl::Final { authcid }),
            Err(refusal) => self.auth_refused(refusal),
        }
    }

    fn authenticate(&mut self, authcid: String, reply: Reply) {
        self.account = Some(authcid);
        self.offer();
        self.say(if reply.code == replies::AUTH_OK.code { reply } else { replies::AUTH_OK });
    }

    fn sasl_failed(&mut self, error: &SaslError) {
        self.auth_refused(Refusal::Stay(error.reply()));
    }

    /// Only what is wrong with the credentials counts as a failure; local trouble is not the peer's fault.
    fn auth_refused(&mut self, refusal: Refusal) {
        match refusal {
            Refusal::Close(reply) => self.close_with(reply),
            Refusal::Stay(reply) if reply.severity() == Severity::Permanent => {
                self.counts.auth_failures = self.counts.auth_failures.saturating_add(1);
                if self.counts.auth_failures > self.config.limits.auth_failures {
                    return self.close_with(replies::TOO_MANY_AUTH_FAILURES);
                }
                self.refuse(reply);
            }
            Refusal::Stay(reply) => self.refuse(reply),
        }
    }
}
