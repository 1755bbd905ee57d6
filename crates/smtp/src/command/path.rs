//! `<path>` behind MAIL FROM: and RCPT TO: (RFC 5321 §4.1.2).

use super::refusal;
use crate::address::{Domain, Mailbox};
use crate::path::{ForwardPath, ReversePath};
use crate::reply::Reply;

/// What stands between the angle brackets, and what follows them.
pub(super) struct Angle<'a> {
    pub(super) inner: &'a str,
    pub(super) rest: &'a str,
}

/// Splits `FROM:<inner> rest`. `None`: not of this form.
pub(super) fn split<'a>(argument: &'a str, keyword: &str) -> Option<Angle<'a>> {
    let (word, rest) = argument.split_at_checked(keyword.len())?;
    let rest = quirk_space_after_colon(word.eq_ignore_ascii_case(keyword).then_some(rest)?);
    let inner = rest.strip_prefix('<')?;
    let end = closing_bracket(inner)?;
    let (inner, rest) = inner.split_at_checked(end)?;
    let rest = rest.strip_prefix('>')?;
    (rest.is_empty() || rest.starts_with(' ')).then_some(Angle { inner, rest })
}

/// `MAIL FROM: <a@b>`: not in the grammar, but written by many clients.
fn quirk_space_after_colon(rest: &str) -> &str {
    rest.trim_start_matches(' ')
}

/// Where the path ends: a `>` in a quoted string does not count.
fn closing_bracket(inner: &str) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in inner.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'>' if !quoted => return Some(at),
            _ => {}
        }
    }
    None
}

/// RFC 5321 §4.1.2: `Reverse-path = Path / "<>"`.
pub(super) fn reverse(inner: &str) -> Result<ReversePath, Reply> {
    if inner.is_empty() {
        return Ok(ReversePath::Null);
    }
    mailbox(inner, true).map(ReversePath::Mailbox)
}

/// RFC 5321 §4.1.1.3: `"TO:" ( "<Postmaster@" Domain ">" / "<Postmaster>" / Forward-path )`.
pub(super) fn forward(inner: &str) -> Result<ForwardPath, Reply> {
    if inner.is_empty() {
        return Err(refusal::EMPTY_RECIPIENT);
    }
    if inner.eq_ignore_ascii_case("postmaster") {
        return Ok(ForwardPath::Postmaster);
    }
    mailbox(inner, false).map(ForwardPath::Mailbox)
}

fn mailbox(inner: &str, mail: bool) -> Result<Mailbox, Reply> {
    drop_source_route(inner).parse().map_err(|error| refusal::address(error, mail))
}

/// RFC 5321 Appendix C: `[ A-d-l ":" ] Mailbox`, the source route "SHOULD be ignored". What is judged is the mailbox
/// behind it. Where the route itself is not well formed, nothing is dropped and the address fails as a whole.
fn drop_source_route(inner: &str) -> &str {
    let route = inner.strip_prefix('@').and_then(|route| route.split_once(':'));
    let Some((route, mailbox)) = route else { return inner };
    let well_formed = |domain: &str| domain.parse::<Domain>().is_ok();
    let first_and_more = route.split(',').enumerate();
    let all = first_and_more.map(|(i, part)| if i == 0 { Some(part) } else { part.strip_prefix('@') });
    if all.into_iter().all(|domain| domain.is_some_and(well_formed)) { mailbox } else { inner }
}
