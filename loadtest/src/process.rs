//! A program that is measured: started, asked what it took of the machine (`/proc`, Linux), ended. It ends with the
//! value that holds it, and with our own process however that ends. Knows nothing of what the program does.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::LoadError;

/// What a process has taken of the machine so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// On all processors, in the program and in the kernel for it; in steps of 10 ms.
    pub cpu: Duration,
    /// Memory that it has now, in bytes (VmRSS).
    pub memory: u64,
    /// The most that it had, in bytes (VmHWM).
    pub peak: u64,
}

/// A running program.
#[derive(Debug)]
pub struct Process {
    child: Child,
    /// A shell that ends the program when we are gone.
    guard: Child,
    /// Its closing tells the guard; never written to.
    _held: ChildStdin,
    name: String,
    log: PathBuf,
}

impl Process {
    /// Starts a command with its output in the file `log`.
    ///
    /// # Errors
    /// The file cannot be made, or there is no such program.
    pub fn start(name: &str, command: &mut Command, log: &Path) -> Result<Self, LoadError> {
        let program = command.get_program().display().to_string();
        let failed = |error: std::io::Error| LoadError::program(format!("start {name} ({program})"), error);
        let out = File::create(log).map_err(failed)?;
        let err = out.try_clone().map_err(failed)?;
        let mut child = command.stdin(Stdio::null()).stdout(out).stderr(err).spawn().map_err(failed)?;
        match guard(child.id()) {
            Ok((guard, held)) => Ok(Self { child, guard, _held: held, name: name.to_owned(), log: log.to_owned() }),
            Err(error) => {
                end(&mut child);
                Err(failed(error))
            }
        }
    }

    /// Its name, as given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Fails where it has ended, with the end of its log.
    ///
    /// # Errors
    /// It has ended.
    pub fn still_runs(&mut self) -> Result<(), LoadError> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(self.ended(status)),
            Err(error) => Err(LoadError::program(format!("ask for {}", self.name), error)),
        }
    }

    fn ended(&self, status: ExitStatus) -> LoadError {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let last = lines.get(lines.len().saturating_sub(20)..).unwrap_or_default().join("\n");
        LoadError::program(format!("keep {} running", self.name), format!("it ended with {status}:\n{last}"))
    }

    /// What it has taken so far.
    ///
    /// # Errors
    /// It has ended, or this is no Linux.
    pub fn usage(&self) -> Result<Usage, LoadError> {
        let file = |name| {
            let path = format!("/proc/{}/{name}", self.child.id());
            fs::read_to_string(&path).map_err(|error| LoadError::program(format!("read {path}"), error))
        };
        let usage = parse(&file("stat")?, &file("status")?, rustix::param::clock_ticks_per_second());
        usage.ok_or_else(|| LoadError::program(format!("measure {}", self.name), "/proc says it in no way known"))
    }

    /// Asks it to end, as an operator does, and waits for that; it is killed when `limit` has passed.
    ///
    /// # Errors
    /// It had to be killed.
    pub fn stop(mut self, limit: Duration) -> Result<(), LoadError> {
        let failed = |name: &str, why: &str| Err(LoadError::program(format!("stop {name}"), why));
        let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) else {
            return failed(&self.name, "it has no process id");
        };
        if let Err(error) = kill_process(pid, Signal::TERM) {
            return failed(&self.name, &error.to_string());
        }
        let asked = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) {
            if asked.elapsed() > limit {
                return failed(&self.name, &format!("not within {limit:?}"));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        end(&mut self.guard);
        end(&mut self.child);
    }
}

/// Starts the guard of a process: it ends when its input closes, and the process with it.
fn guard(of: u32) -> std::io::Result<(Child, ChildStdin)> {
    let mut guard = Command::new("sh")
        .args(["-c", "cat >/dev/null; kill -9 \"$1\" 2>/dev/null", "guard", &of.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    match guard.stdin.take() {
        Some(held) => Ok((guard, held)),
        None => Err(std::io::ErrorKind::BrokenPipe.into()),
    }
}

fn end(child: &mut Child) {
    // It may have ended by itself.
    drop(child.kill());
    drop(child.wait());
}

/// Reads `/proc/PID/stat` and `/proc/PID/status` (proc_pid_stat(5), proc_pid_status(5)).
fn parse(stat: &str, status: &str, ticks_per_second: u64) -> Option<Usage> {
    // After the name, which may hold blanks and parentheses: state is field 3, utime 14, stime 15.
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut times = fields.split_ascii_whitespace().skip(11).map_while(|field| field.parse::<u64>().ok());
    let ticks = times.next()?.checked_add(times.next()?)?;
    let bytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
    };
    let cpu = Duration::from_secs_f64(ticks as f64 / ticks_per_second.max(1) as f64);
    Some(Usage { cpu, memory: bytes("VmRSS")?, peak: bytes("VmHWM")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_says_is_understood_also_of_odd_names() {
        let stat = "4 (a) b) c) S 1 4 4 0 -1 4194304 1 0 0 0 250 150 9 9 20 0 1 0 7 0 0";
        let status = "Name:\ta) b) c\nVmPeak:\t 9 kB\nVmHWM:\t   2048 kB\nVmRSS:\t   1024 kB\n";
        let usage = Usage { cpu: Duration::from_secs(4), memory: 1 << 20, peak: 2 << 20 };
        assert_eq!(parse(stat, status, 100), Some(usage));
        assert_eq!(parse("4 (zombie) Z 1", status, 100), None);
        assert_eq!(parse(stat, "Name:\tgone\n", 100), None);
    }

    #[test]
    fn a_program_is_measured_while_it_runs_and_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sleep");
        command.arg("60");
        let mut process = Process::start("a sleeper", &mut command, &folder.path().join("log")).unwrap();
        process.still_runs().unwrap();
        assert!(process.usage().unwrap().memory > 0);
        process.stop(Duration::from_secs(30)).unwrap();
    }

    #[test]
    fn a_program_that_ended_leaves_its_last_words() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo no such disk; exit 3"]);
        let mut process = Process::start("a broker", &mut command, &folder.path().join("log")).unwrap();
        let error = loop {
            match process.still_runs() {
                Ok(()) => std::thread::sleep(Duration::from_millis(1)),
                Err(error) => break error.to_string(),
            }
        };
        assert!(error.contains("a broker") && error.contains("no such disk") && error.contains('3'), "{error}");
    }
}
