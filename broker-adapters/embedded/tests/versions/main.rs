//! Every API that the broker advertises, at every version that it advertises, over a socket.

mod api_versions;
mod hostile;
mod requests;

use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};

use api_versions::{
    Outcome, a_second_batch_in_a_request_is_refused, exercise, too_new_a_version_is_answered_in_the_oldest_form,
};
use embedded::{Broker, Settings};
use tokio::sync::oneshot;

/// A broker in this process, on a port of its own, while `act` runs.
fn with_broker(act: impl FnOnce(&str)) {
    let place = tempfile::tempdir().expect("room for a directory");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.set_nonblocking(true).expect("a socket of ours");
    let address = listener.local_addr().expect("the port bound");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("threads");
    let (stop, stopped) = oneshot::channel::<()>();
    let settings = Settings::new(place.path().join("data"), "127.0.0.1", address.port());
    let serving = runtime.spawn(async move {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let broker = Broker::open(settings).map_err(std::io::Error::other)?;
        broker.serve(listener, async move { drop(stopped.await) }).await
    });
    act(&address.to_string());
    drop(stop);
    runtime.block_on(serving).expect("no panic").expect("an orderly end");
}

#[test]
fn every_advertised_version_is_answered_in_its_own_form() {
    with_broker(|address| {
        let outcomes = exercise(address, "versions").expect("the broker can be asked");
        let wrong: Vec<_> = outcomes.iter().filter(|(_, _, outcome)| *outcome != Outcome::Answered).collect();
        assert!(wrong.is_empty() && outcomes.len() > 150, "of {}: {wrong:#?}", outcomes.len());
        too_new_a_version_is_answered_in_the_oldest_form(address).expect("a form that any client reads");
    });
}

#[test]
fn one_batch_per_partition_and_request() {
    with_broker(|address| a_second_batch_in_a_request_is_refused(address).expect("it is refused"));
}

#[test]
fn spoilt_requests_panic_nothing_and_hurt_nobody_else() {
    static PANICS: AtomicUsize = AtomicUsize::new(0);
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        PANICS.fetch_add(1, Ordering::SeqCst);
        before(panic);
    }));
    with_broker(|address| {
        let many = if std::env::var_os("WEIR_LONG").is_some() { 200_000 } else { 20_000 };
        hostile::spoilt_requests(address, many);
        let outcomes = exercise(address, "afterwards").expect("the broker can be asked");
        assert!(outcomes.iter().all(|(_, _, outcome)| *outcome == Outcome::Answered), "{outcomes:#?}");
    });
    assert_eq!(PANICS.load(Ordering::SeqCst), 0);
    let most = peak();
    assert!(most < 512 << 20, "{most} bytes, which nobody sent");
}

/// The most memory that this process ever had, in bytes; broker and clients are in it.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("the system tells");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("the system counts it");
    line.split_whitespace().nth(1).and_then(|kilobytes| kilobytes.parse::<u64>().ok()).expect("a number") * 1024
}
