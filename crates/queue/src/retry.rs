//! The growing interval.
