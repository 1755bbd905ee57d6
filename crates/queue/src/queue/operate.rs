//! What operators see and do. The values are plain and go over the control socket as JSON.

use serde::{Deserialize, Serialize};

use super::Queue;
use super::inner::{Inner, Loaded};
use super::submit::attempts;
use crate::letter::{LastReply, Letter, Progress, QueueId, RecipientState, Timestamp};
use crate::record::{self, Event};
use crate::schedule::RecipientSet;

/// Which letters to list. The default is all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Filter {
    /// Part of the sender's address; `<>` for reports.
    pub from: Option<String>,
    /// Part of a recipient's address.
    pub to: Option<String>,
    /// At most so many, the oldest first.
    pub limit: Option<usize>,
    /// Only those after this one: the next page.
    pub after: Option<QueueId>,
}

/// Which letters to do something with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Selection {
    All,
    Ids(Vec<QueueId>),
}

/// What a letter or a recipient is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// On the calendar.
    Waiting,
    /// It would be tried now if there were a connection.
    Ready,
    /// It is being tried.
    Trying,
    Delivered,
    Failed,
    Dropped,
}

/// One line of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    pub id: QueueId,
    pub arrived: Timestamp,
    /// Empty for `<>`.
    pub from: String,
    pub size: u64,
    pub standing: Standing,
    /// Those that are not done; the first few.
    pub to: Vec<String>,
    /// How many are not done, and how many there were.
    pub pending: usize,
    pub recipients: usize,
    /// The most that any pending recipient had.
    pub attempts: u32,
    /// When the next attempt is due.
    pub next: Option<Timestamp>,
    /// The newest words said about a pending recipient.
    pub last: Option<Last>,
}

/// What a server, or we, said last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Last {
    pub at: Timestamp,
    pub code: u16,
    pub enhanced: Option<String>,
    /// In its own words.
    pub text: String,
    pub by: String,
}

/// All that is known of a letter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Details {
    #[serde(flatten)]
    pub summary: Summary,
    pub expires: Timestamp,
    pub envid: Option<String>,
    pub listener: String,
    pub protocol: String,
    pub client: Option<std::net::IpAddr>,
    pub helo: Option<String>,
    pub user: Option<String>,
    pub all_recipients: Vec<RecipientDetails>,
    /// The records of its life, the oldest first, as they lie in the file.
    pub records: Vec<serde_json::Value>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecipientDetails {
    pub to: String,
    pub standing: Standing,
    pub attempts: u32,
    /// Of a pending one: when it is tried next.
    pub next: Option<Timestamp>,
    pub last: Option<Last>,
}

const FEW: usize = 5;
const RECORDS_MOST: usize = 1_000;

impl Queue {
    /// The letters that are not done, the oldest first. Reads each of them from the disk: blocks.
    pub fn list(&self, filter: &Filter) -> Vec<Summary> {
        let mut ids = self.inner.lock().scheduler.ids_after(filter.after);
        // Not under the lock: there may be a million.
        ids.sort_unstable();
        let limit = filter.limit.unwrap_or(usize::MAX);
        ids.into_iter().filter_map(|id| self.inner.look_at(id, filter)).take(limit).collect()
    }

    /// One letter, and its records. `None`: it is not in the queue. Reads the disk: blocks. The records of a letter that is
    /// done are found by [`record::history`].
    pub fn show(&self, id: QueueId) -> Option<Details> {
        self.inner.show(id)
    }

    /// Has letters tried now, whatever the calendar says. Gives how many there are of those named.
    pub fn retry(&self, selection: &Selection) -> usize {
        let mut state = self.inner.lock();
        let ids = match selection {
            Selection::All => state.scheduler.ids(),
            Selection::Ids(ids) => ids.clone(),
        };
        let found = ids.into_iter().filter(|id| state.scheduler.handle_retry(*id)).count();
        self.inner.pump(&mut state);
        found
    }

    /// Has all letters tried now.
    pub fn flush(&self) -> usize {
        self.retry(&Selection::All)
    }

    /// Removes letters without a report. An attempt under way goes on and may yet deliver. Gives how many there were of
    /// those named. Reads the disk: blocks.
    pub fn drop(&self, ids: &[QueueId]) -> usize {
        ids.iter().filter(|id| self.inner.drop_letter(**id)).count()
    }
}

impl Inner {
    fn look_at(&self, id: QueueId, filter: &Filter) -> Option<Summary> {
        let loaded = self.at_hand_or_load(id).ok()?;
        let (ready, running) = self.lock().scheduler.out_of(id);
        filter.matches(&loaded.letter).then(|| summary(&loaded.letter, &loaded.states, &ready, &running))
    }

