//! When each record is due: an open loop. What is late stays late, so that a pause of the broker is seen by every
//! record that was due in it, and not by one alone. Knows nothing of clients.

use std::time::{Duration, Instant};

/// Records at a steady rate. Those of the first fifth warm everything up, and are not timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    rate: u32,
    count: u64,
}

impl Schedule {
    /// `rate` records a second (at least one), of which `timed` seconds are timed.
    pub fn new(rate: u32, timed: u32) -> Self {
        let rate = rate.max(1);
        Self { rate, count: u64::from(rate) * u64::from(timed) * 5 / 4 }
    }

    /// Records in all.
    pub fn count(self) -> u64 {
        self.count
    }

    /// When a record is due, from the beginning on; numbered from 0.
    pub fn due(self, number: u64) -> Duration {
        let rate = u64::from(self.rate);
        let nanos = number % rate * 1_000_000_000 / rate;
        Duration::new(number / rate, u32::try_from(nanos).unwrap_or_default())
    }

    /// Whether a record is timed.
    pub fn is_timed(self, number: u64) -> bool {
        number >= self.count / 5
    }

    /// Does `send` for each record when it is due, or at once where that has passed.
    ///
    /// # Errors
    /// The first error of `send`, which ends it.
    pub fn run<E>(self, began: Instant, mut send: impl FnMut(u64) -> Result<(), E>) -> Result<(), E> {
        for number in 0..self.count {
            let wait = self.due(number).saturating_sub(began.elapsed());
            if !wait.is_zero() {
                std::thread::sleep(wait);
            }
            send(number)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_due_at_a_steady_rate() {
        let schedule = Schedule::new(20_000, 2);
        assert_eq!(schedule.count(), 50_000);
        assert_eq!(schedule.due(0), Duration::ZERO);
        assert_eq!(schedule.due(1), Duration::from_micros(50));
        assert_eq!(schedule.due(50_000), Duration::from_millis(2_500));
        assert_eq!((0..50_000).filter(|number| schedule.is_timed(*number)).count(), 40_000);
    }

    #[test]
    fn what_is_late_is_sent_at_once_and_stays_due_when_it_was() {
        let schedule = Schedule::new(1_000, 1);
        let Some(began) = Instant::now().checked_sub(Duration::from_secs(60)) else { return };
        let mut sent = Vec::new();
        let done: Result<(), ()> = schedule.run(began, |number| {
            sent.push(number);
            Ok(())
        });
        assert_eq!(done, Ok(()));
        assert_eq!(sent, (0..1_250).collect::<Vec<_>>());
        assert!(began.elapsed() > schedule.due(1_249));
    }

    #[test]
    fn the_first_error_ends_it() {
        let done = Schedule::new(1_000_000, 1).run(Instant::now(), Err);
        assert_eq!(done, Err(0));
    }
}
