//! What a letter's state holds since version 2, about the letter as a whole. Few letters have any of it.

use std::time::Duration;

use super::super::{Course, Hold, Timestamp};
use super::DecodeError;
use super::wire::{Reader, Writer};

pub(super) fn any(course: &Course) -> bool {
    let Course { states: _, hold, held, redirect, delay_told } = course;
    hold.is_some() || !held.is_zero() || redirect.is_some() || !delay_told.is_empty()
}

pub(super) fn write(out: &mut Writer, course: &Course) {
    out.option(course.hold.as_ref(), |out, hold| {
        out.text(&hold.reason);
        out.number(hold.since.0);
        out.option(hold.until, |out, until| out.number(until.0));
    });
    out.number(u64::try_from(course.held.as_millis()).unwrap_or(u64::MAX));
    out.option(course.redirect.as_deref(), Writer::text);
    out.number(course.delay_told.len() as u64);
    course.delay_told.iter().for_each(|index| out.number(index as u64));
}

/// `course` has its recipients already.
pub(super) fn read(input: &mut Reader<'_>, course: &mut Course) -> Result<(), DecodeError> {
    course.hold = input.option(|input| {
        let (reason, since) = (input.string()?, Timestamp(input.number()?));
        Ok(Hold { reason, since, until: input.option(Reader::number)?.map(Timestamp) })
    })?;
    course.held = Duration::from_millis(input.number()?);
    course.redirect = input.option(Reader::string)?;
    let recipients = course.states.len();
    let told = input.list(|input| {
        let index = usize::try_from(input.number()?).ok().filter(|index| *index < recipients);
        index.ok_or(DecodeError::BadTag)
    })?;
    course.delay_told = told.into_iter().collect();
    Ok(())
}
