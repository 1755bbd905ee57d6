//! Which letters an operator means.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Standing;
use super::inner::Loaded;
use crate::letter::{Course, Letter, QueueId, Recipient, Timestamp};
use crate::units;

/// Which letters to list or to change. The default is all; what is given must hold together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Filter {
    /// Part of the sender's address; `<>` for reports.
    pub from: Option<String>,
    /// Part of a recipient's address.
    pub to: Option<String>,
    /// The whole domain of a recipient that is not done.
    pub domain: Option<String>,
    /// The site of a recipient that is not done, as the router names it now. Not known of a stopped daemon's queue.
    pub site: Option<String>,
    /// What the letter is doing.
    pub state: Option<Standing>,
    /// Here for at least so long.
    #[serde(with = "units::optional_duration")]
    pub older: Option<Duration>,
    /// Here for less than that.
    #[serde(with = "units::optional_duration")]
    pub younger: Option<Duration>,
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
    Filter(Filter),
}

impl Filter {
    /// All but the site, which only the router knows.
    pub(crate) fn matches(&self, letter: &Letter, course: &Course, standing: Standing, now: Timestamp) -> bool {
        let age = now.since(letter.arrived);
        self.older.is_none_or(|older| age >= older)
            && self.younger.is_none_or(|younger| age < younger)
            && self.state.is_none_or(|state| state == standing)
            && self.from.as_ref().is_none_or(|part| match part.as_str() {
                "<>" => letter.from.is_null(),
                part => contains(&letter.from, part),
            })
            && self.to.as_ref().is_none_or(|part| letter.recipients.iter().any(|r| contains(&r.address, part)))
            && self.domain.as_ref().is_none_or(|domain| {
                let of = |recipient: &Recipient| recipient.address.host.to_string().eq_ignore_ascii_case(domain);
                pending(letter, course).any(of)
            })
    }
}

impl Loaded {
    /// The recipients that are not done.
    pub fn pending(&self) -> impl Iterator<Item = &Recipient> {
        pending(&self.letter, &self.course)
    }
}

fn pending<'a>(letter: &'a Letter, course: &'a Course) -> impl Iterator<Item = &'a Recipient> {
    let both = letter.recipients.iter().zip(&course.states);
    both.filter(|(_, progress)| progress.state.is_pending()).map(|(recipient, _)| recipient)
}

/// Addresses are compared without case here: an operator types them.
fn contains(address: &impl ToString, part: &str) -> bool {
    address.to_string().to_lowercase().contains(&part.to_lowercase())
}
