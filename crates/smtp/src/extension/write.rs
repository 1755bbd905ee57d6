//! Writing the reply to EHLO.

use super::{Capabilities, FutureRelease};
use crate::address::Host;
use crate::datetime;
use crate::reply::Reply;

impl Capabilities {
    /// The reply to EHLO or LHLO: our name, then a line for each extension (RFC 5321 §4.1.1.1).
    pub fn to_ehlo(&self, hostname: &Host) -> Reply {
        let mut text = hostname.to_string();
        let mut line = |keyword: &str| {
            text.push('\n');
            text.push_str(keyword);
        };
        let flags = [
            (self.pipelining, "PIPELINING"),
            (self.eight_bit_mime, "8BITMIME"),
            (self.smtputf8, "SMTPUTF8"),
            (self.chunking, "CHUNKING"),
            (self.binarymime, "BINARYMIME"),
            (self.dsn, "DSN"),
            (self.enhanced_status_codes, "ENHANCEDSTATUSCODES"),
            (self.starttls, "STARTTLS"),
            (self.requiretls, "REQUIRETLS"),
            (self.mt_priority, "MT-PRIORITY"),
        ];
        flags.into_iter().filter(|(offered, _)| *offered).for_each(|(_, keyword)| line(keyword));
        if let Some(size) = self.size {
            line(&format!("SIZE {size}"));
        }
        match self.deliver_by {
            None => {}
            Some(0) => line("DELIVERBY"),
            Some(least) => line(&format!("DELIVERBY {least}")),
        }
        if let Some(FutureRelease { longest, latest }) = self.future_release {
            line(&format!("FUTURERELEASE {longest} {}", datetime::write(latest)));
        }
        if !self.auth.is_empty() {
            line(&format!("AUTH {}", self.auth.join(" ")));
        }
        // RFC 9422 §3.
        let limits = [
            ("MAILMAX", self.limits.mail_max),
            ("RCPTMAX", self.limits.rcpt_max),
            ("RCPTDOMAINMAX", self.limits.rcpt_domain_max),
        ];
        let named: Vec<_> =
            limits.into_iter().filter_map(|(name, limit)| limit.map(|limit| format!("{name}={limit}"))).collect();
        if !named.is_empty() {
            line(&format!("LIMITS {}", named.join(" ")));
        }
        Reply::plain(250, "").with_text(text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Capabilities, FutureRelease, Limits};

    proptest! {
        #[test]
        fn client_reads_what_the_server_offers(
            flags: [bool; 10],
            size: Option<u64>,
            auth in proptest::collection::hash_set("[A-Z][A-Z0-9-]{0,8}", 0..4),
            mail_max in proptest::option::of(1u32..),
            rcpt_max in proptest::option::of(1u32..),
            deliver_by in proptest::option::of(0u32..=999_999_999),
            hold in proptest::option::of((1u64..=999_999_999, 0u64..200_000_000_000)),
        ) {
            let [pipelining, eight_bit_mime, smtputf8, chunking, binarymime, dsn, enhanced, starttls, requiretls,
                mt_priority] = flags;
            let offered = Capabilities {
                pipelining,
                size,
                eight_bit_mime,
                smtputf8,
                chunking,
                binarymime,
                dsn,
                enhanced_status_codes: enhanced,
                starttls,
                requiretls,
                auth: auth.into_iter().collect(),
                limits: Limits { mail_max, rcpt_max, rcpt_domain_max: None },
                deliver_by,
                future_release: hold.map(|(longest, latest)| FutureRelease { longest, latest }),
                mt_priority,
            };
            let reply = offered.to_ehlo(&"mx.example.com".parse().unwrap());
            prop_assert_eq!(Capabilities::from_ehlo(&reply), offered);
        }
    }
}
