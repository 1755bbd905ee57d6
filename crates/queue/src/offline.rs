//! The queue of a daemon that is stopped, read without changing anything. It needs no lock: beside a daemon that runs, it
//! shows what is on disk at that moment.

use std::path::Path;
use std::sync::Arc;

use crate::letter::{Course, Letter, QueueId, Timestamp, codec};
use crate::queue::{
    Builder, By, Details, Filter, QueueConfig, Standing, Summary, Suspensions, Tally, details, standing_of, summary,
};
use crate::record;
use crate::schedule::RecipientSet;
use crate::spool::{Depth, InspectedLetter, RealDisk, SpoolError, inspect};

const RECORDS_MOST: usize = 1_000;

/// The letters that are not done, the oldest first. Those whose envelope is damaged are left out: `gatepost spool verify`
/// names them.
///
/// # Errors
/// The folder cannot be read.
pub fn list(data_dir: &Path, filter: &Filter) -> Result<Vec<Summary>, SpoolError> {
    let found = inspect(Arc::new(RealDisk), &data_dir.join("spool"), Depth::Quick)?;
    let (none, now) = (RecipientSet::default(), Timestamp::now());
    // What cannot be read is told by the daemon when it starts.
    let suspensions = Suspensions::read(data_dir).unwrap_or_default();
    let summed_up = |(letter, course): (Letter, Course)| {
        let pending = letter.recipients.iter().zip(&course.states).filter(|(_, progress)| progress.state.is_pending());
        let mut suspended = pending.filter_map(|(recipient, _)| suspensions.of_recipient(&letter, recipient, now));
        let suspended = suspended.next().cloned();
        let standing = match standing_of(&course, &none, &none, now) {
            Standing::Waiting | Standing::Ready if suspended.is_some() => Standing::Suspended,
            other => other,
        };
        let is_meant = filter.after.is_none_or(|after| letter.id > after)
            && filter.matches(&letter, &course, standing, now)
            && course.is_pending();
        is_meant.then(|| Summary { standing, suspended, ..summary(&letter, &course, &none, &none) })
    };
    let letters = found.letters.iter().filter_map(read).filter_map(summed_up);
    Ok(letters.take(filter.limit.unwrap_or(usize::MAX)).collect())
}

/// The letters in groups; by site they are grouped by domain, since only a running daemon knows the sites.
///
/// # Errors
/// The folder cannot be read.
pub fn tally(data_dir: &Path, by: By, filter: &Filter) -> Result<Tally, SpoolError> {
    let found = inspect(Arc::new(RealDisk), &data_dir.join("spool"), Depth::Quick)?;
    let none = RecipientSet::default();
    // What cannot be read is told by the daemon when it starts.
    let suspensions = Suspensions::read(data_dir).unwrap_or_default();
    let mut builder = Builder::new(by, Arc::new(suspensions), None);
    let now = Timestamp::now();
    for (letter, course) in found.letters.iter().filter_map(read) {
        if filter.matches(&letter, &course, standing_of(&course, &none, &none, now), now) {
            builder.add(&letter, &course, &none, &none);
        }
    }
    Ok(Tally { seen: found.letters.len(), groups: builder.groups(), after: None })
}

/// One letter and its records; `None` where it is not in the queue.
///
/// # Errors
/// The folder cannot be read.
pub fn show(data_dir: &Path, config: &QueueConfig, id: QueueId) -> Result<Option<Details>, SpoolError> {
    let found = inspect(Arc::new(RealDisk), &data_dir.join("spool"), Depth::Quick)?;
    let stored = found.letters.iter().find(|inspected| inspected.letter.id == id);
    let Some((letter, course)) = stored.and_then(read) else { return Ok(None) };
    let records = record::history(&data_dir.join("records"), id, RECORDS_MOST).unwrap_or_default();
    let none = RecipientSet::default();
    Ok(Some(details(&letter, &course, &none, &none, config.expiry(&letter, &course), records)))
}

fn read(inspected: &InspectedLetter) -> Option<(Letter, Course)> {
    let stored = &inspected.letter;
    codec::decode(stored.id, &stored.meta, stored.state.as_deref().unwrap_or_default()).ok()
}
