//! Listeners: an address, what it stands for, and where it differs from that.

use std::net::SocketAddr;

use crate::network::IpNetwork;

/// One door: the addresses it listens on and what is behind it.
#[derive(Clone, Debug, PartialEq, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// What the listener is called in logs and records. The profile's name when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// One address with its port, or several: `"0.0.0.0:25"`, `["0.0.0.0:25", "[::]:25"]`. An IPv6 address never takes
    /// IPv4 connections; write both.
    pub address: OneOrMany<SocketAddr>,
    /// What the port is for: `relay` (25), `submission` (587), `submissions` (465), `alternative` (2525) or `lmtp`.
    pub profile: Profile,
    /// TLS, where it is not to be the profile's: `none`, `starttls` (offered), `required` (STARTTLS before MAIL) or
    /// `implicit` (from the first byte).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// Logins, where they are not to be the profile's: `off`, `offered` or `required`. Passwords are taken under TLS only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<Auth>,
    /// Mechanisms offered where logins are: all of `SCRAM-SHA-256-PLUS`, `SCRAM-SHA-256`, `PLAIN` and `LOGIN` when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mechanisms: Option<Vec<Mechanism>>,
    /// Load balancers that say who the client is by the PROXY protocol (version 1 or 2). From these networks the header is
    /// required; from all others it is not understood.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub proxy_protocol_from: Vec<IpNetwork>,
    /// A CR or LF standing alone in a letter: `reject` the letter (the default) or `normalize` it to CR LF, for old clients
    /// on private networks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bare_newlines: Option<BareNewlines>,
    /// Offer CHUNKING and BINARYMIME. True when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chunking: Option<bool>,
    /// Offer SMTPUTF8. True when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smtputf8: Option<bool>,
    /// Offer DSN (delivery reports on request) to anyone. When left out: to clients that have logged in, or that the profile
    /// makes log in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dsn: Option<bool>,
    /// Limits that differ here from those in `[limits]`.
    #[serde(default, skip_serializing_if = "LimitOverrides::is_empty")]
    pub limits: LimitOverrides,
}

/// What a port is for. It settles TLS, logins and whom letters may be for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// Port 25: letters from other servers for our domains. STARTTLS offered, no logins.
    Relay,
    /// Port 587: letters from our users for anyone. STARTTLS and a login required.
    Submission,
    /// Port 465: the same with TLS from the first byte.
    Submissions,
    /// Port 2525: as 587, for networks that block it.
    Alternative,
    /// LMTP (RFC 2033) for letters to our domains from a server nearby. No TLS, no logins.
    Lmtp,
}

/// TLS on a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Tls {
    None,
    /// STARTTLS is offered; who does not use it is served all the same.
    Starttls,
    /// STARTTLS is offered, and MAIL before it gets 530 5.7.0.
    Required,
    /// From the first byte.
    Implicit,
}

/// Logins on a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Auth {
    Off,
    /// Whoever logs in may send to anyone; others only to our domains.
    Offered,
    /// MAIL before a login gets 530 5.7.0.
    Required,
}

/// A SASL mechanism by its name on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
pub enum Mechanism {
    #[serde(rename = "SCRAM-SHA-256-PLUS")]
    ScramSha256Plus,
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    #[serde(rename = "PLAIN")]
    Plain,
    #[serde(rename = "LOGIN")]
    Login,
}

/// What a CR or LF standing alone in a letter gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum BareNewlines {
    Reject,
    Normalize,
}

/// Limits of one listener; what is left out is as in `[limits]`.
#[derive(Clone, Debug, Default, PartialEq, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitOverrides {
    /// See `limits.message_size`.
    #[serde(with = "queue::units::optional_size", skip_serializing_if = "Option::is_none")]
    pub message_size: Option<u64>,
    /// See `limits.recipients`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recipients: Option<usize>,
    /// See `limits.connections_per_client`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connections_per_client: Option<u32>,
    /// See `limits.errors`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errors: Option<u32>,
    /// See `limits.command_timeout`.
    #[serde(with = "queue::units::optional_duration", skip_serializing_if = "Option::is_none")]
    pub command_timeout: Option<std::time::Duration>,
    /// See `limits.data_timeout`.
    #[serde(with = "queue::units::optional_duration", skip_serializing_if = "Option::is_none")]
    pub data_timeout: Option<std::time::Duration>,
}

impl LimitOverrides {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Profile {
    pub fn name(self) -> &'static str {
        match self {
            Self::Relay => "relay",
            Self::Submission => "submission",
            Self::Submissions => "submissions",
            Self::Alternative => "alternative",
            Self::Lmtp => "lmtp",
        }
    }

    /// Whether letters come from our own users here (RFC 6409).
    pub fn is_submission(self) -> bool {
        matches!(self, Self::Submission | Self::Submissions | Self::Alternative)
    }

    pub fn tls(self) -> Tls {
        match self {
            Self::Relay => Tls::Starttls,
            Self::Submission | Self::Alternative => Tls::Required,
            Self::Submissions => Tls::Implicit,
            Self::Lmtp => Tls::None,
        }
    }

    pub fn auth(self) -> Auth {
        match self {
            Self::Relay | Self::Lmtp => Auth::Off,
            Self::Submission | Self::Submissions | Self::Alternative => Auth::Required,
        }
    }
}

impl Listener {
    pub fn new(address: SocketAddr, profile: Profile) -> Self {
        Self {
            name: None,
            address: OneOrMany(vec![address]),
            profile,
            tls: None,
            auth: None,
            mechanisms: None,
            proxy_protocol_from: Vec::new(),
            bare_newlines: None,
            chunking: None,
            smtputf8: None,
            dsn: None,
            limits: LimitOverrides::default(),
        }
    }

    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(self.profile.name())
    }

    /// TLS as it is here: the override, else the profile's.
    pub fn tls(&self) -> Tls {
        self.tls.unwrap_or(self.profile.tls())
    }

    /// Logins as they are here: the override, else the profile's.
    pub fn auth(&self) -> Auth {
        self.auth.unwrap_or(self.profile.auth())
    }
}

/// One value, or a list with at least one.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[serde(transparent)]
pub struct OneOrMany<T>(pub Vec<T>);

impl<'de, T: serde::Deserialize<'de>> serde::Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either<T>(std::marker::PhantomData<T>);

        impl<'de, T: serde::Deserialize<'de>> serde::de::Visitor<'de> for Either<T> {
            type Value = Vec<T>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("one text or a list of them")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Vec<T>, E> {
                T::deserialize(serde::de::value::StrDeserializer::new(text)).map(|one| vec![one])
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
                let mut all = Vec::new();
                while let Some(one) = list.next_element()? {
                    all.push(one);
                }
                if all.is_empty() {
                    return Err(serde::de::Error::custom("the list is empty; it needs at least one"));
                }
                Ok(all)
            }
        }

        deserializer.deserialize_any(Either(std::marker::PhantomData)).map(Self)
    }
}
