//! Starts fronts for the Keystone.

use std::{process::Command, sync::Arc};

use tempfile::TempDir;
use test_support::process::Running;

use crate::lab::{Lab, SERVICE_PROJECT, SERVICE_USER};

/// A configuration of a front, with a free port and a temporary store.
pub(crate) struct Front {
    lab: &'static Lab,
    home: Arc<TempDir>,
}

impl Front {
    pub(crate) fn of(lab: &'static Lab) -> Self {
        Self { lab, home: Arc::new(tempfile::tempdir().unwrap()) }
    }

    /// Starts the front, and waits until it listens.
    pub(crate) async fn start(&self, arguments: &[&str]) -> Running {
        self.spawn(&[&["--listen", "127.0.0.1:0"], arguments].concat()).listening().await
    }

    /// Runs `--import`; returns the printed line.
    pub(crate) async fn import(&self) -> String {
        let mut running = self.spawn(&["--import"]);
        let status = running.ended().await;
        assert!(status.success(), "{status}: {}", running.stderr());
        running.stdout().trim_end().to_owned()
    }

    fn spawn(&self, arguments: &[&str]) -> Running {
        let home = self.home.path();
        let mut command = Command::new(env!("CARGO_BIN_EXE_keystone-front"));
        command.args(["--keystone", &self.lab.url]).args(arguments);
        command.args(["--service-user", SERVICE_USER, "--service-project", SERVICE_PROJECT]);
        command.arg("--service-password-file").arg(&self.lab.service_password);
        command.arg("--backend").arg(format!("sqlite:{}", home.join("front.db").display()));
        command.env("RUST_LOG", "info,keystone_front=debug");
        Running::spawn(command, &self.home)
    }
}
