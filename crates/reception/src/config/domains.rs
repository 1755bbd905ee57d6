//! Domains that letters are accepted for.

use std::collections::BTreeMap;

use crate::directory::{DomainName, LocalName, Target};

/// The domains whose letters this server takes from anyone.
#[derive(Clone, Debug, Default, PartialEq, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Domains {
    /// Who reads letters to postmaster, in all local domains that do not say otherwise, and to `<postmaster>` without a
    /// domain; also what programs of this machine send to a name without a domain, such as cron to `root`, that is no
    /// mailbox. When left out: the first mailbox of the first local domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub postmaster: Option<crate::directory::Address>,
    /// Domains whose mailboxes are here: `[domains.local."example.org"]`.
    #[serde(deserialize_with = "unique")]
    pub local: BTreeMap<DomainName, LocalDomain>,
    /// Domains that this server passes on to another one: `[domains.relay."example.net"]`.
    #[serde(deserialize_with = "unique")]
    pub relay: BTreeMap<DomainName, RelayDomain>,
}

/// A domain whose mailboxes are here.
#[derive(Clone, Debug, PartialEq, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct LocalDomain {
    /// The mailboxes, by what stands before the `@`. Capital and small letters are the same.
    pub mailboxes: Vec<LocalName>,
    /// Addresses of this domain that belong to an account (`gatepost account add`) are mailboxes too.
    pub accounts: bool,
    /// Names that stand for others: `info = ["alice", "bob@example.net"]`. Without `@`, the same domain is meant. Up to 10
    /// aliases may lead from one to the next.
    #[serde(deserialize_with = "unique")]
    pub aliases: BTreeMap<LocalName, crate::config::OneOrMany<Target>>,
    /// Who gets letters to names that are neither mailbox nor alias. When left out they are refused, which is better:
    /// a catch-all gathers spam.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub catch_all: Option<Target>,
    /// What may follow a name with a tag: with "+", letters to `alice+shop` go to `alice`. Empty: nothing.
    pub subaddress: String,
    /// Where its letters are put: `maildir` (below `delivery.maildir_root`), `maildir:/folder`, `lmtp:host:port` or
    /// `lmtp:/path/of/socket`. The way out reads it; here it is only carried along.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deliver: Option<String>,
}

/// A domain that this server passes on.
#[derive(Clone, Debug, PartialEq, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub struct RelayDomain {
    /// The addresses that exist there, by what stands before the `@`, or `"any"`. With `"any"` a letter to nobody is
    /// accepted first and bounced later, often to someone who never sent it.
    pub recipients: RelayRecipients,
}

/// The addresses of a relay domain.
#[derive(Clone, Debug, PartialEq)]
pub enum RelayRecipients {
    Any,
    These(AddressList),
}

/// Names in front of the `@`.
pub type AddressList = Vec<LocalName>;

impl Default for LocalDomain {
    fn default() -> Self {
        Self {
            mailboxes: Vec::new(),
            accounts: true,
            aliases: BTreeMap::new(),
            catch_all: None,
            subaddress: "+".to_owned(),
            deliver: None,
        }
    }
}

impl serde::Serialize for RelayRecipients {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Any => serializer.serialize_str("any"),
            Self::These(names) => names.serialize(serializer),
        }
    }
}

impl<'de> serde::Deserialize<'de> for RelayRecipients {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyOrList;

        impl<'de> serde::de::Visitor<'de> for AnyOrList {
            type Value = RelayRecipients;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("\"any\" or a list of names")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<RelayRecipients, E> {
                match text {
                    "any" => Ok(RelayRecipients::Any),
                    _ => Err(E::invalid_value(serde::de::Unexpected::Str(text), &self)),
                }
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, list: A) -> Result<RelayRecipients, A::Error> {
                let list = serde::de::value::SeqAccessDeserializer::new(list);
                <AddressList as serde::Deserialize>::deserialize(list).map(RelayRecipients::These)
            }
        }

        deserializer.deserialize_any(AnyOrList)
    }
}

/// A table whose keys are different also where toml thinks them so: `Example.org` and `example.org` are one domain.
fn unique<'de, D, K, V>(deserializer: D) -> Result<BTreeMap<K, V>, D::Error>
where
    D: serde::Deserializer<'de>,
    K: serde::Deserialize<'de> + Ord + std::fmt::Display,
    V: serde::Deserialize<'de>,
{
    struct Unique<K, V>(std::marker::PhantomData<(K, V)>);

    impl<'de, K, V> serde::de::Visitor<'de> for Unique<K, V>
    where
        K: serde::Deserialize<'de> + Ord + std::fmt::Display,
        V: serde::Deserialize<'de>,
    {
        type Value = BTreeMap<K, V>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a table")
        }

        fn visit_map<A: serde::de::MapAccess<'de>>(self, mut table: A) -> Result<Self::Value, A::Error> {
            let mut all = BTreeMap::new();
            while let Some(key) = table.next_key::<K>()? {
                if all.contains_key(&key) {
                    return Err(serde::de::Error::custom(format_args!("`{key}` is there twice")));
                }
                let value = table.next_value()?;
                all.insert(key, value);
            }
            Ok(all)
        }
    }

    deserializer.deserialize_map(Unique(std::marker::PhantomData))
}
