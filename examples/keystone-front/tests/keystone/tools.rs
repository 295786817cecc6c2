//! Python clients from Keystone's installation.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};

use crate::lab::venv;

/// Runs a script beside this file, in a minimal environment.
fn python(script: &str) -> Command {
    let mut command = Command::new(venv().join("bin/python"));
    let foreign = |name: &OsString| {
        ["AWS_", "OS_"].iter().any(|prefix| name.to_string_lossy().starts_with(prefix))
    };
    for (name, _) in env::vars_os().filter(|(name, _)| foreign(name)) {
        command.env_remove(name);
    }
    command.env("NO_PROXY", "127.0.0.1").env("no_proxy", "127.0.0.1");
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/keystone").join(script));
    command
}

/// The body that a store sends for validation when a client signs with this key. `how` is an
/// argument of `sign.py`.
pub(crate) async fn signed(how: &str, access: &str, secret: &str) -> Value {
    let mut command = python("sign.py");
    command.args([how, access, secret]);
    let output = tokio::process::Command::from(command).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The OpenStack command line with a login.
pub(crate) struct CommandLine {
    #[expect(dead_code, reason = "dropping it ends it")]
    process: tokio::process::Child,
    stdin: tokio::process::ChildStdin,
    stdout: Lines<BufReader<tokio::process::ChildStdout>>,
}

impl CommandLine {
    pub(crate) fn new(environment: &[(&str, &str)]) -> Self {
        let mut command = python("command_line.py");
        command.env("HOME", PathBuf::from("/nonexistent")).env("OS_IDENTITY_API_VERSION", "3");
        command.envs(environment.iter().copied());
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut command = tokio::process::Command::from(command);
        let mut process = command.kill_on_drop(true).spawn().unwrap();
        let stdin = process.stdin.take().unwrap();
        let stdout = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { process, stdin, stdout }
    }

    /// Runs a command; returns its JSON output, or its error message.
    pub(crate) async fn run(&mut self, arguments: &[&str]) -> Result<Value, String> {
        let line = format!("{}\n", serde_json::to_string(arguments).unwrap());
        self.stdin.write_all(line.as_bytes()).await.unwrap();
        let line = self.stdout.next_line().await.unwrap().expect("it ended");
        let ended: Value = serde_json::from_str(&line).unwrap();
        if ended["code"] != 0 {
            return Err(ended["err"].as_str().unwrap().to_owned());
        }
        let printed = ended["out"].as_str().unwrap();
        if printed.trim().is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(printed).map_err(|error| format!("{error}: {printed}"))
    }
}