    fn show(&self, id: QueueId) -> Option<Details> {
        let (out, policy) = {
            let state = self.lock();
            if !state.scheduler.contains(id) {
                return None;
            }
            (state.scheduler.out_of(id), state.config.retry.clone())
        };
        let Loaded { letter, states } = self.at_hand_or_load(id).ok()?;
        self.recorder.flush();
        let records = record::history(self.recorder.dir(), id, RECORDS_MOST).unwrap_or_default();
        Some(details(&letter, &states, &out.0, &out.1, policy.expiry(&letter), records))
    }

    fn drop_letter(&self, id: QueueId) -> bool {
        let loaded = self.at_hand_or_load(id);
        {
            let mut state = self.lock();
            if !state.scheduler.contains(id) {
                return false;
            }
            self.spool.remove(id);
            state.scheduler.handle_removed(id);
            state.forget(id);
            self.pump(&mut state);
        }
        let mut line = self.recorder.record(Event::Dropped).id(id);
        if let Ok(Loaded { letter, states }) = &loaded {
            let pending = states.iter().zip(&letter.recipients).filter(|(progress, _)| progress.state.is_pending());
            line = line.from(&letter.from).all_to(pending.map(|(_, recipient)| &recipient.address));
        }
        line.write();
        true
    }
}

impl Filter {
    pub(crate) fn matches(&self, letter: &Letter) -> bool {
        let from = self.from.as_ref().is_none_or(|part| match part.as_str() {
            "<>" => letter.from.is_null(),
            part => contains(&letter.from, part),
        });
        from && self.to.as_ref().is_none_or(|part| letter.recipients.iter().any(|r| contains(&r.address, part)))
    }
}

/// Addresses are compared without case here: an operator types them.
fn contains(address: &impl ToString, part: &str) -> bool {
    address.to_string().to_lowercase().contains(&part.to_lowercase())
}

pub(crate) fn summary(letter: &Letter, states: &[Progress], ready: &RecipientSet, running: &RecipientSet) -> Summary {
    let pending = || states.iter().zip(&letter.recipients).filter(|(progress, _)| progress.state.is_pending());
    let waiting = states.iter().enumerate().filter(|(index, progress)| {
        progress.state.is_pending() && !ready.contains(*index) && !running.contains(*index)
    });
    Summary {
        id: letter.id,
        arrived: letter.arrived,
        from: letter.from.to_string(),
        size: letter.size,
        standing: match (running.is_empty(), ready.is_empty()) {
            (false, _) => Standing::Trying,
            (true, false) => Standing::Ready,
            (true, true) => Standing::Waiting,
        },
        to: pending().take(FEW).map(|(_, recipient)| recipient.address.to_string()).collect(),
        pending: pending().count(),
        recipients: letter.recipients.len(),
        attempts: pending().map(|(progress, _)| attempts(&progress.state)).max().unwrap_or(0),
        next: waiting.map(|(_, progress)| progress.due).min(),
        last: pending().filter_map(|(progress, _)| progress.state.last()).max_by_key(|last| last.at).map(Last::from),
    }
}

pub(crate) fn details(
    letter: &Letter,
    states: &[Progress],
    ready: &RecipientSet,
    running: &RecipientSet,
    expires: Timestamp,
    records: Vec<serde_json::Value>,
) -> Details {
    let recipients = letter.recipients.iter().zip(states).enumerate();
    let origin = &letter.origin;
    Details {
        summary: summary(letter, states, ready, running),
        expires,
        envid: letter.params.envid.clone(),
        listener: origin.listener.clone(),
        protocol: origin.protocol.clone(),
        client: origin.client,
        helo: origin.helo.clone(),
        user: origin.user.clone(),
        all_recipients: recipients
            .map(|(index, (recipient, progress))| {
                let standing = standing(&progress.state, ready.contains(index), running.contains(index));
                RecipientDetails {
                    to: recipient.address.to_string(),
                    standing,
                    attempts: attempts(&progress.state),
                    next: (standing == Standing::Waiting).then_some(progress.due),
                    last: progress.state.last().map(Last::from),
                }
            })
            .collect(),
        records,
    }
}

fn standing(state: &RecipientState, ready: bool, running: bool) -> Standing {
    match state {
        RecipientState::Pending { .. } if running => Standing::Trying,
        RecipientState::Pending { .. } if ready => Standing::Ready,
        RecipientState::Pending { .. } => Standing::Waiting,
        RecipientState::Delivered(_) => Standing::Delivered,
        RecipientState::Failed(_) => Standing::Failed,
        RecipientState::Dropped => Standing::Dropped,
    }
}

impl From<&LastReply> for Last {
    fn from(last: &LastReply) -> Self {
        Self {
            at: last.at,
            code: last.reply.code.as_u16(),
            enhanced: last.reply.enhanced.map(|code| code.to_string()),
            text: last.reply.text().to_owned(),
            by: last.by.clone(),
        }
    }
}
