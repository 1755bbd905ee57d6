//! Puts letters into groups, one after the other.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use deliverability::{Kind, classify};

use super::super::settle::OURSELVES;
use super::super::suspensions::{Suspension, Suspensions, host_name};
use super::super::{Last, Place, Sites};
use super::{By, Group, earlier};
use crate::letter::{Course, LastReply, Letter, Recipient, Timestamp};
use crate::schedule::RecipientSet;

/// What a recipient is doing; the highest counts for its letter.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Doing {
    Waiting,
    Ready,
    Suspended,
    Held,
    Trying,
}

/// Puts letters into groups.
pub(crate) struct Builder<'s> {
    by: By,
    now: Timestamp,
    suspensions: Arc<Suspensions>,
    /// `None`: the daemon is stopped.
    sites: Option<&'s dyn Sites>,
    groups: HashMap<(String, String), (Group, Option<LastReply>)>,
}

/// What one letter adds to one group.
struct Part {
    name: String,
    place: Option<Place>,
    doing: Doing,
    recipients: usize,
    next: Option<Timestamp>,
    last: Option<LastReply>,
    suspension: Option<Suspension>,
}

impl<'s> Builder<'s> {
    pub fn new(by: By, suspensions: Arc<Suspensions>, sites: Option<&'s dyn Sites>) -> Self {
        Self { by, now: Timestamp::now(), suspensions, sites, groups: HashMap::new() }
    }

    pub fn add(&mut self, letter: &Letter, course: &Course, ready: &RecipientSet, running: &RecipientSet) {
        let mut parts: Vec<Part> = Vec::with_capacity(1);
        for (index, (recipient, progress)) in letter.recipients.iter().zip(&course.states).enumerate() {
            if !progress.state.is_pending() {
                continue;
            }
            let place = self.place(letter, course, recipient);
            let suspension = self.suspension(letter, recipient, place.as_ref());
            let doing = match () {
                () if running.contains(index) => Doing::Trying,
                () if course.hold.is_some() => Doing::Held,
                () if suspension.is_some() => Doing::Suspended,
                () if ready.contains(index) || progress.due <= self.now => Doing::Ready,
                () => Doing::Waiting,
            };
            let next = match doing {
                Doing::Waiting => Some(progress.due),
                Doing::Held => course.hold.as_ref().and_then(|hold| hold.until),
                _ => None,
            };
            let last = progress.state.last();
            let name = self.name(letter, recipient, place.as_ref(), doing);
            match parts.iter_mut().find(|part| part.name == name && source_of(&part.place) == source_of(&place)) {
                Some(part) => part.add(doing, next, last, place, suspension),
                None => {
                    let last = last.cloned();
                    parts.push(Part { name, place, doing, recipients: 1, next, last, suspension });
                }
            }
        }
        parts.into_iter().for_each(|part| self.put(part, letter.arrived));
    }

    fn place(&self, letter: &Letter, course: &Course, recipient: &Recipient) -> Option<Place> {
        Some(self.sites?.place_of(letter, recipient, course.redirect.as_deref()))
    }

    fn suspension(&self, letter: &Letter, recipient: &Recipient, place: Option<&Place>) -> Option<Suspension> {
        let of_lane = || match place? {
            Place::Lane { lane, .. } => self.suspensions.of_lane(lane, self.now),
            Place::Unknown { .. } => None,
        };
        self.suspensions.of_recipient(letter, recipient, self.now).or_else(of_lane).cloned()
    }

    fn name(&self, letter: &Letter, recipient: &Recipient, place: Option<&Place>, doing: Doing) -> String {
        match (self.by, place) {
            (By::Site, Some(Place::Lane { lane, .. })) => lane.site.0.to_string(),
            (By::Site, Some(Place::Unknown { domain, .. })) => domain.to_string(),
            (By::Site, None) | (By::Domain, _) => host_name(&recipient.address.host),
            (By::Sender, _) if letter.from.is_null() => "<>".to_owned(),
            (By::Sender, _) => letter.from.to_string(),
            (By::State, _) => doing.name().to_owned(),
        }
    }

    fn put(&mut self, part: Part, arrived: Timestamp) {
        let source = if self.by == By::Site { source_of(&part.place).to_owned() } else { String::new() };
        let lane = match &part.place {
            Some(Place::Lane { lane, .. }) => Some((lane.site.0.to_string(), lane.source.0.to_string())),
            _ => None,
        };
        let unplaced = matches!((self.by, &part.place), (By::Site, None | Some(Place::Unknown { .. })));
        let new = Group {
            name: part.name.clone(),
            source: source.clone(),
            unplaced,
            letters: 1,
            recipients: part.recipients,
            oldest: Some(arrived),
            next: part.next,
            suspension: part.suspension,
            lane,
            ..Group::default()
        };
        let new = part.doing.counted(new);
        match self.groups.entry((part.name, source)) {
            Entry::Vacant(entry) => drop(entry.insert((new, part.last))),
            Entry::Occupied(mut entry) => {
                let (group, last) = entry.get_mut();
                group.merge(new);
                if newer(part.last.as_ref(), last.as_ref()) {
                    *last = part.last;
                }
            }
        }
    }

    pub fn groups(self) -> Vec<Group> {
        let provider = |group: &Group| group.lane.as_ref().map(|(site, _)| site.clone());
        let finish = |(mut group, last): (Group, Option<LastReply>)| {
            group.meaning = last.as_ref().and_then(|last| meaning(last, provider(&group).as_deref()));
            group.last = last.as_ref().map(Last::from);
            group
        };
        self.groups.into_values().map(finish).collect()
    }
}

impl Part {
    fn add(
        &mut self,
        doing: Doing,
        next: Option<Timestamp>,
        last: Option<&LastReply>,
        place: Option<Place>,
        suspension: Option<Suspension>,
    ) {
        self.recipients += 1;
        self.doing = self.doing.max(doing);
        self.next = earlier(self.next, next);
        if newer(last, self.last.as_ref()) {
            self.last = last.cloned();
        }
        if self.place != place {
            self.place = self.place.take().filter(|own| source_of(&Some(own.clone())) == source_of(&place));
        }
        self.suspension = self.suspension.take().or(suspension);
    }
}

impl Doing {
    fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Ready => "ready",
            Self::Suspended => "suspended",
            Self::Held => "held",
            Self::Trying => "trying",
        }
    }

    fn counted(self, mut group: Group) -> Group {
        match self {
            Self::Waiting => group.waiting = 1,
            Self::Ready => group.ready = 1,
            Self::Suspended => group.suspended = 1,
            Self::Held => group.held = 1,
            Self::Trying => group.trying = 1,
        }
        group
    }
}

fn source_of(place: &Option<Place>) -> &str {
    match place {
        Some(Place::Lane { lane, .. }) => &lane.source.0,
        Some(Place::Unknown { source, .. }) => &source.0,
        None => "",
    }
}

fn newer(new: Option<&LastReply>, old: Option<&LastReply>) -> bool {
    new.map(|last| last.at) > old.map(|last| last.at)
}

/// Our own words say what they mean.
fn meaning(last: &LastReply, provider: Option<&str>) -> Option<String> {
    let kind = classify(&last.reply, provider).kind;
    let known = last.by != OURSELVES && !matches!(kind, Kind::Accepted | Kind::Uncategorized);
    known.then(|| kind.in_words().to_owned())
}
