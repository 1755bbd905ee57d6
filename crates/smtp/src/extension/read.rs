//! Reading the reply to EHLO.

#[cfg(test)]
mod tests;

use super::{Capabilities, FutureRelease, Limits};
use crate::datetime;
use crate::reply::Reply;

/// Mechanisms kept of what a peer offers; a list without end is not worth the time to search it.
const MAX_MECHANISMS: usize = 32;

impl Capabilities {
    /// What the peer's reply to EHLO offers. What is unknown, or malformed beyond use, is as if it were not there.
    ///
    /// RFC 5321 §4.1.1.1:
    /// ```text
    /// ehlo-ok-rsp  = ( "250" SP Domain [ SP ehlo-greet ] CRLF )
    ///              / ( "250-" Domain [ SP ehlo-greet ] CRLF
    ///                 *( "250-" ehlo-line CRLF )
    ///                    "250" SP ehlo-line CRLF )
    /// ehlo-line    = ehlo-keyword *( SP ehlo-param )
    /// ```
    pub fn from_ehlo(reply: &Reply) -> Self {
        let mut capabilities = Self::default();
        for line in reply.text().split('\n').skip(1) {
            let mut words = line.split_ascii_whitespace();
            if let Some(keyword) = words.next() {
                capabilities.take(&keyword.to_ascii_uppercase(), words);
            }
        }
        capabilities
    }

    fn take<'a>(&mut self, keyword: &str, mut words: impl Iterator<Item = &'a str>) {
        match keyword {
            "PIPELINING" => self.pipelining = true,
            // RFC 1870 §4: without a number, or with 0, there is no fixed limit.
            "SIZE" => self.size = Some(words.next().and_then(|n| n.parse().ok()).unwrap_or(0)),
            "8BITMIME" => self.eight_bit_mime = true,
            "SMTPUTF8" => self.smtputf8 = true,
            "CHUNKING" => self.chunking = true,
            "BINARYMIME" => self.binarymime = true,
            "DSN" => self.dsn = true,
            "ENHANCEDSTATUSCODES" => self.enhanced_status_codes = true,
            "STARTTLS" => self.starttls = true,
            "REQUIRETLS" => self.requiretls = true,
            // RFC 2852 §2: the parameter is a list, of which one member is known, a number.
            "DELIVERBY" => self.deliver_by = Some(words.next().and_then(least_by).unwrap_or(0)),
            "FUTURERELEASE" => self.future_release = future_release(words),
            "MT-PRIORITY" => self.mt_priority = true,
            "AUTH" => words.for_each(|word| self.offer(word)),
            "LIMITS" => words.for_each(|word| self.limits.take(word)),
            // quirk: `AUTH=PLAIN LOGIN`, as peers said before RFC 2554 and some still do besides.
            _ => {
                if let Some(first) = keyword.strip_prefix("AUTH=") {
                    self.offer(first);
                    words.for_each(|word| self.offer(word));
                }
            }
        }
    }

    fn offer(&mut self, mechanism: &str) {
        let mechanism = mechanism.to_ascii_uppercase();
        if !mechanism.is_empty() && self.auth.len() < MAX_MECHANISMS && !self.auth.contains(&mechanism) {
            self.auth.push(mechanism);
        }
    }
}

fn least_by(list: &str) -> Option<u32> {
    list.split(',').find_map(|word| word.parse().ok())
}

/// RFC 4865 §3: both parameters are required.
fn future_release<'a>(mut words: impl Iterator<Item = &'a str>) -> Option<FutureRelease> {
    let longest = words.next()?.parse().ok()?;
    Some(FutureRelease { longest, latest: datetime::parse(words.next()?)? })
}

impl Limits {
    /// RFC 9422 §4: `RCPTMAX=100`. A limit that is 0 or no number is none.
    fn take(&mut self, word: &str) {
        let Some((name, value)) = word.split_once('=') else { return };
        let value = value.parse().ok().filter(|n| *n > 0);
        match name.to_ascii_uppercase().as_str() {
            "MAILMAX" => self.mail_max = value,
            "RCPTMAX" => self.rcpt_max = value,
            "RCPTDOMAINMAX" => self.rcpt_domain_max = value,
            _ => {}
        }
    }
}
