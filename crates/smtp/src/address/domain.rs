//! Domain names as a command carries them (RFC 5321 §4.1.2, RFC 6531 §3.3, RFC 5890 §2.3.2.1).

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};

use super::AddressError;

/// RFC 5321 §4.5.3.1.2.
const LONGEST: usize = 255;
/// RFC 1035 §2.3.4.
const LONGEST_LABEL: usize = 63;
/// All of ASCII but letters, digits, hyphen, dot and the underscore (see [`quirk_underscore`]).
const DENIED: AsciiDenyList = AsciiDenyList::new(true, "!\"#$%&'()*+,/:;<=>?@[\\]^`{|}~");

/// A domain name, in lower case and without a trailing dot.
#[derive(Clone, Debug)]
pub struct Domain {
    /// A-labels; what DNS is asked and what comparison sees.
    ascii: Box<str>,
    /// U-labels, where the peer wrote them.
    unicode: Option<Box<str>>,
}

impl Domain {
    /// The name that the DNS is asked: A-labels, lower case, no trailing dot.
    pub fn as_ascii(&self) -> &str {
        &self.ascii
    }

    /// Whether the peer wrote it in ASCII; A-labels are.
    pub fn is_ascii(&self) -> bool {
        self.unicode.is_none()
    }

    /// For a person to read: U-labels for each A-label that is one. Never use it in a command or a comparison.
    pub fn to_unicode(&self) -> Cow<'_, str> {
        match (&self.unicode, self.ascii.contains("xn--")) {
            (Some(unicode), _) => Cow::Borrowed(unicode),
            (None, false) => Cow::Borrowed(&self.ascii),
            (None, true) => match Uts46::new().to_unicode(self.ascii.as_bytes(), DENIED, Hyphens::CheckFirstLast) {
                (name, Ok(())) => Cow::Owned(name.into_owned()),
                // `xn--` before something that is no Punycode: shown as it is.
                (_, Err(_)) => Cow::Borrowed(&self.ascii),
            },
        }
    }
}

impl FromStr for Domain {
    type Err = AddressError;

    /// RFC 5321 §4.1.2, RFC 6531 §3.3:
    /// ```abnf
    /// Domain     = sub-domain *("." sub-domain)
    /// sub-domain = Let-dig [Ldh-str] / U-label
    /// ```
    fn from_str(text: &str) -> Result<Self, AddressError> {
        if text.len() > LONGEST {
            return Err(AddressError::LongDomain);
        }
        if !text.is_ascii() {
            return from_u_labels(text);
        }
        check(text)?;
        Ok(Self { ascii: text.to_ascii_lowercase().into(), unicode: None })
    }
}

/// A name that is not all ASCII, by UTS 46 without transitional mapping: lower case, NFC, the code points of IDNA.
fn from_u_labels(text: &str) -> Result<Domain, AddressError> {
    let uts46 = Uts46::new();
    let (unicode, verdict) = uts46.to_unicode(text.as_bytes(), DENIED, Hyphens::CheckFirstLast);
    verdict.map_err(|_| AddressError::BadDomain)?;
    // A label beyond ASCII must stay one. Full-width letters, dots and ligatures fold to ASCII: that is how one name is
    // dressed up as another, and no U-label (RFC 5890 §2.3.2.1) has them.
    let mut mapped = unicode.split('.');
    let kept = text.split('.').all(|label| mapped.next().is_some_and(|m| label.is_ascii() || !m.is_ascii()));
    if !kept || mapped.next().is_some() {
        return Err(AddressError::BadDomain);
    }
    if unicode.len() > LONGEST {
        return Err(AddressError::LongDomain);
    }
    let ascii = a_labels(text)?;
    check(&ascii)?;
    // What is shown must be the same name again: a label such as `xn--…ǈ` is not.
    if a_labels(&unicode)? != ascii {
        return Err(AddressError::BadDomain);
    }
    Ok(Domain { ascii: ascii.into(), unicode: Some(unicode.into()) })
}

fn a_labels(text: &str) -> Result<Cow<'_, str>, AddressError> {
    Uts46::new()
        .to_ascii(text.as_bytes(), DENIED, Hyphens::CheckFirstLast, DnsLength::Ignore)
        .map_err(|_| AddressError::BadDomain)
}

/// The grammar and the lengths, for a name in ASCII. `xn--` before what is no Punycode is let through: it is a name that
/// the DNS can be asked for, and it equals no U-label.
fn check(name: &str) -> Result<(), AddressError> {
    if name.len() > LONGEST {
        return Err(AddressError::LongDomain);
    }
    match name.split('.').all(is_label) {
        true => Ok(()),
        false => Err(AddressError::BadDomain),
    }
}

/// RFC 5321 §4.1.2: `Let-dig [Ldh-str]`. An empty label is none, so a trailing dot is refused with the rest.
fn is_label(label: &str) -> bool {
    let fits = (1..=LONGEST_LABEL).contains(&label.len());
    let ldh = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || quirk_underscore(b);
    fits && !label.starts_with('-') && !label.ends_with('-') && label.bytes().all(ldh)
}

/// Not in the grammar, but many real hosts are named so and the DNS carries it; refusing it would only lose mail.
fn quirk_underscore(b: u8) -> bool {
    b == b'_'
}

impl fmt::Display for Domain {
    /// As the peer wrote it: U-labels where it used them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.unicode.as_deref().unwrap_or(&self.ascii))
    }
}

impl PartialEq for Domain {
    fn eq(&self, other: &Self) -> bool {
        self.ascii == other.ascii
    }
}

impl Eq for Domain {}

impl Hash for Domain {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.ascii.hash(state);
    }
}

impl PartialOrd for Domain {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Domain {
    fn cmp(&self, other: &Self) -> Ordering {
        self.ascii.cmp(&other.ascii)
    }
}
