//! Answers to what a session asks: who may send what to whom. One [`Policy`] for each connection.
//!
//! # Invariants
//! - A letter goes out into the world only from an account, or from a network that is named in the configuration; there is
//!   none by default.
//! - A recipient of ours that does not exist is refused at RCPT, so that nothing has to be bounced later.

mod recipient;
mod refusal;
mod sender;
#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use queue::{NewLetter, Origin, Recipient, RecipientState};
use smtp::envelope::{MailParams, OriginalRecipient, RcptParams};
use smtp::server::{Answer, AuthQuestion, ServerSession};
use smtp::{ForwardPath, Mailbox, Reply, ReversePath};

use crate::config::{Listener, Profile};
use crate::credentials::{Account, LoginRefusal, Roster, Verifier};
use crate::directory::{AccountBook, Resolution};
use crate::shared::Shared;
use recipient::Trust;
use sender::May;

/// Addresses that one letter may be for after aliases, as a multiple of `limits.alias_expansion`.
const LETTER_EXPANSION: usize = 10;

const ACCOUNTS_TROUBLE: Reply = Reply::new(451, (4, 3, 0), "accounts cannot be looked up right now; try again later");

/// What one connection may do, and whom its present letter is for.
pub(crate) struct Policy {
    listener: Arc<Listener>,
    shared: Arc<Shared>,
    client: IpAddr,
    /// Of the present transaction.
    from: Option<ReversePath>,
    /// It is from `<>`, and its From field has to show whose it is.
    receipt: bool,
    /// For each accepted RCPT of it: where it leads.
    targets: Vec<Vec<Mailbox>>,
}

/// An answer, and how long to wait before it is given.
pub(crate) struct Slow {
    pub(crate) answer: Answer,
    pub(crate) delay: Duration,
}

impl From<Answer> for Slow {
    fn from(answer: Answer) -> Self {
        Self { answer, delay: Duration::ZERO }
    }
}

impl From<LoginRefusal> for Slow {
    fn from(refusal: LoginRefusal) -> Self {
        let reply = refusal.reply();
        match refusal {
            LoginRefusal::Wrong { delay } => Self { answer: Answer::Reply(reply), delay },
            LoginRefusal::Blocked(_) => Answer::Close(reply).into(),
            LoginRefusal::Busy => Answer::Reply(reply).into(),
            LoginRefusal::Store(_) | LoginRefusal::Hash(_) => {
                tracing::error!(error = %refusal, "a login could not be checked");
                Answer::Reply(reply).into()
            }
        }
    }
}

impl Policy {
    pub(crate) fn new(listener: Arc<Listener>, shared: Arc<Shared>, client: IpAddr) -> Self {
        Self { listener, shared, client, from: None, receipt: false, targets: Vec::new() }
    }

    pub(crate) fn client(&self) -> IpAddr {
        self.client
    }

    /// A login by name.
    pub(crate) async fn auth(&self, question: AuthQuestion) -> Slow {
        let (verifier, limits) = (&self.shared.verifier, &self.shared.limits.login);
        let (name, verdict) = match question {
            AuthQuestion::Password { authcid, password } => {
                let verdict = verifier.login(limits, self.client, &authcid, password).await;
                (authcid, verdict.map(|()| Answer::Accept))
            }
            AuthQuestion::ScramVerifier { authcid } => {
                let verdict = verifier.scram(limits, self.client, &authcid);
                (authcid, verdict.map(Answer::Scram))
            }
            AuthQuestion::ScramProved { authcid } => {
                let verdict = verifier.scram_proved(limits, self.client, &authcid);
                (authcid, verdict.map(|()| Answer::Accept))
            }
        };
        verdict.map_or_else(
            |refusal| {
                self.record_login(&name, &refusal.reply());
                refusal.into()
            },
            Slow::from,
        )
    }

    /// A SCRAM proof was wrong, or the client gave up: how long the reply must wait.
    pub(crate) fn auth_failed(&self, name: &str, reply: &Reply) -> Duration {
        self.record_login(name, reply);
        self.shared.verifier.failed(&self.shared.limits.login, self.client, name)
    }

    pub(crate) fn mail(&mut self, from: &ReversePath, params: &MailParams, user: Option<&str>) -> Answer {
        self.targets.clear();
        self.from = Some(from.clone());
        match self.may_send(from, params, user) {
            Ok(may) => {
                self.receipt = may == May::SendIfItIsTheirs;
                Answer::Accept
            }
            Err(answer) => {
                if let Answer::Reply(reply) | Answer::Close(reply) = &answer {
                    self.record_refusal(reply, &[], user);
                }
                answer
            }
        }
    }

