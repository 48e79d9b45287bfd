//! A `weir` process looked at from outside: its memory as the system counts it, its metrics, whether it is
//! still the one that was started.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use crate::backbone::Backbone;
use crate::sandbox::{Guarded, free_port};

/// An enforcer whose health is watched.
#[derive(Debug)]
pub(crate) struct Watched {
    process: Guarded,
    admin: u16,
    log: PathBuf,
}

impl Watched {
    /// Starts an enforcer; `settings` are environment variables of its own.
    pub(crate) fn enforcer(backbone: &Backbone, instance: &str, settings: &[(&str, &str)]) -> Self {
        let admin = free_port();
        let listen = format!("127.0.0.1:{admin}");
        let mut all = vec![("WEIR_ADMIN_LISTEN", listen.as_str())];
        all.extend_from_slice(settings);
        let (process, log) = backbone.enforcer_with(instance, &all);
        Self { process, admin, log }
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

    /// The sum of a metric's series whose labels hold this text.
    pub(crate) fn metric(&self, name: &str, labels: &str) -> f64 {
        let text = self.get("/metrics").unwrap_or_default();
        let series = text.lines().filter(|line| {
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])) && line.contains(labels)
        });
        series.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
    }

    /// The body of a GET that is answered with 200.
    pub(crate) fn get(&self, path: &str) -> Option<String> {
        let ask = || -> std::io::Result<String> {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.admin))?;
            stream.set_read_timeout(Some(Duration::from_secs(5)))?;
            write!(stream, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")?;
            let mut text = String::new();
            stream.read_to_string(&mut text)?;
            Ok(text)
        };
        let text = ask().ok()?;
        let (head, body) = text.split_once("\r\n\r\n")?;
        head.lines().next()?.contains(" 200").then(|| body.to_owned())
    }

    /// What it logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// It is still the process that was started, no role of it was started again, and nothing waits.
    pub(crate) fn assert_untroubled(&mut self) {
        assert_eq!(self.process.ended(), None, "it ended:\n{}", self.log());
        assert_eq!(self.metric("weir_role_up", "enforcer"), 1.0, "{}", self.log());
        assert_eq!(self.metric("weir_role_restarts_total", ""), 0.0, "{}", self.log());
        assert_eq!(self.metric("weir_enforcer_waiting_partitions", ""), 0.0, "{}", self.log());
        assert!(!self.log().contains("panicked"), "{}", self.log());
    }
}
