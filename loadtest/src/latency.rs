//! How long records took: an HDR histogram, exact to three digits. Knows nothing of what was timed.

use std::time::Duration;

use hdrhistogram::Histogram;

/// The longest that is told apart, in nanoseconds: longer counts as this.
const LONGEST: u64 = 100_000_000_000;

/// Times, in the order of size only.
#[derive(Debug, Clone)]
pub struct Latencies {
    /// `None` where the bounds above made no histogram, which a test rules out.
    nanos: Option<Histogram<u64>>,
}

impl Default for Latencies {
    fn default() -> Self {
        Self { nanos: Histogram::new_with_bounds(1_000, LONGEST, 3).ok() }
    }
}

impl Latencies {
    /// Adds one.
    pub fn record(&mut self, took: Duration) {
        if let Some(nanos) = &mut self.nanos {
            nanos.saturating_record(u64::try_from(took.as_nanos()).unwrap_or(LONGEST));
        }
    }

    /// Adds all of another.
    pub fn add(&mut self, other: &Self) {
        if let (Some(nanos), Some(others)) = (&mut self.nanos, &other.nanos) {
            // Of the same bounds, so that each has its place.
            let _fits = nanos.add(others);
        }
    }

    /// How many.
    pub fn count(&self) -> u64 {
        self.nanos.as_ref().map_or(0, Histogram::len)
    }

    /// What this share of them (0 to 1) did not exceed, in milliseconds; 0 where there are none.
    pub fn quantile(&self, share: f64) -> f64 {
        self.nanos.as_ref().map_or(0.0, |nanos| nanos.value_at_quantile(share) as f64 / 1e6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_exact_to_three_digits_and_add_up() {
        let (mut even, mut odd) = (Latencies::default(), Latencies::default());
        for millis in 1..=1_000 {
            let into = if millis % 2 == 0 { &mut even } else { &mut odd };
            into.record(Duration::from_millis(millis));
        }
        even.add(&odd);
        assert_eq!(even.count(), 1_000);
        for (share, expected) in [(0.5, 500.0), (0.99, 990.0), (0.999, 999.0), (1.0, 1_000.0)] {
            assert!((even.quantile(share) / expected - 1.0).abs() < 0.001, "{share}: {}", even.quantile(share));
        }
    }

    #[test]
    fn what_takes_for_ever_counts_as_the_longest() {
        let mut latencies = Latencies::default();
        latencies.record(Duration::from_secs(1_000_000));
        assert_eq!(latencies.count(), 1);
        assert!(latencies.quantile(1.0) > 99_000.0);
    }
}