    fn may_send(&self, from: &ReversePath, params: &MailParams, user: Option<&str>) -> Result<May, Answer> {
        let may = user.map_or(Ok(May::Send), |user| self.may_send_as(user, from))?;
        let memory = self.shared.admission.memory(self.shared.limits.free_memory);
        memory.map_err(|_| Answer::Reply(Reply::new(452, (4, 3, 1), "not enough memory; try again later")))?;
        self.shared.queue.room_for(params.size.unwrap_or(0)).map_err(|refusal| Answer::Reply(refusal.reply()))?;
        Ok(may)
    }

    fn may_send_as(&self, user: &str, from: &ReversePath) -> Result<May, Answer> {
        self.account(user, |account| sender::owned(account, from, &self.shared.directory))
    }

    /// The letter is complete: whether it may be sent under the reverse-path that MAIL gave.
    ///
    /// # Errors
    /// The refusal.
    pub(crate) fn may_send_text(&self, user: Option<&str>, beginning: impl FnOnce() -> Vec<u8>) -> Result<(), Answer> {
        let Some(user) = user.filter(|_| self.receipt) else { return Ok(()) };
        self.account(user, |account| sender::written_by(account, &beginning(), &self.shared.directory))
    }

    fn account<T>(&self, user: &str, ask: impl FnOnce(&Account) -> Result<T, Reply>) -> Result<T, Answer> {
        let roster = self.shared.verifier.roster().map_err(|error| {
            tracing::error!(%error, "accounts cannot be looked up");
            Answer::Reply(ACCOUNTS_TROUBLE)
        })?;
        // An account that was taken away in the meantime loses its connections at their next letter.
        let account = roster.account(user).filter(|account| account.enabled).ok_or(Answer::Close(Reply::new(
            421,
            (4, 7, 0),
            "this account may no longer log in",
        )))?;
        ask(account).map_err(Answer::Reply)
    }

    pub(crate) fn rcpt(&mut self, to: &ForwardPath, user: Option<&str>) -> Answer {
        match targets(&self.shared, to, self.trust(user)).and_then(|targets| self.within_bounds(targets)) {
            Ok(targets) => {
                self.targets.push(targets);
                Answer::Accept
            }
            Err(reply) => {
                let to = match to {
                    ForwardPath::Mailbox(mailbox) => Some(mailbox),
                    ForwardPath::Postmaster => None,
                };
                self.record_refusal(&reply, to.as_slice(), user);
                Answer::Reply(reply)
            }
        }
    }

    fn within_bounds(&self, targets: Vec<Mailbox>) -> Result<Vec<Mailbox>, Reply> {
        let all: usize = self.targets.iter().map(Vec::len).sum();
        let most = self.shared.limits.alias_expansion.saturating_mul(LETTER_EXPANSION);
        if targets.len() > 1 && all + targets.len() > most {
            return Err(Reply::new(452, (4, 5, 3), "too many recipients; send another letter to the others"));
        }
        Ok(targets)
    }

    fn trust(&self, user: Option<&str>) -> Trust {
        let networks = &self.shared.relay.relay_from_networks;
        let near = self.listener.profile != Profile::Lmtp && networks.iter().any(|net| net.contains(self.client));
        if user.is_some() || near { Trust::Known } else { Trust::Stranger }
    }

    /// The letter of the session's present transaction, as the queue wants it. `None`: there is none, which is our own fault.
    pub(crate) fn letter(&self, session: &ServerSession) -> Option<NewLetter> {
        let transaction = session.transaction()?;
        if transaction.recipients.len() != self.targets.len() {
            return None;
        }
        let helo = session.helo().map(ToString::to_string);
        let user = session.authenticated().map(str::to_owned);
        let only = match &transaction.recipients[..] {
            [(ForwardPath::Mailbox(only), _)] => Some(only.to_string()),
            _ => None,
        };
        let submitted = self.listener.profile.is_submission() || user.is_some();
        Some(NewLetter {
            from: transaction.from.clone(),
            params: transaction.params.clone(),
            recipients: recipients(&transaction.recipients, &self.targets),
            expanded: expanded(&transaction.recipients, &self.targets),
            received: mail::trace::Received {
                helo: helo.clone(),
                client: Some(self.client),
                by: self.shared.hostname.to_string(),
                with: session.protocol_word().to_owned(),
                tls: session.tls().map(|tls| format!("{} {}", tls.protocol, tls.cipher)),
                for_recipient: only,
            },
            origin: Origin {
                listener: self.listener.name().to_owned(),
                client: Some(self.client),
                helo,
                protocol: session.protocol_word().to_owned(),
                user,
            },
            complete_header: submitted,
        })
    }

