//! When the records of a partition that waits were first polled.

use std::time::Instant;

use schemas::Offset;

/// Most marks kept of a partition that waits.
const MARKS: usize = 256;

/// When the records of a waiting partition were first polled: up to this offset, at that time. A record
/// that is polled again keeps its time, however many came after it meanwhile; else a partition with steady
/// traffic would begin its wait anew each time.
#[derive(Debug, Default)]
pub(crate) struct FirstSeen(Vec<(Offset, Instant)>);

impl FirstSeen {
    /// When this record was first polled; `None` where it was not before.
    pub(crate) fn of(&self, offset: Offset) -> Option<Instant> {
        self.0.get(self.0.partition_point(|(last, _)| *last < offset)).map(|(_, seen)| *seen)
    }

    /// Records up to `last` were polled now.
    pub(crate) fn polled(&mut self, last: Offset, now: Instant) {
        match self.0.last() {
            Some((known, _)) if last <= *known => return,
            // A later time is always safe: a negative answer counts only if it was asked for after it.
            Some(_) if self.0.len() >= MARKS => drop(self.0.pop()),
            _ => {}
        }
        self.0.push((last, now));
    }

    /// Records before `next` are consumed.
    pub(crate) fn consumed(&mut self, next: Offset) {
        self.0.retain(|(last, _)| *last >= next);
    }

    /// Since when the first record that waits does.
    pub(crate) fn since(&self) -> Option<Instant> {
        self.0.first().map(|(_, seen)| *seen)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_record_that_waits_keeps_its_time_while_others_arrive() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut seen = FirstSeen::default();
        seen.polled(Offset(10), at(0));
        seen.polled(Offset(20), at(1));
        seen.polled(Offset(20), at(2));
        assert_eq!([5, 10, 11, 20].map(|offset| seen.of(Offset(offset))), [0, 0, 1, 1].map(|s| Some(at(s))));
        assert_eq!(seen.of(Offset(21)), None);
        seen.consumed(Offset(11));
        assert_eq!(seen.since(), Some(at(1)));
    }

    #[test]
    fn marks_are_bounded_and_never_say_too_early() {
        let start = Instant::now();
        let mut seen = FirstSeen::default();
        for step in 0..1_000 {
            seen.polled(Offset(step), start + Duration::from_secs(step.unsigned_abs()));
        }
        assert_eq!(seen.0.len(), MARKS);
        assert_eq!(seen.of(Offset(999)), Some(start + Duration::from_secs(999)));
        assert_eq!(seen.of(Offset(0)), Some(start));
    }
}
