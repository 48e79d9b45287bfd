//! Weir's own broker as a whole where it is not treated well: full disks, slow and lying clients, damaged files, lost
//! power, directories of earlier releases, much to open. The broker is a process; what asks it are clients.

mod crowd;
mod damage;
mod formats;
mod full_disk;
mod opening;
mod power;
mod spoilt;
mod wire;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use kafka_protocol::messages::ApiVersionsRequest;

use crate::sandbox::{Guarded, Output, free_port, run, weir};
use wire::Client;

/// Whether the long runs are wanted.
fn long() -> bool {
    std::env::var_os("WEIR_LONG").is_some()
}

/// A broker of ours.
#[derive(Debug)]
struct Own {
    process: Guarded,
    port: u16,
    log: PathBuf,
}

/// The program and arguments of a broker on a data directory.
fn words(data: &Path, port: u16, more: &[&str]) -> Vec<OsString> {
    let mut words = vec![weir().get_program().to_owned()];
    words.extend(["broker", "--listen"].map(OsString::from));
    words.push(format!("127.0.0.1:{port}").into());
    words.extend(["--admin-listen".into(), format!("127.0.0.1:{}", free_port()).into()]);
    words.push("--data".into());
    words.push(data.into());
    words.extend(more.iter().map(OsString::from));
    words
}

impl Own {
    /// On a data directory, with what it says in `log`.
    fn start(data: &Path, log: &Path) -> Self {
        Self::start_as(data, log, &[], |words| {
            let mut command = weir();
            command.args(&words[1..]);
            command
        })
    }

    /// With more arguments, and started as `command` makes of its program and arguments.
    fn start_as(data: &Path, log: &Path, more: &[&str], command: impl Fn(&[OsString]) -> Command) -> Self {
        let port = free_port();
        let mut own =
            Self { process: Guarded::start(command(&words(data, port, more)), log), port, log: log.to_owned() };
        own.answers();
        own
    }

    /// Waits until it answers: it listens before it has opened anything. Looks often, for how long it takes is
    /// measured.
    fn answers(&mut self) {
        let begun = Instant::now();
        let answered = |address: &str| Client::try_connect(address)?.try_ask(0, &ApiVersionsRequest::default());
        while answered(&self.address()).is_err() {
            if let Some(status) = self.process.ended() {
                panic!("the broker ended with {status}:\n{}", self.said());
            }
            assert!(begun.elapsed() < Duration::from_secs(120), "the broker does not start:\n{}", self.said());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn client(&self) -> Client {
        Client::connect(&self.address())
    }

    /// What it logged.
    fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The most memory that it ever had, in bytes.
    fn peak(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).expect("it runs");
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("the system counts it");
        line.split_whitespace().nth(1).and_then(|kilobytes| kilobytes.parse::<u64>().ok()).expect("a number") * 1024
    }

    /// Asks it to end in order, and waits until it has.
    fn stop(mut self) {
        self.process.signal("TERM");
        let ended = crate::sandbox::wait_for("the broker ends", Duration::from_secs(60), || self.process.ended());
        assert!(ended.success(), "{}", self.said());
        assert!(!self.said().contains("panicked"), "{}", self.said());
    }

    /// SIGKILL.
    fn kill(mut self) {
        self.process.kill();
        assert!(!self.said().contains("panicked"), "{}", self.said());
    }
}

/// `weir broker verify`.
fn verify(data: &Path) -> Output {
    let mut command = weir();
    command.args(["broker", "verify"]).arg(data).args(["-o", "json"]);
    run(command, b"")
}

/// The same where nothing may be found.
fn verify_clean(data: &Path) {
    let verified = verify(data).ok();
    assert!(verified.stderr.contains("all is well"), "{}", verified.stderr);
}
