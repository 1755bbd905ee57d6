//! Whether the system's clock was set, or the machine slept: the wall's time against one that only goes forward.

use std::time::{Duration, Instant};

use crate::letter::Timestamp;

/// Less is a clock that is being corrected.
const TOLERANCE: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Clock {
    wall: Timestamp,
    steady: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Jump {
    Back(Duration),
    Forward(Duration),
}

impl Clock {
    pub fn new(wall: Timestamp, steady: Instant) -> Self {
        Self { wall, steady }
    }

    /// What happened to the wall's time since the last look, beyond what has passed.
    pub fn look(&mut self, wall: Timestamp, steady: Instant) -> Option<Jump> {
        let expected = self.wall.after(steady.saturating_duration_since(self.steady));
        (self.wall, self.steady) = (wall, steady);
        let (back, forward) = (expected.since(wall), wall.since(expected));
        match () {
            () if back > TOLERANCE => Some(Jump::Back(back)),
            () if forward > TOLERANCE => Some(Jump::Forward(forward)),
            () => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_does_not_pass_by_itself_is_a_jump() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let mut clock = Clock::new(Timestamp(1_000_000_000), start);
        let day = 86_400 * second;
        assert_eq!(clock.look(Timestamp(1_000_000_000).after(day), start + day), None, "a long sleep is none");
        let wall = Timestamp(1_000_000_000).after(day);
        assert_eq!(clock.look(wall.after(30 * second), start + day), None, "a clock that is corrected");
        assert_eq!(clock.look(wall.after(3 * day), start + day), Some(Jump::Forward(3 * day - 30 * second)));
        assert_eq!(clock.look(wall.after(3 * day + second), start + day + second), None, "told once");
        let back = clock.look(wall, start + day + 2 * second);
        assert_eq!(back, Some(Jump::Back(3 * day + 2 * second)));
        // Though the nap before it was longer than what it was set back by.
        let back = clock.look(wall, start + day + 102 * second);
        assert_eq!(back, Some(Jump::Back(100 * second)));
    }
}
