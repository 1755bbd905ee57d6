//! The third part: the letter itself, or its header (RFC 6522 §3 and §4; RFC 6533 §5 beyond ASCII).

use smtp::Ret;

use super::text::{is_mailable, write_quoted_printable};
use super::{Action, FULL_LIMIT, Report};
use crate::header::{self, fields};

pub(super) fn write(report: &Report<'_>, utf8: bool, out: &mut Vec<u8>) {
    match gives_all_back(report, utf8) {
        true => write_letter(report.original.beginning, utf8, out),
        false => write_header(report.original.beginning, utf8, out),
    }
}

/// RFC 3461 §4.3: RET says how much a report of failure gives back; every other report gives the header.
pub(super) fn gives_all_back(report: &Report<'_>, utf8: bool) -> bool {
    let letter = report.original.beginning;
    report.gravest() == Action::Failed
        && report.ret != Some(Ret::Headers)
        && letter.len() <= FULL_LIMIT
        && report.original.size == letter.len() as u64
        && is_mailable(letter, utf8)
}

fn write_letter(letter: &[u8], utf8: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(match utf8 {
        true => b"Content-Type: message/global\r\nContent-Transfer-Encoding: 8bit\r\n\r\n",
        false => b"Content-Type: message/rfc822\r\n\r\n",
    });
    out.extend_from_slice(letter);
    // The line end before a boundary is the boundary's (RFC 2046 §5.1.1); what was given back keeps its own.
    out.extend_from_slice(b"\r\n");
}

fn write_header(letter: &[u8], utf8: bool, out: &mut Vec<u8>) {
    let header = whole_fields(letter);
    out.extend_from_slice(match utf8 {
        true => b"Content-Type: message/global-headers\r\n",
        false => b"Content-Type: text/rfc822-headers\r\n",
    });
    match is_mailable(header, utf8) {
        true => {
            out.extend_from_slice(if utf8 { b"Content-Transfer-Encoding: 8bit\r\n\r\n" } else { b"\r\n" });
            out.extend_from_slice(header);
        }
        false => {
            out.extend_from_slice(b"Content-Transfer-Encoding: quoted-printable\r\n\r\n");
            write_quoted_printable(header, out);
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// As many whole fields from the top as fit.
fn whole_fields(letter: &[u8]) -> &[u8] {
    let all = header::header(letter);
    let mut end = all.len() - fields(letter).map(|field| field.raw.len()).sum::<usize>();
    for field in fields(letter) {
        match end + field.raw.len() {
            next if next <= FULL_LIMIT => end = next,
            _ => break,
        }
    }
    all.get(..end).unwrap_or(all)
}

/// The letter's own Message-ID, where it is one that can be repeated.
pub(super) fn message_id(letter: &[u8]) -> Option<&str> {
    let field = fields(letter).find(|field| field.is("Message-ID"))?;
    let id = std::str::from_utf8(field.body().trim_ascii()).ok()?;
    let fits = id.len() <= 250 && id.starts_with('<') && id.ends_with('>') && id.bytes().all(|b| b.is_ascii_graphic());
    fits.then_some(id)
}

/// The letter's own Subject, where a person can read it as it is.
pub(super) fn subject(letter: &[u8]) -> Option<String> {
    let field = fields(letter).find(|field| field.is("Subject"))?;
    let subject = String::from_utf8(field.unfolded().into_owned()).ok()?;
    let plain = subject.bytes().all(|b| matches!(b, b' '..=b'~')) && !subject.contains("=?");
    (plain && (1..=120).contains(&subject.len())).then_some(subject)
}
