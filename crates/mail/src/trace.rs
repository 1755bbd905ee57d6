//! Trace fields: Received and Return-Path (RFC 5321 §4.4).
//!
//! # Invariants
//! - Nothing that a peer said (its name, its address) can end a comment, a clause or a line of what is written here.
//! - Each field ends with CR LF, and lines are folded below 78 columns wherever a clause is shorter than that.

use std::io::Write as _;
use std::net::IpAddr;

use smtp::{AddressLiteral, ReversePath};

use crate::date;

/// RFC 5322 §2.1.1: the length that a line should have at most.
const COLUMNS: usize = 78;
const LONGEST_WORD: usize = 255;

/// What is known of a reception when it ends; `by`, `id` and the date are added by [`Received::write`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// The name given in EHLO, validated, or an address literal.
    pub helo: Option<String>,
    pub client: Option<IpAddr>,
    /// Our own name.
    pub by: String,
    /// ESMTPSA and the like (RFC 3848).
    pub with: String,
    /// `TLSv1.3 TLS_AES_256_GCM_SHA384`, written as a comment.
    pub tls: Option<String>,
    /// The only recipient, where there is exactly one: more would disclose Bcc (RFC 5321 §7.2).
    pub for_recipient: Option<String>,
}

impl Received {
    /// Appends the whole field. `id` names the letter here, `ms` is the time in milliseconds since 1970-01-01 UTC.
    ///
    /// RFC 5321 §4.4:
    /// ```abnf
    /// Time-stamp-line = "Received:" FWS Stamp <CRLF>
    /// Stamp           = From-domain By-domain Opt-info [CFWS] ";" FWS date-time
    /// From-domain     = "FROM" FWS Extended-Domain
    /// Extended-Domain = Domain / ( Domain FWS "(" TCP-info ")" ) / ( address-literal FWS "(" TCP-info ")" )
    /// Opt-info        = [Via] [With] [ID] [For] [Additional-Registered-Clauses]
    /// ```
    pub fn write(&self, id: &str, ms: u64, out: &mut Vec<u8>) {
        let mut folded = Folded::new(b"Received:", out);
        // A letter that was handed in on this machine has no From-domain to tell.
        if self.helo.is_some() || self.client.is_some() {
            folded.clause(|out| {
                out.extend_from_slice(b"from ");
                write_word(self.helo.as_deref().unwrap_or("unknown"), out);
            });
        }
        if let Some(client) = self.client {
            // Writing into a Vec cannot fail.
            folded.clause(|out| drop(write!(out, "({})", AddressLiteral(client))));
        }
        folded.clause(|out| write_pair(b"by ", &self.by, out));
        folded.clause(|out| write_pair(b"with ", &self.with, out));
        if let Some(tls) = &self.tls {
            folded.clause(|out| write_comment(tls, out));
        }
        let recipient = self.for_recipient.as_deref().filter(|recipient| self.may_name(recipient));
        let ends = if recipient.is_some() { &b""[..] } else { b";" };
        folded.clause(|out| {
            write_pair(b"id ", id, out);
            out.extend_from_slice(ends);
        });
        if let Some(recipient) = recipient {
            folded.clause(|out| drop(write!(out, "for <{recipient}>;")));
        }
        folded.clause(|out| date::write(ms, out));
        out.extend_from_slice(b"\r\n");
    }

    /// RFC 6531 §3.7.3: characters beyond ASCII stand in `for` only where the letter came by a UTF8… protocol.
    fn may_name(&self, recipient: &str) -> bool {
        let fits = recipient.is_ascii() || self.with.starts_with("UTF8");
        fits && !recipient.is_empty() && !recipient.contains(|c: char| c.is_control())
    }
}

/// Appends `Return-Path: <…>`, which the final delivery puts on top (RFC 5321 §4.4).
pub fn write_return_path(path: &ReversePath, out: &mut Vec<u8>) {
    drop(write!(out, "Return-Path: <{path}>\r\n"));
}

/// A field whose clauses are parted by a space, or by a fold where the line would get too long.
struct Folded<'a> {
    out: &'a mut Vec<u8>,
    line_start: usize,
}

impl<'a> Folded<'a> {
    fn new(name: &[u8], out: &'a mut Vec<u8>) -> Self {
        let line_start = out.len();
        out.extend_from_slice(name);
        Self { out, line_start }
    }

    fn clause(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let before = self.out.len();
        self.out.push(b' ');
        write(self.out);
        if self.out.len() - self.line_start > COLUMNS {
            self.out.splice(before..=before, *b"\r\n\t");
            self.line_start = before + 2;
        }
    }
}

fn write_pair(name: &[u8], word: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(name);
    write_word(word, out);
}

/// A domain, an address literal or an atom. What such a word never has becomes `?`: `x) by y` stays one word.
fn write_word(word: &str, out: &mut Vec<u8>) {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b".-_:[]+".contains(&b);
    match word.is_empty() {
        true => out.push(b'?'),
        false => out.extend(word.bytes().take(LONGEST_WORD).map(|b| if fits(b) { b } else { b'?' })),
    }
}

/// RFC 5322 §3.2.2: a comment, without the parentheses and backslashes that would mean something in it.
fn write_comment(text: &str, out: &mut Vec<u8>) {
    let fits = |b: u8| matches!(b, b' '..=b'~') && !b"()\\".contains(&b);
    out.push(b'(');
    out.extend(text.bytes().take(LONGEST_WORD).map(|b| if fits(b) { b } else { b'?' }));
    out.push(b')');
}

#[cfg(test)]
mod tests;
