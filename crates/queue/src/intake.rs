//! The one way in: trace fields, missing fields, the spool, and only then the word that it is kept.
//!
//! Here are the values; the way itself is [`Queue::submit`](crate::Queue::submit).

use smtp::{Reply, ReversePath};

use crate::letter::{LetterParams, Origin, Recipient};

/// A letter that asks to be taken. Its text is in the [`Draft`](crate::Draft) given with it.
#[derive(Clone, Debug)]
pub struct NewLetter {
    pub from: ReversePath,
    pub params: LetterParams,
    pub recipients: Vec<Recipient>,
    /// Names that led to several of the recipients, whose sender wants to hear of that (RFC 3461 §5.2.7.3).
    pub expanded: Vec<Recipient>,
    pub origin: Origin,
    /// The Received field's `from` and `tls` clauses and the like; intake adds the identifier, `by` and the date.
    pub received: mail::trace::Received,
    /// Add Date and Message-ID where they are missing (RFC 6409 §8), and refuse several From fields (RFC 5322 §3.6) where a
    /// client can be told; for submissions only.
    pub complete_header: bool,
}

/// Why a letter was not taken. The client keeps it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Refusal {
    #[error("the spool cannot write: {0}")]
    Spool(String),
    #[error("the disk has too little room left")]
    NoSpace,
    #[error("the letter's envelope is too large")]
    TooLarge,
    #[error("the server is stopping")]
    Stopping,
    /// Readers, and those who verify signatures, would not agree on whose it is.
    #[error("the letter has several From fields")]
    SeveralFrom,
}

impl Refusal {
    /// What the client is told.
    pub fn reply(&self) -> Reply {
        match self {
            Self::Spool(_) => Reply::new(451, (4, 3, 0), "the letter could not be stored; try again later"),
            Self::NoSpace => Reply::new(452, (4, 3, 1), "not enough disk space; try again later"),
            Self::TooLarge => {
                Reply::new(552, (5, 3, 4), "too many recipients or parameters; split the letter and try again")
            }
            Self::SeveralFrom => {
                Reply::new(550, (5, 6, 0), "the letter has more than one From field; send it with one")
            }
            Self::Stopping => Reply::new(421, (4, 3, 2), "the server is stopping; try again later"),
        }
    }
}
