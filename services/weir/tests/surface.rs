//! What the binary says from the outside, without a broker: help, wrong usage, wrong configuration, and what is
//! found in files. Data in `surface/commands.golden`, written anew with
//! `UPDATE_GOLDEN=1 cargo test -p weir --test surface`.
//!
//! Each case is a command and what came of it, run in the folder `surface`:
//!
//! ```text
//! % NAME=value      a variable of the environment, for the next command
//! $ weir version    the command
//! = 0               its exit code
//! > …               a line of standard output
//! ! …               a line of standard error
//! ```

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/surface")
}

/// Runs a command as a shell would, but for what shells do with more than blanks.
fn run(words: &str, env: &[(String, String)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    command.args(words.split_whitespace()).current_dir(folder()).stdin(Stdio::null());
    command.env_clear().envs(env.iter().map(|(name, value)| (name, value)));
    command.output().unwrap_or_else(|error| panic!("weir {words}: {error}"))
}

/// The golden file as the commands in it answer now.
fn answered(golden: &str) -> String {
    let mut text = String::new();
    let mut env: Vec<(String, String)> = Vec::new();
    for line in golden.lines() {
        if line.starts_with(['=', '>', '!']) {
            continue;
        }
        text.push_str(line);
        text.push('\n');
        if let Some((name, value)) = line.strip_prefix("% ").and_then(|set| set.split_once('=')) {
            env.push((name.to_owned(), value.to_owned()));
        }
        if let Some(words) = line.strip_prefix("$ weir") {
            let output = run(words, &std::mem::take(&mut env));
            text.push_str(&format!("= {}\n", output.status.code().unwrap_or(-1)));
            for (sign, bytes) in [('>', &output.stdout), ('!', &output.stderr)] {
                for said in String::from_utf8_lossy(bytes).lines() {
                    text.push_str(format!("{sign} {said}").trim_end());
                    text.push('\n');
                }
            }
        }
    }
    text
}

#[test]
fn every_command_answers_as_it_is_written_down() {
    let path = folder().join("commands.golden");
    let golden = std::fs::read_to_string(&path).unwrap();
    let found = answered(&golden);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, found).unwrap();
        return;
    }
    for (number, (expected, found)) in golden.lines().zip(found.lines()).enumerate() {
        assert_eq!(expected, found, "commands.golden, line {}", number + 1);
    }
    assert_eq!(golden.len(), found.len(), "commands.golden has other lines at its end");
}

#[test]
fn every_command_has_a_help_text_with_the_options_that_all_share() {
    let commands = [
        "validate",
        "plan",
        "apply",
        "rollback",
        "produce",
        "consume",
        "quarantine list",
        "quarantine show",
        "check",
        "product list",
        "product show",
        "lineage record",
        "doctor",
        "up",
        "serve",
        "config show",
        "version",
        "completions",
    ];
    for command in commands {
        let output = run(&format!("{command} --help"), &[]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{command}");
        for option in ["--bootstrap-server", "broker", "--command-config", "--registry", "--output", "--yes"] {
            assert!(text.contains(option), "{command} --help does not name {option}");
        }
    }
}

#[test]
fn completions_are_written_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let output = run(&format!("completions {shell}"), &[]);
        assert!(output.status.success() && output.stderr.is_empty(), "{shell}");
        let script = String::from_utf8(output.stdout).unwrap();
        assert!(script.contains("quarantine") && script.contains("bootstrap-server"), "{shell}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    command.args(["completions", "zsh"]).env_clear().stdin(Stdio::null());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0));
}
