//! STS, IAM and session credentials with boto3.

use std::{path::Path, process::Command};

use crate::{
    clients::lifecycle::Holder,
    http::Client,
    keys::{ALICE, mint},
    process::{Program, Running, Server},
    signing::Signing,
    tools::{bare, has, python, run, with_key},
};

/// A policy that allows to read, write and list below `team/` only.
pub const POLICY: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:GetObject","s3:PutObject","s3:DeleteObject"],"Resource":"arn:aws:s3:::data/team/*"},{"Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:s3:::data","Condition":{"StringLike":{"s3:prefix":"team/*"}}}]}"#;

/// A server with alice's key, and objects inside and outside of the prefix `team/`.
pub struct Lab {
    pub server: Running,
    pub owner: Signing,
    pub holder: Holder,
}

impl Lab {
    pub async fn start(program: Program) -> Self {
        let server = Server::new(program).start().await;
        let (client, url) = (Client::http2(&server.url), server.url.clone());
        let key = mint(&client, "dev-alice").await;
        let owner = Signing { client, url: url.clone(), key: key.clone() };
        for (path, body) in
            [("data", ""), ("other", ""), ("data/outside/secret", "SECRET"), ("other/team/x", "x")]
        {
            owner.put(path, body).await.expect(200);
        }
        Self { server, owner, holder: Holder { url, bucket: "data".into(), key } }
    }

    /// A command with alice's key and the variables of the scripts.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        with_key(&mut command, &self.holder.key)
            .env("S3_ENDPOINT", &self.holder.url)
            .env("S3_BUCKET", &self.holder.bucket)
            .env("USER_ID", ALICE)
            .env("API_TOKEN", "dev-alice");
        command
    }

    /// Runs a part of a script in Python, which checks the results.
    pub async fn python(&self, script: &str, part: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/clients").join(script);
        let mut command = self.command(python());
        command.arg(path).arg(part);
        run(command).await.unwrap_or_else(|output| panic!("{output}"));
        self.assert_unchanged().await;
    }

    /// Checks that the objects outside of `team/` are as they were at the start, and that the
    /// server has not panicked.
    pub async fn assert_unchanged(&self) {
        let list = async |path: &str| self.owner.get(path).await.expect(200).all("Key");
        let mut outside = list("data").await;
        outside.retain(|key| !key.starts_with("team/"));
        assert_eq!(outside, ["outside/secret"]);
        assert_eq!(list("other").await, ["team/x"]);
        assert_eq!(self.owner.get("data/outside/secret").await.expect(200).text(), "SECRET");
        let log = self.server.stderr();
        assert!(!log.contains("panicked"), "{log}");
    }
}

/// Whether a Python with these modules is installed.
pub fn has_modules(modules: &str) -> bool {
    let mut command = Command::new(python());
    let imports = format!("import {modules}");
    has(&format!("Python with {modules}"), bare(&mut command).args(["-c", &imports]))
}

pub async fn boto3_sessions_work_within_their_policy_only(program: Program) {
    if has_modules("boto3") {
        Lab::start(program).await.python("session_cycle.py", "sessions").await;
    }
}

pub async fn boto3_refreshes_credentials_that_end_soon(program: Program) {
    if has_modules("boto3") {
        Lab::start(program).await.python("session_cycle.py", "refresh").await;
    }
}

pub async fn boto3_maps_errors_to_its_exceptions(program: Program) {
    if has_modules("boto3") {
        Lab::start(program).await.python("session_cycle.py", "errors").await;
    }
}

pub async fn boto3_creates_lists_and_deletes_keys_over_iam(program: Program) {
    if has_modules("boto3") {
        Lab::start(program).await.python("iam_cycle.py", "keys").await;
    }
}

pub async fn boto3_sessions_end_when_their_key_is_disabled(program: Program) {
    if has_modules("boto3") {
        Lab::start(program).await.python("iam_cycle.py", "disabled").await;
    }
}
