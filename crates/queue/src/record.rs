//! One line of JSON for each step of a letter's life, in `<data>/records/records.jsonl`. Its fields are described in
//! docs/reference/records.md.
//!
//! ```ignore
//! recorder.record(Event::Delivered).id(id).from(&letter.from).to(&mailbox).reply(&reply).by(&by).write();
//! ```
//!
//! # Invariants
//! - Writing a record never waits for the disk: lines are handed to a thread of their own; what does not fit is counted.
//! - Each line is one valid JSON object, whatever a peer said; its words are cut at [`TEXT_MOST`] characters.
//! - Each line that this crate's tests write fits docs/reference/records.schema.json: see `schema`.
//!
//! # Limits
//! - Records are not synced: after a power failure the last lines may be missing. The spool is what counts.

use std::fmt::{self, Write as _};
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use deliverability::What;
use smtp::{Mailbox, Reply, ReversePath};

use crate::letter::{QueueId, Timestamp};

mod config;
mod files;
mod history;
mod json;
mod keeper;
mod output;
#[cfg(test)]
mod schema;
#[cfg(test)]
mod tests;
mod writer;

pub use config::RecordsConfig;
pub use history::history;
use writer::Writer;

/// Characters of a peer's words that are kept.
pub const TEXT_MOST: usize = 256;

/// The steps of a letter's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Taken: it is on disk, the client was or will be told 250.
    Received,
    /// Not taken: the reply says why.
    Refused,
    Delivered,
    /// Not now; tried again at `next`.
    Deferred,
    /// The remote server, or we, said that it never will be.
    Failed,
    /// Not delivered in the time that the retry schedule gives.
    Expired,
    /// Removed by an operator.
    Dropped,
    /// Held by an operator.
    Held,
    /// Held no more.
    Released,
    /// Sent another way by an operator, or with an empty `text` its own again.
    Redirected,
    /// Nothing is tried of `of` and `name` until `until`, on an operator's word.
    Suspended,
    /// That is over.
    Resumed,
    /// The sender was told: `report` is the report's own identifier.
    Report,
    /// A reply has changed what a site takes, or that is over.
    Shaping,
    /// A login that failed.
    LoginFailed,
    /// Something is wrong with the queue itself: `text` says what.
    Problem,
}

impl Event {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Refused => "refused",
            Self::Delivered => "delivered",
            Self::Deferred => "deferred",
            Self::Failed => "failed",
            Self::Expired => "expired",
            Self::Dropped => "dropped",
            Self::Held => "held",
            Self::Released => "released",
            Self::Redirected => "redirected",
            Self::Suspended => "suspended",
            Self::Resumed => "resumed",
            Self::Report => "report",
            Self::Shaping => "shaping",
            Self::LoginFailed => "login_failed",
            Self::Problem => "problem",
        }
    }
}

/// Takes records and writes them elsewhere; never makes the caller wait. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Recorder {
    writer: Option<Arc<Writer>>,
    dir: PathBuf,
}

impl Recorder {
    /// Writes into this folder, which is made if it is not there. A file that grows past `most` octets is put away.
    ///
    /// # Errors
    /// The folder or the file cannot be made.
    pub fn open(dir: impl Into<PathBuf>, most: u64) -> io::Result<Self> {
        Self::open_with(dir, RecordsConfig { max_size: most, ..RecordsConfig::default() })
    }

    /// The same with everything that can be said about it.
    ///
    /// # Errors
    /// The folder or the file cannot be made.
    pub fn open_with(dir: impl Into<PathBuf>, config: RecordsConfig) -> io::Result<Self> {
        let dir = dir.into();
        Ok(Self { writer: Some(Arc::new(Writer::start(&dir, config)?)), dir })
    }

    /// Writes nowhere; for tests and tools.
    pub fn none() -> Self {
        Self { writer: None, dir: PathBuf::new() }
    }

    /// From now on nothing is written where that would leave less than so many octets of the disk: they are for letters.
    pub fn keep_free(&self, octets: u64) {
        if let Some(writer) = &self.writer {
            writer.keep_free(octets);
        }
    }

    /// From now on files are put away and kept by these figures.
    pub fn reconfigure(&self, config: RecordsConfig) {
        if let Some(writer) = &self.writer {
            writer.reconfigure(config);
        }
    }

    /// Where the files lie.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Begins a line. Nothing is kept before [`Line::write`].
    pub fn record(&self, event: Event) -> Line<'_> {
        self.record_at(Timestamp::now(), event)
    }

    pub fn record_at(&self, now: Timestamp, event: Event) -> Line<'_> {
        let mut text = String::with_capacity(if self.writer.is_some() { 512 } else { 0 });
        text.push_str("{\"v\":1,\"time\":\"");
        let _ = write!(text, "{now}");
        text.push_str("\",\"event\":\"");
        text.push_str(event.as_str());
        text.push('"');
        Line { recorder: self, text }
    }

    /// Lines that did not fit or could not be written.
    pub fn lost(&self) -> u64 {
        self.writer.as_ref().map_or(0, |writer| writer.lost())
    }

    /// Waits until all lines so far are in the file. Blocks.
    pub fn flush(&self) {
        if let Some(writer) = &self.writer {
            writer.flush();
        }
    }
}

