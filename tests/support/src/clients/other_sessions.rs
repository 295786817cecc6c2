//! STS, IAM and session credentials with minio-py, an Iceberg client, and AWS's SDK for JavaScript.

use std::{env, path::Path, process::Command};

use crate::{
    clients::sessions::{Lab, POLICY, has_modules},
    process::Program,
    tools::{bare, has, run},
};

pub async fn minio_py_asks_for_sessions_and_uses_them(program: Program) {
    if has_modules("boto3, minio") {
        Lab::start(program).await.python("minio_cycle.py", "").await;
    }
}

pub async fn iceberg_client_works_below_the_prefix_of_its_session_only(program: Program) {
    if has_modules("boto3, pyarrow, pyiceberg.catalog.sql") {
        Lab::start(program).await.python("iceberg_cycle.py", "").await;
    }
}

/// A command that runs Node.js with the packages of `TOWER_CREDENTIALS_NODE_MODULES`.
fn node(command: &mut Command) -> &mut Command {
    if let Some(modules) = env::var_os("TOWER_CREDENTIALS_NODE_MODULES") {
        command.env("NODE_PATH", modules);
    }
    command
}

pub async fn javascript_sdk_uses_sessions_and_manages_keys(program: Program) {
    let packages = ["client-iam", "client-s3", "client-sts", "credential-providers"];
    let imports: String = packages.map(|it| format!("require('@aws-sdk/{it}');")).concat();
    let mut command = Command::new("node");
    let command = node(bare(&mut command)).args(["-e", &imports]);
    if !has("Node.js with the packages of the AWS SDK", command) {
        return;
    }
    let lab = Lab::start(program).await;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/clients/node_cycle.cjs");
    let mut command = lab.command("node");
    node(&mut command).env("POLICY", POLICY).arg(script);
    run(command).await.unwrap_or_else(|output| panic!("{output}"));
    lab.assert_unchanged().await;
}
