//! Waiting for the weather to pass: a broken world is tried again, for ever or until the process stops,
//! and the health check says what is being waited for.

use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use broker::Weather;

use crate::health::HealthCheck;
use crate::shutdown::Shutdown;
use crate::supervise::Backoff;

/// Between two looks whether the process is stopping, while an attempt is under way.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Tries until it succeeds; `None` where the process stops before. The check says why while it does not
/// succeed; it is left to the caller to say that all is well afterwards. Each attempt has a thread of its
/// own, so that a call that takes long holds up no process that is stopping: it is left behind.
pub fn until_served<T: Send + 'static>(
    shutdown: &Shutdown,
    check: &HealthCheck,
    attempt: impl FnMut() -> Result<T, Weather> + Send + 'static,
) -> Option<T> {
    let backoff = Backoff { first: Duration::from_millis(250), most: Duration::from_secs(5), ..Backoff::default() };
    let attempt = Arc::new(Mutex::new(attempt));
    let mut failures = 0;
    loop {
        let weather = match patiently(shutdown, &attempt)? {
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

/// One attempt; `None` where the process stops before it has ended.
fn patiently<T: Send + 'static>(
    shutdown: &Shutdown,
    attempt: &Arc<Mutex<impl FnMut() -> Result<T, Weather> + Send + 'static>>,
) -> Option<Result<T, Weather>> {
    let attempt = Arc::clone(attempt);
    let (tell, told) = mpsc::channel();
    let begun = std::thread::Builder::new().name("attempt".to_owned()).spawn(move || {
        let result = (attempt.lock().unwrap_or_else(PoisonError::into_inner))();
        // Nobody listens where the process is stopping.
        drop(tell.send(result));
    });
    if let Err(error) = begun {
        return Some(Err(Weather::new("start a thread", error)));
    }
    loop {
        match told.recv_timeout(LOOK_AGAIN) {
            Ok(result) => return Some(result),
            Err(mpsc::RecvTimeoutError::Disconnected) => return Some(Err(Weather::new("try", "the attempt panicked"))),
            Err(mpsc::RecvTimeoutError::Timeout) if shutdown.is_stopping() => return None,
            Err(mpsc::RecvTimeoutError::Timeout) => {}
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
        let value = until_served(&shutdown, &check, move || {
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

    #[test]
    fn a_stopping_process_leaves_a_long_call_behind() {
        let (shutdown, check) = (Shutdown::new(), Health::new().check("broker"));
        let (entered, hold) = (shutdown.clone(), mpsc::channel::<()>());
        let attempt = move || {
            entered.stop();
            let _ = hold.1.recv();
            Err(Weather::new("reach the broker", "away"))
        };
        assert_eq!(until_served::<()>(&shutdown, &check, attempt), None);
        drop(hold.0);
    }
}
