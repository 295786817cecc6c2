//! Starting and stopping the front.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::Arc,
};

use tempfile::TempDir;
use tokio::time::sleep;

use crate::{
    http::Client,
    secret_file,
    waiting::{Waiting, listening},
};

/// The service user's password.
pub(crate) const PASSWORD: &str = "the-service-password";

/// How to start a front, on a free port and with a store of its own.
pub(crate) struct Front {
    home: Arc<TempDir>,
    keystone: String,
    arguments: Vec<String>,
}

/// A front that runs. Dropping it kills it.
pub(crate) struct Running {
    process: Child,
    pub(crate) url: String,
    stdout: PathBuf,
    stderr: PathBuf,
    #[expect(dead_code, reason = "keeps the folder from being deleted")]
    home: Arc<TempDir>,
}

impl Front {
    pub(crate) fn before(keystone: &str) -> Self {
        let home = Arc::new(tempfile::tempdir().unwrap());
        secret_file::write(home.path().join("password"), format!("{PASSWORD}\n"));
        Self { home, keystone: keystone.to_owned(), arguments: Vec::new() }
    }

    pub(crate) fn arguments(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(ToString::to_string));
        self
    }

    /// The same store, started plainly.
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

    /// Starts it, and waits until it listens.
    pub(crate) async fn start(&self) -> Running {
        let mut running = self.spawn(&["--listen", "127.0.0.1:0"]);
        running.url = listening(&mut running.process, &running.stdout, &running.stderr).await;
        running
    }

    /// Has it import; returns whether it went well, what it printed and what it logged.
    pub(crate) async fn import(&self) -> (bool, String, String) {
        self.run(&["--import"]).await
    }

    /// Runs it to its end.
    pub(crate) async fn run(&self, arguments: &[&str]) -> (bool, String, String) {
        let mut running = self.spawn(arguments);
        let status = running.ended().await;
        (status.success(), running.stdout(), running.stderr())
    }

    fn spawn(&self, arguments: &[&str]) -> Running {
        let home: &Path = self.home.path();
        let (stdout, stderr) = (home.join("stdout"), home.join("stderr"));
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
        command.env("RUST_LOG", "info,keystone_front=debug").stdin(Stdio::null());
        command.stdout(File::create(&stdout).unwrap()).stderr(File::create(&stderr).unwrap());
        let process = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Running { process, url: String::new(), stdout, stderr, home: Arc::clone(&self.home) }
    }
}

impl Running {
    pub(crate) fn client(&self) -> Client {
        Client::new(&self.url)
    }

    pub(crate) fn host(&self) -> &str {
        self.url.strip_prefix("http://").unwrap()
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// What it has printed.
    pub(crate) fn stdout(&self) -> String {
        fs::read_to_string(&self.stdout).unwrap()
    }

    /// What it has logged.
    pub(crate) fn stderr(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.stderr).unwrap()).into_owned()
    }

    /// Waits until it has logged this.
    pub(crate) async fn logged(&self, text: &str) {
        for () in Waiting::start() {
            if self.stderr().contains(text) {
                return;
            }
            sleep(Waiting::STEP).await;
        }
        panic!("{text:?} is not logged:\n{}", self.stderr());
    }

    /// Sends a signal, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let command = format!("kill -{name} {}", self.id());
        assert!(Command::new("sh").args(["-c", &command]).status().unwrap().success());
    }

    /// Waits for it to end.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        for () in Waiting::start() {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status;
            }
            sleep(Waiting::STEP).await;
        }
        panic!("the front does not end:\n{}", self.stderr());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
