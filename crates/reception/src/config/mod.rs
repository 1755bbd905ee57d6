//! What an administrator says about the front door.
//!
//! Each field's comment is its documentation: the reference and the annotated sample are made from them.

mod domains;
mod limits;
mod listener;

pub use domains::{AddressList, Domains, LocalDomain, RelayDomain, RelayRecipients};
pub use limits::{Limits, LoginLimits, Passwords, in_haste};
pub use listener::{Auth, BareNewlines, LimitOverrides, Listener, Mechanism, OneOrMany, Profile, Tls};

use crate::network::IpNetwork;

/// Whom this server carries letters for without a login.
#[derive(Clone, Debug, Default, PartialEq, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Relay {
    /// Clients in these networks may send to anyone in the world through a `relay` listener, without a login. Whoever
    /// can reach the server from there can send spam in its name, so there is no default: not even private networks.
    pub relay_from_networks: Vec<IpNetwork>,
}

/// `Deserialize` and `Serialize` by way of `FromStr` and `Display`, so that toml names the line at fault.
macro_rules! text_serde {
    ($type:ty) => {
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    };
}
pub(crate) use text_serde;

#[cfg(test)]
mod tests;
