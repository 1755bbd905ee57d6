//! Refusals of one attempt: each is held against the rules of its site.

use std::sync::Arc;

use deliverability::{Change, What};
use queue::{Event, Lane, Queue, Site, Source, Timestamp};
use smtp::Reply;
use smtp::client::{Closed, Delivery, Stage};

use crate::connect::State;
use crate::drive::Line;

/// Hears what the servers of a site refuse. Our own words are not for it.
pub(crate) struct Ear<'a> {
    state: &'a Arc<State>,
    lane: &'a Lane,
    told: Vec<Told>,
}

/// A change, and the reply that has caused it, where it was just heard.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) change: Change,
    pub(crate) reply: Option<Reply>,
}

impl<'a> Ear<'a> {
    pub(crate) fn new(state: &'a Arc<State>, lane: &'a Lane) -> Self {
        Self { state, lane, told: Vec::new() }
    }

    pub(crate) fn state(&self) -> &'a Arc<State> {
        self.state
    }

    pub(crate) fn lane(&self) -> &'a Lane {
        self.lane
    }

    /// One line of a dialog.
    pub(crate) fn line(&mut self, line: &Line<'_>) {
        if let Line::Refused { by, reply } = line {
            self.reply(by, reply);
        }
    }

    /// The replies to one transaction. `over`: at this stage the connection broke, and the words are ours.
    pub(crate) fn delivery(&mut self, by: &str, delivery: &Delivery, over: Option<Stage>) {
        let mut before = None;
        for said in delivery.recipients.iter().filter(|said| !said.reply.is_positive() && over != Some(said.stage)) {
            // One reply to MAIL, DATA or the letter is told to each recipient.
            let this = Some((said.stage, &said.reply));
            if said.stage == Stage::Rcpt || before != this {
                self.reply(by, &said.reply);
            }
            before = this;
        }
    }

    /// How a connection ended.
    pub(crate) fn closed(&mut self, by: &str, closed: &Closed) {
        if let Closed::Refused { reply, .. } = closed {
            self.reply(by, reply);
        }
    }

    fn reply(&mut self, by: &str, reply: &Reply) {
        let changes = self.state.shaper.heard(&self.state.shaping, Timestamp::now(), self.lane, by, reply);
        self.told.extend(changes.into_iter().map(|change| Told { change, reply: Some(reply.clone()) }));
    }

    /// What the replies have changed.
    pub(crate) fn told(self) -> Vec<Told> {
        self.told
    }
}

/// Records changes and has the scheduler ask for the limits of their sites again.
pub(crate) fn tell(queue: &Queue, told: &[Told]) {
    for Told { change, reply } in told {
        let (site, source) = (Site(change.site.as_str().into()), Source(change.source.as_str().into()));
        match change.what {
            What::Begun => {
                tracing::warn!(rule = change.rule, by = change.by, "{change}");
                queue.counters().shaping_begun.add();
            }
            What::Healed | What::Ended => {
                tracing::info!("{change}");
                queue.counters().shaping_over.add();
            }
        }
        let line = queue.recorder().record(Event::Shaping).site(&site).source(&source).shaping(change);
        match reply {
            Some(reply) => line.reply(reply).by(&change.by).write(),
            None => line.write(),
        }
        queue.limits_changed(&site);
    }
}
