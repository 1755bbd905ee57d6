//! How values are written in the configuration: texts that are parsed into real types at load.

/// A type with `FromStr` and `Display`, written as a string; its error is shown as it is.
pub mod as_text {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn deserialize<'de, D, T>(from: D) -> Result<T, D::Error>
    where
        D: Deserializer<'de>,
        T: FromStr<Err: Display>,
    {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }

    pub fn serialize<S: Serializer, T: Display>(value: &T, into: S) -> Result<S::Ok, S::Error> {
        into.collect_str(value)
    }
}
