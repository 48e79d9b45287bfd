//! Whether clocks agree: this machine's with the broker's, and with the registry's. Rules see `now` and compare
//! times of events with it, so an enforcer whose clock is wrong judges wrongly.

use broker::{Broker, Weather};
use schemas::{Companion, Names, Timestamp};

use super::Findings;
use super::access::ProductTopic;

/// Clocks that are kept by NTP differ by milliseconds; what is further apart is not kept.
const BOUND_MS: i64 = 2_000;

/// The header has whole seconds.
const SECOND_MS: i64 = 1_000;

const FIX: &str = "keep the clocks of all machines by NTP (timedatectl set-ntp true, or chrony), and look again";

/// Compares with the broker, by a record that is taken back, to the first topic whose records carry its time.
pub(super) fn of_broker(broker: &dyn Broker, names: &Names, topics: &[ProductTopic], findings: &mut Findings) {
    let quarantine = topics.iter().filter(|(companion, _)| *companion == Companion::Quarantine);
    let mut why = "no topic of the backbone carries the broker's time".to_owned();
    for topic in std::iter::once(&names.audit()).chain(quarantine.map(|(_, topic)| topic)) {
        match broker.clock_ahead(topic, &names.doctor_producer()) {
            Ok(Some(ahead)) => return judge("the broker's clock", ahead, findings),
            Ok(None) => {}
            Err(weather) => why = weather.to_string(),
        }
    }
    findings.unsure(
        "clock",
        format!("not compared with the broker's: {why}"),
        "allow what access lacks, and look again",
    );
}

/// Compares with the registry's machine, by the `Date` of an answer.
pub(super) fn of_registry(clock: impl FnOnce() -> Result<Option<Timestamp>, Weather>, findings: &mut Findings) {
    let before = Timestamp::now();
    match clock() {
        Ok(Some(date)) => judge("the registry's clock", ahead(date, before, Timestamp::now()), findings),
        Ok(None) => findings.unsure("clock", "the registry's answers carry no date", "nothing to do"),
        Err(weather) => findings.unsure("clock", weather.to_string(), "look again when the registry answers"),
    }
}

/// By how much a time in whole seconds lies outside of when it can have been taken.
fn ahead(date: Timestamp, before: Timestamp, after: Timestamp) -> i64 {
    date.0 - date.0.clamp(before.0 - SECOND_MS, after.0)
}

fn judge(whose: &str, ahead_ms: i64, findings: &mut Findings) {
    let direction = if ahead_ms < 0 { "behind" } else { "ahead of" };
    let apart = ahead_ms.unsigned_abs();
    if ahead_ms.abs() <= BOUND_MS {
        findings.good("clock", format!("{whose} agrees with this machine's to {BOUND_MS} ms"));
    } else {
        findings.bad("clock", format!("{whose} is {apart} ms or more {direction} this machine's"), FIX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_seconds_and_the_way_there_are_no_difference() {
        let [before, after] = [Timestamp(10_900), Timestamp(12_300)];
        for (date, expected) in [(10_000, 0), (12_000, 0), (9_000, -900), (20_000, 7_700)] {
            assert_eq!(ahead(Timestamp(date), before, after), expected, "{date}");
        }
    }

    #[test]
    fn clocks_apart_are_bad_and_said_in_which_direction() {
        let mut findings = Findings::new();
        judge("the broker's clock", 2_000, &mut findings);
        assert!(!findings.bad);
        judge("the broker's clock", -2_001, &mut findings);
        assert!(findings.bad);
    }
}
