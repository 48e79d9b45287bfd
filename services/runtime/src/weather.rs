//! Waiting for the weather to pass: a broken world is tried again, for ever or until the process stops,
//! and the health check says what is being waited for.

use std::time::Duration;

use broker::Weather;

use crate::health::HealthCheck;
use crate::shutdown::Shutdown;
use crate::supervise::Backoff;

/// Tries until it succeeds; `None` where the process stops before. The check says why while it does not
/// succeed; it is left to the caller to say that all is well afterwards.
pub fn until_served<T>(shutdown: &Shutdown, check: &HealthCheck, mut attempt: impl FnMut() -> Result<T, Weather>) -> Option<T> {
    let backoff = Backoff { first: Duration::from_millis(250), most: Duration::from_secs(5), ..Backoff::default() };
    let mut failures = 0;
    loop {
        let weather = match attempt() {
            Ok(value) => return Some(value),
            Err(weather) => weather,
        };
        failures += 1;
        check.not_ready(weather.to_string());
        tracing::warn!(%weather, failures, "waiting for the weather to pass");
        if shutdown.wait(backoff.pause(failures)) {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::{Health, State};

    #[test]
    fn weather_is_waited_for_and_said() {
        let (shutdown, check) = (Shutdown::new(), Health::new().check("broker"));
        let mut attempts = 0;
        let value = until_served(&shutdown, &check, || {
            attempts += 1;
            if attempts < 2 { Err(Weather::new("reach the broker", "connection refused")) } else { Ok(attempts) }
        });
        assert_eq!(value, Some(2));
        assert_eq!(check.state(), State::NotReady("cannot reach the broker: connection refused".to_owned()));
    }

    #[test]
    fn a_stopping_process_waits_for_nothing() {
        let (shutdown, check) = (Shutdown::new(), Health::new().check("broker"));
        shutdown.stop();
        assert_eq!(until_served::<()>(&shutdown, &check, || Err(Weather::new("reach the broker", "away"))), None);
    }
}
