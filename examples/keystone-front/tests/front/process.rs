//! Starts the front.

use std::{path::PathBuf, process::Command, sync::Arc};

use tempfile::TempDir;
use test_support::{process::Running, secret_file};

/// The service user's password.
pub(crate) const PASSWORD: &str = "the-service-password";

/// A configuration of the front, with a free port and a temporary store.
pub(crate) struct Front {
    home: Arc<TempDir>,
    keystone: String,
    arguments: Vec<String>,
}

impl Front {
    pub(crate) fn of(keystone: &str) -> Self {
        let home = Arc::new(tempfile::tempdir().unwrap());
        secret_file::write(home.path().join("password"), format!("{PASSWORD}\n"));
        Self { home, keystone: keystone.to_owned(), arguments: Vec::new() }
    }

    pub(crate) fn arguments(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(ToString::to_string));
        self
    }

    /// The same store without additional arguments.
    pub(crate) fn without_arguments(&self) -> Self {
        let (home, keystone) = (Arc::clone(&self.home), self.keystone.clone());
        Self { home, keystone, arguments: Vec::new() }
    }

    /// The file of the service user's password.
    pub(crate) fn password_file(&self) -> PathBuf {
        self.home.path().join("password")
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.home.path().join("front.db")
    }

    /// Starts the front, and waits until it listens.
    pub(crate) async fn start(&self) -> Running {
        self.spawn(&["--listen", "127.0.0.1:0"]).listening().await
    }

    /// Runs `--import`; see [`run`](Self::run).
    pub(crate) async fn import(&self) -> (bool, String, String) {
        self.run(&["--import"]).await
    }

    /// Runs the front to its end; returns whether it succeeded, its stdout and its stderr.
    pub(crate) async fn run(&self, arguments: &[&str]) -> (bool, String, String) {
        let mut running = self.spawn(arguments);
        let status = running.ended().await;
        (status.success(), running.stdout(), running.stderr())
    }

    fn spawn(&self, arguments: &[&str]) -> Running {
        let mut command = Command::new(env!("CARGO_BIN_EXE_keystone-front"));
        command.args(["--keystone", &self.keystone]).args(arguments).args(&self.arguments);
        command.args(["--service-user", "front"]);
        if !self.arguments.iter().any(|argument| argument.starts_with("--service-")) {
            command.args(["--service-project", "service"]);
        }
        command.arg("--service-password-file").arg(self.password_file());
        if !self.arguments.iter().any(|argument| argument == "--backend") {
            command.arg("--backend").arg(format!("sqlite:{}", self.database().display()));
        }
        command.env("RUST_LOG", "info,keystone_front=debug");
        Running::spawn(command, &self.home)
    }
}