    pub(crate) fn recipients(&self) -> usize {
        self.targets.len()
    }
}

/// Where a letter from this machine itself goes that is for `address`: `sendmail`, our own reports. Such a sender may send to
/// anyone.
///
/// What is for the host itself, as cron's letters to `root` are, is its namesake's or the postmaster's where the host's
/// name is no domain of ours: the next server would only send it back.
///
/// # Errors
/// The refusal, where `address` is in a domain of ours and nobody.
pub fn resolve(shared: &Shared, address: &Mailbox) -> Result<Vec<Mailbox>, Reply> {
    let directory = &shared.directory;
    if address.host == shared.hostname && !directory.is_local(&address.host) && !directory.is_relay(&address.host) {
        let accounts = Accounts { verifier: &shared.verifier, trouble: Cell::new(false) };
        let resolution = directory.on_this_machine(&address.local, &accounts);
        if accounts.trouble.get() {
            return Err(ACCOUNTS_TROUBLE);
        }
        if let Resolution::Local(mailboxes) = resolution {
            return Ok(mailboxes);
        }
    }
    targets(shared, &ForwardPath::Mailbox(address.clone()), Trust::Known)
}

fn targets(shared: &Shared, to: &ForwardPath, trust: Trust) -> Result<Vec<Mailbox>, Reply> {
    let accounts = Accounts { verifier: &shared.verifier, trouble: Cell::new(false) };
    let targets = recipient::targets(to, trust, &shared.directory, &accounts);
    if accounts.trouble.get() { Err(ACCOUNTS_TROUBLE) } else { targets }
}

/// The accounts, looked up only where an answer depends on them.
struct Accounts<'a> {
    verifier: &'a Verifier,
    trouble: Cell<bool>,
}

impl Accounts<'_> {
    fn roster(&self) -> Option<Arc<Roster>> {
        let roster = self.verifier.roster();
        if let Err(error) = &roster {
            tracing::error!(%error, "accounts cannot be looked up");
            self.trouble.set(true);
        }
        roster.ok()
    }
}

impl AccountBook for Accounts<'_> {
    fn mailbox(&self, address: &Mailbox) -> Option<Mailbox> {
        self.roster()?.mailbox(address)
    }

    fn first(&self, wanted: &dyn Fn(&Mailbox) -> bool) -> Option<Mailbox> {
        self.roster()?.first(wanted)
    }
}

/// Each address once, the first parameters kept.
fn recipients(accepted: &[(ForwardPath, RcptParams)], targets: &[Vec<Mailbox>]) -> Vec<Recipient> {
    let mut seen = std::collections::HashSet::new();
    let mut all = Vec::with_capacity(accepted.len());
    for ((path, params), targets) in accepted.iter().zip(targets) {
        for address in targets {
            if accepted.len() == 1 && targets.len() == 1 || seen.insert(address) {
                let params = with_original(params, path, address);
                let params = if targets.len() > 1 { without_success(params) } else { params };
                all.push(Recipient {
                    address: address.clone(),
                    params,
                    state: RecipientState::Pending { attempts: 0, last: None },
                });
            }
        }
    }
    all
}

/// RFC 3461 §5.2.7.3: names that stand for several, and whose sender is told so in place of each delivery.
fn expanded(accepted: &[(ForwardPath, RcptParams)], targets: &[Vec<Mailbox>]) -> Vec<Recipient> {
    let several = accepted.iter().zip(targets).filter(|(_, targets)| targets.len() > 1);
    let told = several.filter_map(|((path, params), _)| match path {
        ForwardPath::Mailbox(name) if params.notify.is_some_and(|notify| notify.success) => {
            Some(Recipient::new(name.clone(), params.clone()))
        }
        _ => None,
    });
    told.collect()
}

/// One of several: of its delivery nobody is told, of what ails it whoever asked for that.
fn without_success(mut params: RcptParams) -> RcptParams {
    if let Some(notify) = &mut params.notify {
        notify.success = false;
        notify.never = !notify.failure && !notify.delay;
    }
    params
}

/// RFC 3461 §5.2.7: where an alias or a tag has changed the address, ORCPT tells what it was.
fn with_original(params: &RcptParams, path: &ForwardPath, address: &Mailbox) -> RcptParams {
    let mut params = params.clone();
    if let ForwardPath::Mailbox(original) = path
        && original != address
        && params.orcpt.is_none()
    {
        let address_type = if original.is_ascii() { "rfc822" } else { "utf-8" };
        let orcpt = OriginalRecipient { address_type: address_type.to_owned(), address: original.to_string() };
        params.orcpt = Some(orcpt);
    }
    params
}
