//! A `weir` process looked at from outside: its memory as the system counts it, its metrics, whether it is
//! still the one that was started.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::sandbox::{Guarded, wait_for};

/// An enforcer's process, and what it says about itself.
#[derive(Debug)]
pub(crate) struct Enforcer {
    process: Guarded,
    admin: u16,
    log: PathBuf,
}

impl Enforcer {
    /// Starts what serves its health at the port `admin` and logs to `log`.
    pub(crate) fn start(command: Command, admin: u16, log: PathBuf) -> Self {
        Self { process: Guarded::start(command, &log), admin, log }
    }

    /// SIGKILL, and waits for the end.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    /// See [`Guarded::signal`].
    pub(crate) fn signal(&self, name: &str) {
        self.process.signal(name);
    }

    /// Waits until it is ready for the first time; then the registry takes schemas too.
    pub(crate) fn started(self) -> Self {
        wait_for("the enforcer is ready", Duration::from_secs(120), || {
            self.readyz().filter(|(ready, _)| *ready).map(drop)
        });
        self
    }

    /// The answer of `/readyz`: whether it is ready, and the text; `None` where nobody answers.
    pub(crate) fn readyz(&self) -> Option<(bool, String)> {
        get(self.admin, "/readyz").map(|(status, text)| (status == 200, text))
    }

    /// The sum of a metric's series whose labels hold this text; `None` where there is none, or nobody answers.
    pub(crate) fn metric(&self, name: &str, labels: &str) -> Option<f64> {
        let (_, text) = get(self.admin, "/metrics")?;
        let series = text.lines().filter(|line| {
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])) && line.contains(labels)
        });
        series.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).reduce(|sum, value| sum + value)
    }

    /// Resident memory in bytes, as the system counts it now.
    pub(crate) fn memory(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// The most it ever was.
    pub(crate) fn peak(&self) -> u64 {
        self.status("VmHWM:")
    }

    fn status(&self, field: &str) -> u64 {
        let path = format!("/proc/{}/status", self.process.id());
        let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}\n{}", self.log()));
        let line = text.lines().find(|line| line.starts_with(field)).unwrap_or_else(|| panic!("no {field} in {path}"));
        let kilobytes = line.split_whitespace().nth(1).and_then(|number| number.parse::<u64>().ok());
        kilobytes.unwrap_or_else(|| panic!("{line}")) * 1024
    }

    /// What it logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// It is still the process that was started, no role of it was started again, and nothing waits.
    pub(crate) fn assert_untroubled(&mut self) {
        assert_eq!(self.process.ended(), None, "it ended:\n{}", self.log());
        assert_eq!(self.metric("weir_role_up", "enforcer"), Some(1.0), "{}", self.log());
        assert_eq!(self.metric("weir_role_restarts_total", "").unwrap_or(0.0), 0.0, "{}", self.log());
        wait_for("no partition waits", Duration::from_secs(10), || {
            (self.metric("weir_enforcer_waiting_partitions", "") == Some(0.0)).then_some(())
        });
        assert!(!self.log().contains("panicked"), "{}", self.log());
    }
}

/// Status and body of the answer to a GET; `None` where nobody answers.
pub(crate) fn get(port: u16, path: &str) -> Option<(u16, String)> {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let answer = ask().ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}
