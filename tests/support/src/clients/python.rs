//! Keys with boto3 and the AWS command line.

use std::{path::Path, process::Command};

use http::Method;

use crate::{
    clients::lifecycle::{self, Holder},
    http::Client,
    keys,
    process::{Program, Server},
    tools::{bare, has, python, run, with_key},
};

pub fn has_aws() -> bool {
    has("AWS command line", bare(&mut Command::new("aws")).arg("--version"))
}

/// Whether everything is installed that the script needs.
fn has_boto3() -> bool {
    let mut boto3 = Command::new(python());
    has("Python with boto3", bare(&mut boto3).args(["-c", "import boto3"]))
        && has("openssl", Command::new("openssl").arg("version"))
}

/// Runs a phase of the script, which checks the results.
async fn boto3(holder: &Holder, phase: &str) -> Result<String, String> {
    let mut command = Command::new(python());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/clients/s3_cycle.py");
    with_key(&mut command, &holder.key).arg(script).arg(phase);
    command.env("S3_ENDPOINT", &holder.url).env("S3_BUCKET", &holder.bucket);
    run(command).await
}

pub async fn boto3_uses_a_key_of_any_origin_until_it_is_disabled_and_after_it_is_enabled(
    program: Program,
) {
    if !has_boto3() {
        return;
    }
    lifecycle::check_keys(program, &[], async |holder| {
        let works = boto3(&holder, "works").await;
        // Then every request of the script fails with the same code.
        let Err(output) = works else { return Ok(()) };
        let codes = ["InvalidAccessKeyId", "SignatureDoesNotMatch"];
        let Some(code) = codes.into_iter().find(|code| output.contains(code)) else {
            panic!("{output}");
        };
        boto3(&holder, code).await?;
        Err(code.to_owned())
    })
    .await;
}

pub async fn boto3_script_fails_if_a_key_is_not_rejected(program: Program) {
    if !has_boto3() {
        return;
    }
    let server = Server::new(program).start().await;
    let key = keys::mint(&server.client(), "dev-alice").await;
    let holder = Holder { url: server.url.clone(), bucket: "demo".into(), key };
    boto3(&holder, "works").await.unwrap();
    let output = boto3(&holder, "InvalidAccessKeyId").await.unwrap_err();
    assert!(output.contains("not refused"), "{output}");
}

pub async fn aws_command_line_uses_a_key_of_any_origin_until_it_is_disabled(program: Program) {
    if !has_aws() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (up, down) = (folder.path().join("up"), folder.path().join("down"));
    // Large enough for a multipart upload.
    let content: Vec<u8> = (0..=250).cycle().take(9 << 20).collect();
    std::fs::write(&up, &content).unwrap();
    let (up, down) = (up.to_str().unwrap(), down.to_str().unwrap());
    // The tool's first version presigns with signature version 2 by default.
    let config = folder.path().join("config");
    std::fs::write(&config, "[default]\ns3 =\n  signature_version = s3v4\n").unwrap();
    lifecycle::check_keys(program, &[], async |Holder { url, bucket, key }| {
        let aws = |arguments: &[&str]| {
            let mut command = Command::new("aws");
            with_key(&mut command, &key)
                .env("AWS_CONFIG_FILE", &config)
                .args(["--endpoint-url", &url])
                .args(arguments);
            run(command)
        };
        // The bucket may exist from an earlier round.
        let listed = aws(&["s3", "ls"]).await?;
        if !listed.contains(&format!(" {bucket}\n")) {
            aws(&["s3", "mb", &format!("s3://{bucket}")]).await.unwrap();
        }
        let object = format!("s3://{bucket}/folder/object");
        let copy = format!("s3://{bucket}/folder/copy");
        for (from, to) in [(up, &*object), (&object, &copy), (&copy, down)] {
            aws(&["s3", "cp", "--no-progress", from, to]).await.unwrap();
        }
        assert!(std::fs::read(down).unwrap() == content);
        let listed = aws(&["s3", "ls", &format!("s3://{bucket}/folder/")]).await.unwrap();
        assert!(listed.ends_with(" object\n"), "{listed}");

        let s3api = async |operation: &str, key: &str, rest: &[&str]| {
            let named = ["s3api", operation, "--bucket", &bucket, "--key", key];
            aws(&[&named, rest].concat()).await.unwrap()
        };
        s3api("get-object", "folder/object", &["--range", "bytes=5-9", down]).await;
        assert_eq!(std::fs::read(down).unwrap(), content[5..=9]);
        let sum = ["--body", up, "--checksum-algorithm", "SHA256"];
        s3api("put-object", "summed", &sum).await;

        let presigned = aws(&["s3", "presign", &object]).await.unwrap();
        let answer = Client::new(&url).send(Method::GET, presigned.trim(), "").await;
        assert!(answer.expect(200).body == content);
        Ok(())
    })
    .await;
}
