//! What is written down of refusals.

use queue::record::Event;
use smtp::{Mailbox, Reply};

use super::Policy;

impl Policy {
    /// The letter was refused when it had come, or while it came.
    pub(crate) fn letter_refused(&self, reply: &Reply, user: Option<&str>) {
        let to: Vec<&Mailbox> = self.targets.iter().flatten().collect();
        self.record_refusal(reply, &to, user);
    }

    /// What was refused, and whom it was for.
    pub(super) fn record_refusal(&self, reply: &Reply, to: &[&Mailbox], user: Option<&str>) {
        self.shared.admission.tally(self.listener.name()).refused.add();
        let line = self.shared.recorder.record(Event::Refused).client(Some(self.client));
        let line = line.listener(self.listener.name()).user(user);
        let line = match &self.from {
            Some(from) => line.from(from),
            None => line,
        };
        line.all_to(to.iter().copied()).reply(reply).write();
        tracing::info!(
            client = %self.client,
            listener = self.listener.name(),
            from = self.from.as_ref().map(tracing::field::display),
            to = to.first().map(tracing::field::display),
            %reply,
            "refused"
        );
    }

    /// The name is written down only where it is an account's: people type their password there.
    pub(super) fn record_login(&self, name: &str, reply: &Reply) {
        let roster = self.shared.verifier.roster().ok();
        let known = roster.as_ref().and_then(|roster| roster.account(name)).map(|account| account.name.as_str());
        self.shared.admission.tally(self.listener.name()).auth_failed.add();
        let line = self.shared.recorder.record(Event::LoginFailed).client(Some(self.client));
        line.listener(self.listener.name()).user(known).reply(reply).write();
        tracing::info!(client = %self.client, listener = self.listener.name(), user = known, %reply, "login refused");
    }
}
