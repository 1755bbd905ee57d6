//! The shelf and the calendar: every letter that was answered 250 lies here until its last recipient is done.
//!
//! | module | what it holds |
//! |---|---|
//! | [`letter`] | a letter as the queue knows it: envelope, recipients and their state; its form on disk |
//! | [`spool`] | the durable store: an append-only segment log with group commit |
//! | [`intake`] | the one way in, for SMTP, `sendmail` and our own reports |
//! | [`schedule`] | when which letter is tried next; no clock, no I/O |
//! | [`retry`] | the growing interval |
//! | [`bounce`] | what a sender is told |
//! | [`units`] | durations and sizes as a configuration writes them |
//! | [`counters`] | what is counted for those who show figures |
//! | [`record`] | one line for each step of a letter's life |
//! | [`offline`] | the queue of a daemon that is stopped |
//! | [`queue`](mod@queue) | [`Queue`], which holds these together |
//!
//! # Invariants
//! - No caller learns that a letter was accepted before the spool said durable.
//! - A letter leaves the spool only when each recipient is delivered, bounced or dropped.
//! - A report is never written about a report.

pub mod bounce;
pub mod counters;
pub mod intake;
pub mod letter;
pub mod offline;
pub mod queue;
pub mod record;
pub mod retry;
pub mod schedule;
pub mod spool;
mod table;

pub use counters::Counters;
pub use deliverability::units;
pub use intake::{NewLetter, Refusal};
pub use letter::{
    Course, Hold, LastReply, Letter, LetterParams, Origin, Progress, QueueId, Recipient, RecipientState, Timestamp,
};
pub use queue::{
    Attempt, By, Census, DelayFor, Details, Filter, Group, Held, Lane, LaneReport, Last, Limits, OpenError, Outcome,
    Overview, Place, Queue, QueueConfig, Rate, RecipientDetails, RecipientOutcome, Reports, Search, Selection, Site,
    Sites, Source, Standing, Summary, SuspendError, Suspended, Suspension, Tally, Verdict, Via, Weather, Worker,
    suspensions_at_rest,
};
pub use record::{Event, Recorder, RecordsConfig};
pub use retry::{RetryOverride, RetryPolicy};
pub use schedule::{Bound, LaneStatus};
pub use spool::{Body, Draft};