/// A line that is being put together.
#[derive(Debug)]
#[must_use = "a line is kept by `write`"]
pub struct Line<'r> {
    recorder: &'r Recorder,
    text: String,
}

impl Line<'_> {
    pub fn id(self, id: QueueId) -> Self {
        self.plain("id", id)
    }

    /// Empty for `<>`.
    pub fn from(self, from: &ReversePath) -> Self {
        self.display("from", from)
    }

    /// One recipient. The key's value is a list all the same, so that readers know one type.
    pub fn to(self, to: &Mailbox) -> Self {
        self.all_to([to])
    }

    pub fn all_to<'m>(mut self, to: impl IntoIterator<Item = &'m Mailbox>) -> Self {
        self.key("to");
        self.text.push('[');
        for (i, mailbox) in to.into_iter().enumerate() {
            if i > 0 {
                self.text.push(',');
            }
            json::write_display(&mut self.text, mailbox);
        }
        self.text.push(']');
        self
    }

    pub fn size(self, octets: u64) -> Self {
        self.number("size", octets)
    }

    pub fn site(self, site: &crate::queue::Site) -> Self {
        self.text("site", &site.0)
    }

    /// The egress source; left out where it is the default.
    pub fn source(self, source: &crate::queue::Source) -> Self {
        if source.0.is_empty() { self } else { self.text("source", &source.0) }
    }

    /// What a rule has changed, or does no more.
    pub fn shaping(mut self, change: &deliverability::Change) -> Self {
        let what = match change.what {
            What::Begun => "begun",
            What::Healed => "healed",
            What::Ended => "ended",
        };
        self = self.plain("change", what);
        self = self.text("rule", &change.rule).text("reason", &change.reason);
        self.key("limits");
        match serde_json::to_string(&change.limits) {
            Ok(limits) => self.text.push_str(&limits),
            Err(_) => self.text.push_str("{}"),
        }
        self.plain("since", Timestamp(change.since)).plain("until", Timestamp(change.until))
    }

    /// Which attempt it was, from 1.
    pub fn attempt(self, attempt: u32) -> Self {
        self.number("attempt", u64::from(attempt))
    }

    /// When it is tried next.
    pub fn next(self, at: Timestamp) -> Self {
        self.plain("next", at)
    }

    /// When it ends by itself.
    pub fn until(self, at: Timestamp) -> Self {
        self.plain("until", at)
    }

    /// Milliseconds since the letter arrived.
    pub fn age(self, age: std::time::Duration) -> Self {
        self.number("age_ms", u64::try_from(age.as_millis()).unwrap_or(u64::MAX))
    }

    pub fn reply(mut self, reply: &Reply) -> Self {
        self.key("reply");
        let _ = write!(self.text, "{{\"code\":{}", reply.code);
        if let Some(enhanced) = reply.enhanced {
            let _ = write!(self.text, ",\"enhanced\":\"{enhanced}\"");
        }
        self.text.push_str(",\"text\":");
        json::write_capped(&mut self.text, reply.text(), TEXT_MOST);
        self.text.push('}');
        self
    }

    /// Who said it.
    pub fn by(self, by: &str) -> Self {
        self.text("by", by)
    }

    /// Left out where it is empty.
    pub fn tls(self, tls: &str) -> Self {
        if tls.is_empty() { self } else { self.text("tls", tls) }
    }

    pub fn client(self, client: Option<IpAddr>) -> Self {
        match client {
            Some(client) => self.plain("client", client),
            None => self,
        }
    }

    pub fn user(self, user: Option<&str>) -> Self {
        match user {
            Some(user) => self.text("user", user),
            None => self,
        }
    }

    pub fn listener(self, listener: &str) -> Self {
        self.text("listener", listener)
    }

    /// The identifier of the report that was written, or of the letter that a report is about.
    pub fn report(self, id: QueueId) -> Self {
        self.plain("report", id)
    }

    /// Any other text. Cut at four times [`TEXT_MOST`]: addresses must fit.
    pub fn text(mut self, key: &str, value: &str) -> Self {
        self.key(key);
        json::write_capped(&mut self.text, value, 4 * TEXT_MOST);
        self
    }

    pub fn number(mut self, key: &str, value: u64) -> Self {
        self.key(key);
        let _ = write!(self.text, "{value}");
        self
    }

    /// Hands the line over.
    pub fn write(mut self) {
        #[cfg(test)]
        schema::hold(&format!("{}}}", self.text));
        if let Some(writer) = &self.recorder.writer {
            self.text.push_str("}\n");
            writer.add(&self.text);
        }
    }

    /// A value whose text needs no escapes.
    fn plain(mut self, key: &str, value: impl fmt::Display) -> Self {
        self.key(key);
        let _ = write!(self.text, "\"{value}\"");
        self
    }

    fn display(mut self, key: &str, value: impl fmt::Display) -> Self {
        self.key(key);
        json::write_display(&mut self.text, value);
        self
    }

    fn key(&mut self, key: &str) {
        self.text.push_str(",\"");
        self.text.push_str(key);
        self.text.push_str("\":");
    }
}
