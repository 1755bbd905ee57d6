//! What operators see and do. The values are plain and go over the control socket as JSON.

use serde::{Deserialize, Serialize};

use super::filter::Filter;
use super::inner::{Inner, Loaded};
use super::submit::attempts;
use super::{Place, Queue, Suspension};
use crate::letter::{Course, LastReply, Letter, QueueId, RecipientState, Timestamp};
use crate::record;
use crate::schedule::{LaneStatus, RecipientSet};

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
    /// An operator said that it is not to be tried.
    Held,
    /// It would be waiting or ready, were not what it belongs to suspended. Not of a single recipient.
    Suspended,
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
    /// Why it is not tried, where an operator said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<Held>,
    /// Why a recipient is not tried, where what it belongs to is suspended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspended: Option<Suspension>,
    /// The way that an operator sent it, in place of its recipients' own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect: Option<String>,
}

/// An operator's word that a letter is not to be tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    pub reason: String,
    pub since: Timestamp,
    /// It ends by itself then.
    pub until: Option<Timestamp>,
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

    /// What each lane is doing, and which limit keeps it from doing more.
    pub fn lanes(&self) -> Vec<LaneStatus> {
        self.inner.lock().scheduler.lanes(Timestamp::now())
    }

    /// Jobs that wait until the site of their domain is found.
    pub fn searching(&self) -> usize {
        self.inner.lock().scheduler.searching()
    }
}

impl Inner {
    /// Whether it is one of those looked for; the site is asked of the router last.
    pub fn matches(&self, filter: &Filter, loaded: &Loaded, standing: Standing) -> bool {
        let site = |site: &String| {
            let redirect = loaded.course.redirect.as_deref();
            loaded.pending().any(|recipient| match self.sites.place_of(&loaded.letter, recipient, redirect) {
                Place::Lane { lane, .. } => lane.site.0.eq_ignore_ascii_case(site),
                Place::Unknown { domain, .. } => domain.eq_ignore_ascii_case(site),
            })
        };
        filter.matches(&loaded.letter, &loaded.course, standing, Timestamp::now())
            && filter.site.as_ref().is_none_or(site)
    }

    fn look_at(&self, id: QueueId, filter: &Filter) -> Option<Summary> {
        let loaded = self.at_hand_or_load(id).ok()?;
        let (ready, running) = self.lock().scheduler.out_of(id);
        let (standing, suspended) = self.standing(&loaded, &ready, &running);
        self.matches(filter, &loaded, standing).then(|| Summary {
            suspended,
            standing,
            ..summary(&loaded.letter, &loaded.course, &ready, &running)
        })
    }

    /// What the letter is doing, and why some recipient is not tried.
    pub fn standing(
        &self,
        loaded: &Loaded,
        ready: &RecipientSet,
        running: &RecipientSet,
    ) -> (Standing, Option<Suspension>) {
        let suspended = self.suspension_of(loaded);
        match standing_of(&loaded.course, ready, running, Timestamp::now()) {
            Standing::Waiting | Standing::Ready if suspended.is_some() => (Standing::Suspended, suspended),
            other => (other, suspended),
        }
    }

    fn show(&self, id: QueueId) -> Option<Details> {
        let (out, config) = {
            let state = self.lock();
            if !state.scheduler.contains(id) {
                return None;
            }
            (state.scheduler.out_of(id), std::sync::Arc::clone(&state.config))
        };
        let loaded = self.at_hand_or_load(id).ok()?;
        let (standing, suspended) = self.standing(&loaded, &out.0, &out.1);
        let Loaded { letter, course } = loaded;
        self.recorder.flush();
        let records = record::history(self.recorder.dir(), id, RECORDS_MOST).unwrap_or_default();
        let expires = config.expiry(&letter, &course);
        let mut details = details(&letter, &course, &out.0, &out.1, expires, records);
        (details.summary.standing, details.summary.suspended) = (standing, suspended);
        Some(details)
    }
}

/// What a letter as a whole is doing. One that is due and in no job waits behind others of its lane: it is ready.
pub(crate) fn standing_of(course: &Course, ready: &RecipientSet, running: &RecipientSet, now: Timestamp) -> Standing {
    match (running.is_empty(), ready.is_empty()) {
        (false, _) => Standing::Trying,
        _ if course.hold.is_some() => Standing::Held,
        (true, true) if course.next_due().is_none_or(|due| due > now) => Standing::Waiting,
        _ => Standing::Ready,
    }
}

pub(crate) fn summary(letter: &Letter, course: &Course, ready: &RecipientSet, running: &RecipientSet) -> Summary {
    let states = &course.states;
    let pending = || states.iter().zip(&letter.recipients).filter(|(progress, _)| progress.state.is_pending());
    let waiting = states.iter().enumerate().filter(|(index, progress)| {
        progress.state.is_pending() && !ready.contains(*index) && !running.contains(*index)
    });
    Summary {
        id: letter.id,
        arrived: letter.arrived,
        from: letter.from.to_string(),
        size: letter.size,
        standing: standing_of(course, ready, running, Timestamp::now()),
        to: pending().take(FEW).map(|(_, recipient)| recipient.address.to_string()).collect(),
        pending: pending().count(),
        recipients: letter.recipients.len(),
        attempts: pending().map(|(progress, _)| attempts(&progress.state)).max().unwrap_or(0),
        next: match &course.hold {
            Some(hold) => hold.until,
            None => waiting.map(|(_, progress)| progress.due).min(),
        },
        last: pending().filter_map(|(progress, _)| progress.state.last()).max_by_key(|last| last.at).map(Last::from),
        held: course.hold.as_ref().map(|hold| Held {
            reason: hold.reason.clone(),
            since: hold.since,
            until: hold.until,
        }),
        suspended: None,
        redirect: course.redirect.clone(),
    }
}

pub(crate) fn details(
    letter: &Letter,
    course: &Course,
    ready: &RecipientSet,
    running: &RecipientSet,
    expires: Timestamp,
    records: Vec<serde_json::Value>,
) -> Details {
    let recipients = letter.recipients.iter().zip(&course.states).enumerate();
    let (held, now) = (course.hold.is_some(), Timestamp::now());
    let origin = &letter.origin;
    Details {
        summary: summary(letter, course, ready, running),
        expires,
        envid: letter.params.envid.clone(),
        listener: origin.listener.clone(),
        protocol: origin.protocol.clone(),
        client: origin.client,
        helo: origin.helo.clone(),
        user: origin.user.clone(),
        all_recipients: recipients
            .map(|(index, (recipient, progress))| {
                let ready = ready.contains(index) || progress.due <= now;
                let standing = standing(&progress.state, held, ready, running.contains(index));
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

fn standing(state: &RecipientState, held: bool, ready: bool, running: bool) -> Standing {
    match state {
        RecipientState::Pending { .. } if running => Standing::Trying,
        RecipientState::Pending { .. } if held => Standing::Held,
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
