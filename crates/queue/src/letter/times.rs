//! When a letter may go, and when it must have gone: HOLDFOR=, HOLDUNTIL= (RFC 4865) and BY= (RFC 2852).

use std::time::Duration;

use smtp::{ByMode, DeliverBy, Hold};

use super::{Letter, Timestamp};

impl Letter {
    /// Nothing is tried before; its arrival, where its sender did not ask for more.
    pub fn release(&self) -> Timestamp {
        match self.params.hold {
            None => self.arrived,
            Some(Hold::For(seconds)) => self.arrived.after(Duration::from_secs(seconds)),
            Some(Hold::Until(time)) => Timestamp(time.saturating_mul(1000)).max(self.arrived),
        }
    }

    /// From then on it goes back (RFC 2852 §4, by-mode R).
    pub fn deadline(&self) -> Option<Timestamp> {
        self.by(ByMode::Return)
    }

    /// From then on its sender is told that it is late (RFC 2852 §4, by-mode N). Not where it was late when it came: that is
    /// for the server to tell that had it then.
    pub fn late_from(&self) -> Option<Timestamp> {
        self.by(ByMode::Notify).filter(|_| self.params.by.is_some_and(|by| by.seconds > 0))
    }

    /// When it was, or is, to be delivered, for reports.
    pub fn deliver_by(&self) -> Option<Timestamp> {
        self.by(ByMode::Return).or_else(|| self.by(ByMode::Notify))
    }

    /// Whether its sender hears where it goes: of each server (by-trace), or of the one that watches no time (by-mode N).
    pub fn is_traced(&self) -> bool {
        self.params.by.is_some_and(|by| by.trace || by.mode == ByMode::Notify)
    }

    /// What is left of BY= at `now`, for the next server: less than nothing only where it may be late.
    pub fn by_left(&self, now: Timestamp) -> Option<DeliverBy> {
        /// RFC 2852 §4: nine digits.
        const MOST: i64 = 999_999_999;
        let by = self.params.by?;
        let waited = i64::try_from(now.since(self.arrived).as_secs()).unwrap_or(i64::MAX);
        Some(DeliverBy { seconds: by.seconds.saturating_sub(waited).clamp(-MOST, MOST), ..by })
    }

    fn by(&self, mode: ByMode) -> Option<Timestamp> {
        let by = self.params.by.filter(|by| by.mode == mode)?;
        let apart = by.seconds.unsigned_abs().saturating_mul(1000);
        let at = if by.seconds < 0 { u64::saturating_sub } else { u64::saturating_add };
        Some(Timestamp(at(self.arrived.0, apart)))
    }
}

#[cfg(test)]
mod tests {
    use smtp::{MailParams, ReversePath};

    use super::*;
    use crate::letter::{Origin, QueueId};

    fn letter(params: MailParams) -> Letter {
        let (from, origin) = (ReversePath::Null, Origin::default());
        let arrived = Timestamp(1_000_000);
        Letter {
            id: QueueId(1),
            arrived,
            from,
            params,
            recipients: Vec::new(),
            size: 0,
            origin,
            bulk: false,
            tls_optional: false,
        }
    }

    #[test]
    fn a_held_letter_is_released_at_its_time_and_never_before_it_came() {
        let release = |hold| letter(MailParams { hold, ..MailParams::default() }).release();
        assert_eq!(release(None), Timestamp(1_000_000));
        assert_eq!(release(Some(Hold::For(2))), Timestamp(1_002_000));
        assert_eq!(release(Some(Hold::Until(1_002))), Timestamp(1_002_000));
        assert_eq!(release(Some(Hold::Until(5))), Timestamp(1_000_000));
        assert!(release(Some(Hold::For(u64::MAX))) > Timestamp(1_000_000), "no overflow");
        assert!(release(Some(Hold::Until(u64::MAX))) > Timestamp(1_000_000), "no overflow");
    }

    #[test]
    fn what_is_left_of_the_time_shrinks_as_it_passes() {
        let by = |seconds, mode| Some(DeliverBy { seconds, mode, trace: true });
        let kept = letter(MailParams { by: by(10, ByMode::Return), ..MailParams::default() });
        assert_eq!((kept.deadline(), kept.late_from()), (Some(Timestamp(1_010_000)), None));
        assert_eq!(kept.by_left(Timestamp(1_003_900)), by(7, ByMode::Return));
        let told = letter(MailParams { by: by(-5, ByMode::Notify), ..MailParams::default() });
        assert_eq!((told.deadline(), told.late_from()), (None, None));
        assert_eq!(told.deliver_by(), Some(Timestamp(995_000)));
        assert_eq!(told.by_left(Timestamp(1_010_000)), by(-15, ByMode::Notify));
        assert_eq!(letter(MailParams::default()).by_left(Timestamp(5)), None);
    }
}
