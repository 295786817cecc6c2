//! Starting fronts before the Keystone.

use std::{
    fs::{self, File},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Arc,
};

use tempfile::TempDir;
use tokio::time::sleep;

use crate::{
    http::Client,
    lab::{Lab, SERVICE_PROJECT, SERVICE_USER},
    waiting::{Waiting, listening},
};

/// How to start a front, on a free port and with a store of its own.
pub(crate) struct Front {
    lab: &'static Lab,
    home: Arc<TempDir>,
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
    pub(crate) fn of(lab: &'static Lab) -> Self {
        Self { lab, home: Arc::new(tempfile::tempdir().unwrap()) }
    }

    /// Starts it, and waits until it listens.
    pub(crate) async fn start(&self, arguments: &[&str]) -> Running {
        let mut running = self.spawn(&[&["--listen", "127.0.0.1:0"], arguments].concat());
        running.url = listening(&mut running.process, &running.stdout, &running.stderr).await;
        running
    }

    /// Has it import what Keystone has; returns the line that it prints.
    pub(crate) async fn import(&self) -> String {
        let mut running = self.spawn(&["--import"]);
        for () in Waiting::start() {
            if let Some(status) = running.process.try_wait().unwrap() {
                assert!(status.success(), "{status}: {}", running.stderr());
                return running.stdout().trim_end().to_owned();
            }
            sleep(Waiting::STEP).await;
        }
        panic!("the import does not end:\n{}", running.stderr());
    }

    fn spawn(&self, arguments: &[&str]) -> Running {
        let home = self.home.path();
        let (stdout, stderr) = (home.join("stdout"), home.join("stderr"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_keystone-front"));
        command.args(["--keystone", &self.lab.url]).args(arguments);
        command.args(["--service-user", SERVICE_USER, "--service-project", SERVICE_PROJECT]);
        command.arg("--service-password-file").arg(&self.lab.service_password);
        command.arg("--backend").arg(format!("sqlite:{}", home.join("front.db").display()));
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

    fn stdout(&self) -> String {
        fs::read_to_string(&self.stdout).unwrap()
    }

    /// What it has logged.
    pub(crate) fn stderr(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.stderr).unwrap()).into_owned()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
