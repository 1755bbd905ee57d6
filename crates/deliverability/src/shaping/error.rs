//! What is wrong with a `[shaping]` table, where, and what to write instead.

use super::{RULES_MOST, THRESHOLD_MOST};
use crate::rate::RateError;
use crate::units::UnitError;

/// What is wrong with a shaping table; `path` names the place: `provider`, `google`, `automation`, `busy`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShapingError {
    #[error("shaping.{}: {problem}", path.join("."))]
    Entry { path: Vec<String>, problem: Problem },
    #[error("the shipped shaping table cannot be read: {0}")]
    Shipped(String),
}

/// What is wrong with one entry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    #[error("`rate`: {0:?} {1}")]
    Rate(String, RateError),
    #[error("`threshold`: {0:?} {1}")]
    BadThreshold(String, RateError),
    #[error("`for`: {0}")]
    Lasts(UnitError),
    #[error("`match` is no regular expression: {0}")]
    Pattern(String),
    #[error("`{0}` is missing")]
    Missing(&'static str),
    #[error("`{0}` has no place here: it is for providers")]
    OnlyProviders(&'static str),
    #[error("`{0}` has no place here: it is counted by site; write it in [shaping.site] or [shaping.provider]")]
    OnlySites(&'static str),
    #[error("`{0}` must be at least 1; to send nothing, suspend the site")]
    Zero(&'static str),
    #[error("`action` says nothing; give it rate, connections, letters_per_connection or suspend")]
    NoAction,
    #[error("the name is used twice")]
    Twice,
    #[error("the site {0:?} belongs to the provider {1:?} already")]
    SiteTaken(String, String),
    #[error("there are more than {RULES_MOST} rules")]
    ManyRules,
    #[error("`threshold` counts to at most {THRESHOLD_MOST}")]
    Threshold,
}

impl Problem {
    /// The key that is at fault, where it is one.
    pub fn key(&self) -> Option<&'static str> {
        match self {
            Self::Rate(..) => Some("rate"),
            Self::BadThreshold(..) | Self::Threshold => Some("threshold"),
            Self::Lasts(_) => Some("for"),
            Self::Pattern(_) => Some("match"),
            Self::OnlyProviders(key) | Self::OnlySites(key) | Self::Zero(key) => Some(key),
            Self::Twice => Some("name"),
            Self::NoAction => Some("action"),
            Self::SiteTaken(..) => Some("site"),
            Self::Missing(_) | Self::ManyRules => None,
        }
    }
}
