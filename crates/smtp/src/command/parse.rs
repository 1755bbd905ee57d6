//! From a line to a [`Command`].

use std::net::IpAddr;

use super::{Command, Verb, params, path, refusal};
use crate::address::{AddressLiteral, Host};
use crate::extension::Capabilities;
use crate::reply::Reply;
use crate::secret::Secret;

/// What the meaning of a line hangs on.
#[derive(Clone, Copy, Debug)]
pub struct ParseContext<'a> {
    /// What we offered in the reply to EHLO; parameters of other extensions are refused.
    pub offered: &'a Capabilities,
    /// Whether the open transaction's MAIL carried SMTPUTF8 (RFC 6531 §3.4), for RCPT.
    pub smtputf8: bool,
}

impl Command {
    /// Reads one line, without its CRLF.
    ///
    /// # Errors
    /// The peer's fault; the reply says what was wrong with the line.
    pub fn parse(line: &[u8], context: &ParseContext<'_>) -> Result<Self, Reply> {
        let (verb, argument) = Verb::split(line)?;
        Self::parse_argument(verb, argument, context)
    }

    /// The same behind [`Verb::split`].
    ///
    /// # Errors
    /// As [`Command::parse`].
    pub fn parse_argument(verb: Verb, argument: &str, context: &ParseContext<'_>) -> Result<Self, Reply> {
        match verb {
            Verb::Ehlo => host(argument).map(Self::Ehlo),
            Verb::Helo => host(argument).map(Self::Helo),
            Verb::Lhlo => host(argument).map(Self::Lhlo),
            Verb::Mail => mail(argument, context),
            Verb::Rcpt => rcpt(argument, context),
            Verb::Bdat => bdat(argument),
            Verb::Auth => auth(argument),
            Verb::Vrfy => user(argument, context).map(Self::Vrfy),
            Verb::Expn => user(argument, context).map(Self::Expn),
            // RFC 5321 §4.1.1.9: the argument of NOOP is ignored.
            Verb::Noop => Ok(Self::Noop),
            Verb::Help => Ok(Self::Help),
            Verb::Data => alone(argument, Self::Data),
            Verb::Rset => alone(argument, Self::Rset),
            Verb::Quit => alone(argument, Self::Quit),
            // RFC 3207 §4: "501 Syntax error (no parameters allowed)".
            Verb::StartTls => alone(argument, Self::StartTls),
        }
    }
}

fn alone(argument: &str, command: Command) -> Result<Command, Reply> {
    if argument.is_empty() { Ok(command) } else { Err(refusal::NO_ARGUMENT) }
}

/// RFC 5321 §4.1.1.1: `ehlo = "EHLO" SP ( Domain / address-literal )`.
fn host(argument: &str) -> Result<Host, Reply> {
    if !argument.is_ascii() {
        return Err(refusal::HELO_SYNTAX);
    }
    let name = quirk_trailing_dot(argument);
    quirk_bare_address(name).map_or_else(|| name.parse().map_err(|_| refusal::HELO_SYNTAX), Ok)
}

/// `EHLO mail.example.com.`: a name as the DNS writes it, which some clients pass on as they got it.
fn quirk_trailing_dot(argument: &str) -> &str {
    argument.strip_suffix('.').unwrap_or(argument)
}

/// `EHLO 192.0.2.1` for `EHLO [192.0.2.1]`: small devices write it. `EHLO [2001:db8::1]` and `EHLO [fe80::1%eth0]`: a Java
/// program on a machine without a name does.
fn quirk_bare_address(argument: &str) -> Option<Host> {
    let inner = argument.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(argument);
    let tagged = inner.split_at_checked(5).filter(|(tag, _)| tag.eq_ignore_ascii_case("IPv6:"));
    let address = tagged.map_or(inner, |(_, address)| address);
    let address = address.split_once('%').map_or(address, |(address, _zone)| address);
    let ip: IpAddr = address.parse().ok()?;
    // Only IPv6 has a tag or a zone.
    (ip.is_ipv6() || address == inner).then(|| Host::Literal(AddressLiteral(ip.to_canonical())))
}

/// RFC 5321 §4.1.1.2: `mail = "MAIL FROM:" Reverse-path [SP Mail-parameters]`.
fn mail(argument: &str, context: &ParseContext<'_>) -> Result<Command, Reply> {
    let angle = path::split(argument, "FROM:").ok_or(refusal::MAIL_SYNTAX)?;
    let params = params::mail(angle.rest, context)?;
    if !angle.inner.is_ascii() && !params.smtputf8 {
        return Err(refusal::NEEDS_SMTPUTF8);
    }
    Ok(Command::Mail { from: path::reverse(angle.inner)?, params })
}

/// RFC 5321 §4.1.1.3: `rcpt = "RCPT TO:" Forward-path [SP Rcpt-parameters]`.
fn rcpt(argument: &str, context: &ParseContext<'_>) -> Result<Command, Reply> {
    let angle = path::split(argument, "TO:").ok_or(refusal::RCPT_SYNTAX)?;
    if !angle.inner.is_ascii() && !context.smtputf8 {
        return Err(refusal::NEEDS_SMTPUTF8);
    }
    let to = path::forward(angle.inner)?;
    Ok(Command::Rcpt { to, params: params::rcpt(angle.rest, context)? })
}

/// RFC 3030 §2: `bdat-cmd = "BDAT" SP chunk-size [ SP end-marker ]`, chunk-size one or more digits.
fn bdat(argument: &str) -> Result<Command, Reply> {
    let (size, last) = match argument.split_once(' ') {
        Some((size, marker)) if marker.trim_start_matches(' ').eq_ignore_ascii_case("LAST") => (size, true),
        Some(_) => return Err(refusal::BDAT_SYNTAX),
        None => (argument, false),
    };
    // `parse` alone would take a sign.
    if !size.bytes().all(|b| b.is_ascii_digit()) {
        return Err(refusal::BDAT_SYNTAX);
    }
    let size = size.parse().map_err(|_| refusal::BDAT_SYNTAX)?;
    Ok(Command::Bdat { size, last })
}

/// RFC 4954 §4: `"AUTH" SP sasl-mech [SP initial-response]`; the names are those of RFC 4422 §3.1.
fn auth(argument: &str) -> Result<Command, Reply> {
    let mut words = argument.split(' ').filter(|word| !word.is_empty());
    let mechanism = words.next().ok_or(refusal::AUTH_SYNTAX)?;
    let named = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    if mechanism.len() > 20 || !mechanism.bytes().all(named) {
        return Err(refusal::AUTH_SYNTAX);
    }
    let initial = words.next().map(Secret::new);
    if words.next().is_some() {
        return Err(refusal::AUTH_SYNTAX);
    }
    Ok(Command::Auth { mechanism: mechanism.to_ascii_uppercase(), initial })
}

/// RFC 5321 §4.1.1.6, and RFC 6531 §3.7.4.2 for the SMTPUTF8 behind it.
fn user(argument: &str, context: &ParseContext<'_>) -> Result<String, Reply> {
    let (mut user, mut utf8) = (argument, false);
    while let Some((head, word)) = user.rsplit_once(' ')
        && context.offered.smtputf8
        && word.eq_ignore_ascii_case("SMTPUTF8")
    {
        (user, utf8) = (head.trim_end_matches(' '), true);
    }
    match () {
        () if user.is_empty() => Err(refusal::VRFY_SYNTAX),
        () if !user.is_ascii() && !utf8 => Err(refusal::NEEDS_SMTPUTF8),
        () => Ok(user.to_owned()),
    }
}
