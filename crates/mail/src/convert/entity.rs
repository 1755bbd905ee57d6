//! What the header of a letter or of a part says about its body.

use crate::header::Field;

/// Longer ones are not looked for. RFC 2046 §5.1.1 allows 70.
const LONGEST_BOUNDARY: usize = 200;

/// The body as its header calls it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Leaf { text: bool },
    Multipart { boundary: Vec<u8>, digest: bool },
    Message,
}

/// Content-Transfer-Encoding (RFC 2045 §6.1), in the order of what they allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Label {
    SevenBit,
    EightBit,
    Binary,
    QuotedPrintable,
    Base64,
    /// An encoding that we do not know.
    Other,
}

impl Label {
    fn parse(value: &[u8]) -> Self {
        let word = value.split(|b| matches!(b, b' ' | b'\t' | b';' | b'(')).next().unwrap_or_default();
        let word = word.to_ascii_lowercase();
        match word.as_slice() {
            b"8bit" => Self::EightBit,
            b"binary" => Self::Binary,
            b"quoted-printable" => Self::QuotedPrintable,
            b"base64" => Self::Base64,
            b"uuencode" => Self::Other,
            word if word.starts_with(b"x-") => Self::Other,
            b"7bit" => Self::SevenBit,
            // "8-bit", "utf-8", nothing: no encoding is meant.
            _ => Self::Binary,
        }
    }

    pub(super) fn is_encoding(self) -> bool {
        self > Self::Binary
    }
}

/// What is known of a body when it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entity {
    pub(super) kind: Kind,
    pub(super) label: Option<Label>,
    pub(super) has_type: bool,
    pub(super) has_mime_version: bool,
    /// A letter, whether the whole or one within it; else a part of a multipart.
    pub(super) is_message: bool,
    /// Nothing in it may be changed.
    pub(super) sealed: bool,
    /// message/global that is not encoded (RFC 6532 §3.7).
    pub(super) global: bool,
    /// A field that matters was too long.
    pub(super) unreadable: bool,
}

/// A header as far as it was read.
#[derive(Clone, Debug, Default)]
pub(super) struct Head {
    media: Option<Media>,
    label: Option<Label>,
    mime_version: bool,
    pub(super) unreadable: bool,
}

#[derive(Clone, Debug)]
struct Media {
    /// `text/plain`, in small letters; empty where it cannot be read.
    name: Vec<u8>,
    boundary: Option<Vec<u8>>,
}

impl Head {
    pub(super) fn note(&mut self, field: &Field<'_>) {
        if field.is("Content-Type") && self.media.is_none() {
            self.media = Some(Media::parse(&field.unfolded()));
        } else if field.is("Content-Transfer-Encoding") && self.label.is_none() {
            self.label = Some(Label::parse(&field.unfolded()));
        } else if field.is("MIME-Version") {
            self.mime_version = true;
        }
    }

    /// `in_digest`: where nothing is said it is a letter (RFC 2046 §5.1.5). `sealed`: what it lies in is.
    pub(super) fn entity(self, is_message: bool, in_digest: bool, sealed: bool) -> Entity {
        let encoded = self.label.is_some_and(Label::is_encoding);
        let name = self.media.as_ref().map(|media| media.name.as_slice());
        let default: &[u8] = if in_digest { b"message/rfc822" } else { b"text/plain" };
        let name = name.unwrap_or(default);
        // RFC 1847 §2.1, §2.2; RFC 2046 §5.2.2 and §5.2.3 have no encoding for the last two.
        let mut sealed = sealed
            || matches!(
                name,
                b"multipart/signed" | b"multipart/encrypted" | b"message/partial" | b"message/external-body"
            );
        let global = name == b"message/global" && !encoded;
        let kind = if name.starts_with(b"multipart/") {
            let digest = name == b"multipart/digest";
            match self.media.as_ref().and_then(|media| media.boundary.clone()) {
                Some(boundary) => Kind::Multipart { boundary, digest },
                None => {
                    sealed = true;
                    Kind::Leaf { text: false }
                }
            }
        } else if matches!(name, b"message/rfc822" | b"message/news") && !encoded {
            Kind::Message
        } else {
            let text = name.starts_with(b"text/") || (name.starts_with(b"message/") && !global);
            Kind::Leaf { text }
        };
        Entity {
            kind,
            label: self.label,
            has_type: self.media.is_some(),
            has_mime_version: self.mime_version,
            is_message,
            sealed,
            global,
            unreadable: self.unreadable,
        }
    }
}

impl Media {
    fn parse(value: &[u8]) -> Self {
        let end = value.iter().position(|b| matches!(b, b';' | b' ' | b'\t' | b'(')).unwrap_or(value.len());
        let (name, parameters) = value.split_at(end);
        let mut name = name.to_ascii_lowercase();
        if !name.contains(&b'/') {
            name.clear();
        }
        Self { name, boundary: boundary(parameters) }
    }
}

/// The `boundary` among `; name=value` and comments.
fn boundary(mut rest: &[u8]) -> Option<Vec<u8>> {
    while !rest.is_empty() {
        let (piece, later) = parameter(rest);
        rest = later;
        let Some((name, value)) = piece.iter().position(|b| *b == b'=').and_then(|at| piece.split_at_checked(at))
        else {
            continue;
        };
        if !name.trim_ascii().eq_ignore_ascii_case(b"boundary") {
            continue;
        }
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        let value = match value.strip_prefix(b"\"") {
            Some(quoted) => unquoted(quoted),
            None => value.to_vec(),
        };
        let value = value.trim_ascii_end().to_vec();
        return (!value.is_empty() && value.len() <= LONGEST_BOUNDARY).then_some(value);
    }
    None
}

/// Up to the next semicolon that is in no quotes and no comment, without comments; and what follows.
fn parameter(text: &[u8]) -> (Vec<u8>, &[u8]) {
    let (mut piece, mut quoted, mut depth, mut escaped) = (Vec::new(), false, 0_usize, false);
    for (at, octet) in text.iter().enumerate() {
        match octet {
            _ if escaped => escaped = false,
            b'\\' if quoted || depth > 0 => escaped = true,
            b'"' if depth == 0 => quoted = !quoted,
            b'(' if !quoted => depth += 1,
            b')' if !quoted && depth > 0 => {
                depth -= 1;
                continue;
            }
            b';' if !quoted && depth == 0 => return (piece, text.get(at + 1..).unwrap_or_default()),
            _ => {}
        }
        if depth == 0 {
            piece.push(*octet);
        }
    }
    (piece, &[])
}

fn unquoted(text: &[u8]) -> Vec<u8> {
    let (mut out, mut escaped) = (Vec::new(), false);
    for octet in text {
        match octet {
            b'\\' if !escaped => escaped = true,
            b'"' if !escaped => break,
            octet => {
                out.push(*octet);
                escaped = false;
            }
        }
    }
    out
}
