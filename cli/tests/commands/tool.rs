//! Runs the tool in a temporary folder.

use std::{
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    sync::Arc,
};

use age::{secrecy::ExposeSecret, x25519};
use serde_json::Value;
use tempfile::TempDir;
use test_support::records::list_all;
use tower_credentials::{
    backend::{
        ListQuery, Order,
        contract::{BulkLoad, Loaded, MAX_LOAD},
        sqlite::SqliteBackend,
    },
    domain::Credential,
};

use crate::{installed, records::SECRET, secret_file};

/// The tool and its working folder.
pub(crate) struct Tool {
    home: TempDir,
    /// The key of sealed exports.
    identity: x25519::Identity,
}

/// A finished run.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Tool {
    pub(crate) fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let identity = x25519::Identity::generate();
        let tool = Self { home, identity };
        tool.write_private("key", tool.identity.to_string().expose_secret());
        tool.write_private("passphrase", "open sesame\n");
        tool
    }

    /// The path of a file in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Writes a file that only its owner can read and write.
    pub(crate) fn write_private(&self, name: &str, text: &str) {
        secret_file::write(self.path(name), text);
    }

    /// Creates a store with these records.
    pub(crate) async fn fill(&self, name: &str, records: &[Credential]) {
        let store = SqliteBackend::open(self.path(name)).unwrap();
        let records: Vec<_> = records.iter().cloned().map(Arc::new).collect();
        for part in records.chunks(MAX_LOAD) {
            let loaded = store.load(part).await.unwrap();
            assert!(loaded.iter().all(|loaded| *loaded == Loaded::Stored));
        }
    }

    /// All records of a store, sorted by id.
    pub(crate) async fn records(&self, name: &str) -> Vec<Credential> {
        assert!(self.path(name).exists(), "{name} does not exist");
        let store = SqliteBackend::open(self.path(name)).unwrap();
        let records = list_all(&store, ListQuery::new(Order::Key)).await;
        records.iter().map(|record| (**record).clone()).collect()
    }

    /// The public key to seal an export to.
    pub(crate) fn recipient(&self) -> String {
        self.identity.to_public().to_string()
    }

    /// Runs the tool. Its output must not contain secrets, except with `--plaintext`.
    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        let run = self.with(arguments, |_| {});
        if !arguments.contains(&"--plaintext") {
            run.assert_no_secret();
        }
        run
    }

    /// Runs the tool with further configuration of the process.
    pub(crate) fn with(&self, arguments: &[&str], configure: impl FnOnce(&mut Command)) -> Run {
        let mut command = self.command(arguments);
        configure(&mut command);
        let Output { status, stdout, stderr } = command.output().unwrap();
        let stderr = String::from_utf8(stderr).unwrap();
        Run { code: status.code().unwrap_or(-1), stdout, stderr }
    }

    /// Runs the tool, which must succeed.
    pub(crate) fn run_ok(&self, arguments: &[&str]) -> Run {
        let run = self.run(arguments);
        assert_eq!(run.code, 0, "{arguments:?}: {}", run.stderr);
        run
    }

    /// Runs the tool with `--json`; checks that the report agrees with the exit code.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let arguments = [&["--json"], arguments].concat();
        let run = self.run(&arguments);
        let report: Value = serde_json::from_slice(&run.stdout)
            .unwrap_or_else(|error| panic!("{arguments:?}: {error}: {run:?}"));
        assert_eq!(report["exit"], run.code, "{report}");
        assert_eq!(report["error"].is_null(), run.code == 0, "{report}");
        // Such as `key create`.
        let name = arguments[1..].join(" ");
        assert!(name.starts_with(report["command"].as_str().unwrap()), "{report}");
        report
    }

    /// Starts the tool.
    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        let mut command = self.command(arguments);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// Runs commands of a shell in a terminal of 24 lines; `credentials` is the tool. Returns what
    /// the terminal received. Returns `None` if `script` is not installed.
    pub(crate) fn in_terminal(&self, columns: u16, locale: &str, commands: &str) -> Option<String> {
        if !installed::has("script", Command::new("script").arg("--version")) {
            return None;
        }
        let shell = format!(
            "set -e; stty rows 24 cols {columns}; credentials() {{ {BINARY} \"$@\"; }}; {commands}"
        );
        let mut script = Command::new("timeout");
        script.args(["60", "script", "-qec", &shell, "/dev/null"]).current_dir(self.path(""));
        script.env_remove("CREDENTIALS_PASSPHRASE").env_remove("RUST_LOG").stdin(Stdio::null());
        script.env("SHELL", "/bin/sh").env("TERM", "xterm").env("LC_ALL", locale);
        let output = script.output().unwrap();
        let seen = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{commands}: {seen}");
        assert!(!seen.contains(SECRET), "{seen}");
        Some(seen)
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(BINARY);
        command.current_dir(self.home.path()).args(arguments).stdin(Stdio::null());
        command.env_remove("CREDENTIALS_PASSPHRASE").env_remove("RUST_LOG");
        command
    }
}

impl Run {
    pub(crate) fn stdout(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }

    pub(crate) fn assert_no_secret(&self) {
        let stdout = String::from_utf8_lossy(&self.stdout);
        assert!(!stdout.contains(SECRET), "on stdout: {stdout}");
        assert!(!self.stderr.contains(SECRET), "on stderr: {}", self.stderr);
    }
}

/// The path of the tool.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_credentials");
