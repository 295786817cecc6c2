//! Running the tool, each time in a folder of its own.

use std::{
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    sync::Arc,
};

use age::{secrecy::ExposeSecret, x25519};
use serde_json::Value;
use tempfile::TempDir;
use tower_credentials::{
    backend::{
        BulkLoad, CredentialBackend, ListQuery, Loaded, MAX_LOAD, Order, sqlite::SqliteBackend,
    },
    domain::Credential,
};

use crate::{records::SECRET, secret_file};

/// The tool, and a folder that it works in.
pub(crate) struct Tool {
    home: TempDir,
    /// The keys to sealed exports.
    identity: x25519::Identity,
}

/// A run of it that is over.
#[derive(Debug)]
pub(crate) struct Ran {
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

    /// A file in its folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Writes a file that only its owner can read and write.
    pub(crate) fn write_private(&self, name: &str, text: &str) {
        secret_file::write(self.path(name), text);
    }

    /// Makes a store of these records.
    pub(crate) async fn fill(&self, name: &str, records: &[Credential]) {
        let store = SqliteBackend::open(self.path(name)).unwrap();
        let records: Vec<_> = records.iter().cloned().map(Arc::new).collect();
        for part in records.chunks(MAX_LOAD) {
            let loaded = store.load(part).await.unwrap();
            assert!(loaded.iter().all(|loaded| *loaded == Loaded::Stored));
        }
    }

    /// All records of a store, by id.
    pub(crate) async fn records(&self, name: &str) -> Vec<Credential> {
        assert!(self.path(name).exists(), "{name} is not there");
        let store = SqliteBackend::open(self.path(name)).unwrap();
        let (mut query, mut records) = (ListQuery::new(Order::Id), Vec::new());
        loop {
            let page = store.list(&query).await.unwrap();
            records.extend(page.credentials.iter().map(|record| (**record).clone()));
            query.after = page.next;
            if query.after.is_none() {
                return records;
            }
        }
    }

    /// The public key to seal an export to.
    pub(crate) fn recipient(&self) -> String {
        self.identity.to_public().to_string()
    }

    /// Runs it to its end. No secret may be in what it says, unless it was asked for.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        let ran = self.with(arguments, |_| {});
        if !arguments.contains(&"--plaintext") {
            ran.assert_tells_no_secret();
        }
        ran
    }

    /// Runs it to its end, set up further.
    pub(crate) fn with(&self, arguments: &[&str], configure: impl FnOnce(&mut Command)) -> Ran {
        let mut command = self.command(arguments);
        configure(&mut command);
        let Output { status, stdout, stderr } = command.output().unwrap();
        let stderr = String::from_utf8(stderr).unwrap();
        Ran { code: status.code().unwrap_or(-1), stdout, stderr }
    }

    /// Runs it where all must go well.
    pub(crate) fn fine(&self, arguments: &[&str]) -> Ran {
        let ran = self.run(arguments);
        assert_eq!(ran.code, 0, "{arguments:?}: {}", ran.stderr);
        ran
    }

    /// Runs it with `--json`; the object, whose exit code is that of the process.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let arguments = [&["--json"], arguments].concat();
        let ran = self.run(&arguments);
        let told: Value = serde_json::from_slice(&ran.stdout)
            .unwrap_or_else(|error| panic!("{arguments:?}: {error}: {ran:?}"));
        assert_eq!(told["exit"], ran.code, "{told}");
        assert_eq!(told["error"].is_null(), ran.code == 0, "{told}");
        assert_eq!(told["command"], arguments[1], "{told}");
        told
    }

    /// Starts it.
    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        let mut command = self.command(arguments);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(BINARY);
        command.current_dir(self.home.path()).args(arguments).stdin(Stdio::null());
        command.env_remove("CREDENTIALS_PASSPHRASE").env_remove("RUST_LOG");
        command
    }
}

impl Ran {
    pub(crate) fn stdout(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }

    pub(crate) fn assert_tells_no_secret(&self) {
        let stdout = String::from_utf8_lossy(&self.stdout);
        assert!(!stdout.contains(SECRET), "on stdout: {stdout}");
        assert!(!self.stderr.contains(SECRET), "on stderr: {}", self.stderr);
    }
}

/// The tool.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_credentials");
