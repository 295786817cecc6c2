//! Keys of every kind with boto3 and the AWS command line.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    installed::python,
    keys::{self, Key, Origin},
    process::{Accesser, has},
};

pub(crate) fn has_aws() -> bool {
    has("AWS command line", aws(&mut Command::new("aws")).arg("--version"))
}

/// A command that may run Amazon's tools, which find nothing but what we give them.
pub(crate) fn aws(command: &mut Command) -> &mut Command {
    let ours = env::vars_os().map(|(name, _)| name);
    for name in ours.filter(|name| name.to_string_lossy().starts_with("AWS_")) {
        command.env_remove(name);
    }
    // The tools of a virtual environment lie beside its Python.
    let python = PathBuf::from(python());
    let beside = python.parent().filter(|folder| *folder != Path::new("")).map(Path::to_owned);
    let path = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths(beside.into_iter().chain(env::split_paths(&path))).unwrap();
    command
        .env("PATH", path)
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_PAGER", "")
        .env("AWS_DEFAULT_REGION", "us-east-1")
        .env("NO_PROXY", "127.0.0.1")
        .env("no_proxy", "127.0.0.1")
}

fn with_key<'a>(command: &'a mut Command, key: &Key) -> &'a mut Command {
    aws(command).env("AWS_ACCESS_KEY_ID", &key.access).env("AWS_SECRET_ACCESS_KEY", &key.secret)
}

/// Runs a command; returns how it ended and all it said.
async fn run(mut command: Command) -> (bool, String) {
    tokio::task::spawn_blocking(move || {
        let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
    })
    .await
    .unwrap()
}

/// Runs a phase of the script, which checks for itself.
async fn boto3(url: &str, bucket: &str, key: &Key, phase: &str) {
    let mut command = Command::new(python());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/accesser/s3_cycle.py");
    with_key(&mut command, key).arg(script).arg(phase);
    command.env("S3_ENDPOINT", url).env("S3_BUCKET", bucket);
    let (succeeded, said) = run(command).await;
    assert!(succeeded, "{phase} in {bucket}:\n{said}");
}

#[tokio::test]
async fn boto3_uses_a_key_of_any_origin_until_it_is_disabled_and_after_it_is_enabled() {
    let mut probe = Command::new(python());
    if !has("Python with boto3", aws(&mut probe).args(["-c", "import boto3"])) {
        return;
    }
    let accesser = Accesser::new().start().await;
    let (client, url) = (accesser.client(), &accesser.url);
    for (bucket, origin) in ["ibm", "ec2", "s3s"].into_iter().zip(Origin::ALL) {
        let key = origin.mint(&client).await;
        boto3(url, bucket, &key, "works").await;
        let wrong = Key { secret: format!("{}x", key.secret), ..key.clone() };
        boto3(url, bucket, &wrong, "wrong-secret").await;
        keys::set_status(&client, &key, "Inactive").await;
        boto3(url, bucket, &key, "refused").await;
        keys::set_status(&client, &key, "Active").await;
        boto3(url, bucket, &key, "works").await;
        origin.delete(&client, &key).await;
        boto3(url, bucket, &key, "refused").await;
    }
    // The script itself can fail.
    let key = keys::mint(&client, "dev-alice").await;
    let mut command = Command::new(python());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/accesser/s3_cycle.py");
    with_key(&mut command, &key).arg(script).arg("refused");
    command.env("S3_ENDPOINT", url).env("S3_BUCKET", "ibm");
    assert!(!run(command).await.0);
}

#[tokio::test]
async fn the_aws_command_line_uses_a_key_of_any_origin_until_it_is_disabled() {
    if !has_aws() {
        return;
    }
    let accesser = Accesser::new().start().await;
    let client = accesser.client();
    let folder = tempfile::tempdir().unwrap();
    let (up, down) = (folder.path().join("up"), folder.path().join("down"));
    // Large enough for the tool to send it in parts.
    let content: Vec<u8> = (0..=250).cycle().take(9 << 20).collect();
    std::fs::write(&up, &content).unwrap();
    let (up, down) = (up.to_str().unwrap(), down.to_str().unwrap());
    for (bucket, origin) in ["ibm", "ec2", "s3s"].into_iter().zip(Origin::ALL) {
        let key = origin.mint(&client).await;
        let s3 = |arguments: &[&str]| {
            let mut command = Command::new("aws");
            with_key(&mut command, &key).args(["--endpoint-url", &accesser.url, "s3"]);
            command.args(arguments);
            run(command)
        };
        let object = format!("s3://{bucket}/folder/object");
        for arguments in
            [&["mb", &format!("s3://{bucket}")][..], &["cp", up, &object], &["cp", &object, down]]
        {
            let (succeeded, said) = s3(arguments).await;
            assert!(succeeded, "{arguments:?}: {said}");
        }
        assert!(std::fs::read(down).unwrap() == content);
        let list = ["ls", &format!("s3://{bucket}/folder/")];
        assert!(s3(&list).await.1.ends_with(" object\n"));
        let (_, url) = s3(&["presign", &object]).await;
        client.send(http::Method::GET, url.trim(), "").await.expect(200);

        keys::set_status(&client, &key, "Inactive").await;
        let (succeeded, said) = s3(&list).await;
        assert!(!succeeded && said.contains("InvalidAccessKeyId"), "{said}");
        client.send(http::Method::GET, url.trim(), "").await.refused("InvalidAccessKeyId");
        keys::set_status(&client, &key, "Active").await;
        assert!(s3(&list).await.0);
        origin.delete(&client, &key).await;
        let (succeeded, said) = s3(&list).await;
        assert!(!succeeded && said.contains("InvalidAccessKeyId"), "{said}");
    }
}
