//! Clients with a key for one prefix of one bucket: their usual work inside of it, and refusals
//! outside.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use http::Method;
use serde_json::json;
use tempfile::TempDir;

use crate::{
    clients::lifecycle::Holder,
    http::Client,
    keys::{mint, mint_with},
    process::{Program, Running, Server},
    signing::Signing,
    tools::{bare, has, python, run, with_key},
};

/// A server with objects inside and outside of the key's prefix.
struct Lab {
    #[expect(dead_code, reason = "keeps the server running")]
    server: Running,
    owner: Signing,
    /// May read and write below `team/` in the bucket `data`.
    holder: Holder,
    folder: TempDir,
}

impl Lab {
    async fn start(program: Program) -> Self {
        let server = Server::new(program).start().await;
        let (client, url) = (Client::http2(&server.url), server.url.clone());
        let key = mint(&client, "dev-alice").await;
        let owner = Signing { client: client.clone(), url: url.clone(), key };
        for (path, body) in
            [("data", ""), ("other", ""), ("data/outside/secret", "SECRET"), ("other/team/x", "x")]
        {
            owner.put(path, body).await.expect(200);
        }
        let boundary =
            json!({"permission": "read-write", "buckets": ["data"], "prefixes": ["team/"]});
        let members = json!({"boundary": boundary, "name": "team only"});
        let key = mint_with(&client, "dev-alice", &members).await;
        let holder = Holder { url, bucket: "data".into(), key };
        Self { server, owner, holder, folder: tempfile::tempdir().unwrap() }
    }

    /// A file of this many bytes to upload.
    fn file(&self, name: &str, size: usize) -> (PathBuf, Vec<u8>) {
        let content: Vec<u8> = (0..=250).cycle().take(size).collect();
        let path = self.folder.path().join(name);
        std::fs::write(&path, &content).unwrap();
        (path, content)
    }

    /// Checks that only the objects of the start are left.
    async fn assert_unchanged(&self) {
        let list = async |path: &str| self.owner.get(path).await.expect(200).all("Key");
        assert_eq!(list("data").await, ["outside/secret"]);
        assert_eq!(list("other").await, ["team/x"]);
        assert_eq!(self.owner.get("data/outside/secret").await.expect(200).text(), "SECRET");
        let mut buckets = self.owner.get("").await.expect(200).all("Name");
        buckets.sort_unstable();
        assert_eq!(buckets, ["data", "other"]);
    }

    /// Runs a part of the script, which checks the results.
    async fn python(&self, part: &str) {
        let mut command = Command::new(python());
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/clients/bounded_cycle.py");
        with_key(&mut command, &self.holder.key).arg(script).arg(part);
        command.env("S3_ENDPOINT", &self.holder.url).env("S3_BUCKET", &self.holder.bucket);
        run(command).await.unwrap_or_else(|output| panic!("{output}"));
        self.assert_unchanged().await;
    }
}

/// Checks the output of a client that was refused.
#[track_caller]
fn assert_denied(result: Result<String, String>, what: &[&str]) {
    let output = result.expect_err(&what.join(" "));
    // The response to a HEAD has no body, so clients report its status.
    let is_denied = ["AccessDenied", "(403)", "403 (Forbidden)", "status code: 403"];
    assert!(is_denied.iter().any(|it| output.contains(it)), "{what:?}: {output}");
}

pub async fn boto3_works_within_the_boundary_of_its_key_only(program: Program) {
    let mut boto3 = Command::new(python());
    if has("Python with boto3", bare(&mut boto3).args(["-c", "import boto3"])) {
        Lab::start(program).await.python("boto3").await;
    }
}

pub async fn minio_py_works_within_the_boundary_of_its_key_only(program: Program) {
    let mut minio = Command::new(python());
    if has("Python with minio", bare(&mut minio).args(["-c", "import minio"])) {
        Lab::start(program).await.python("minio").await;
    }
}

pub async fn aws_command_line_works_within_the_boundary_of_its_key_only(program: Program) {
    if !super::python::has_aws() {
        return;
    }
    let lab = Lab::start(program).await;
    // Large enough for a multipart upload.
    let (up, content) = lab.file("up", 9 << 20);
    let down = lab.folder.path().join("down");
    let (up, down) = (up.to_str().unwrap(), down.to_str().unwrap());
    // The tool's first version presigns with signature version 2 by default.
    let config = lab.folder.path().join("config");
    std::fs::write(&config, "[default]\ns3 =\n  signature_version = s3v4\n").unwrap();
    let aws = |arguments: &[&str]| {
        let mut command = Command::new("aws");
        with_key(&mut command, &lab.holder.key)
            .env("AWS_CONFIG_FILE", &config)
            .args(["--endpoint-url", &lab.holder.url])
            .args(arguments);
        run(command)
    };
    let (object, copy) = ("s3://data/team/object", "s3://data/team/copy");
    for (from, to) in [(up, object), (object, copy), (copy, down)] {
        aws(&["s3", "cp", "--no-progress", from, to]).await.unwrap();
    }
    assert!(std::fs::read(down).unwrap() == content);
    let listed = aws(&["s3", "ls", "s3://data/team/"]).await.unwrap();
    assert!(listed.ends_with(" object\n"), "{listed}");
    let presigned = aws(&["s3", "presign", object]).await.unwrap();
    let answer = Client::new(&lab.holder.url).send(Method::GET, presigned.trim(), "").await;
    assert!(answer.expect(200).body == content);
    let s3api = ["s3api", "create-multipart-upload", "--bucket", "data", "--key", "team/parts"];
    let query = ["--query", "UploadId", "--output", "text"];
    let upload = aws(&[&s3api[..], &query].concat()).await.unwrap();
    let abort = ["s3api", "abort-multipart-upload", "--bucket", "data", "--key", "team/parts"];
    aws(&[&abort[..], &["--upload-id", upload.trim()]].concat()).await.unwrap();

    let secret = "s3://data/outside/secret";
    let mixed = "Objects=[{Key=team/object},{Key=outside/secret}]";
    for arguments in [
        &["s3", "ls"][..],
        &["s3", "ls", "s3://data"],
        &["s3", "ls", "s3://data/outside/"],
        &["s3", "ls", "s3://other/team/"],
        &["s3", "mb", "s3://another"],
        &["s3", "cp", "--no-progress", secret, down],
        &["s3", "cp", "--no-progress", up, secret],
        &["s3", "cp", "--no-progress", secret, copy],
        &["s3", "cp", "--no-progress", object, secret],
        &["s3", "rm", secret],
        &["s3", "rm", "--recursive", "s3://data"],
        &["s3api", "delete-objects", "--bucket", "data", "--delete", mixed],
    ] {
        assert_denied(aws(arguments).await, arguments);
    }
    let presigned = aws(&["s3", "presign", secret]).await.unwrap();
    let answer = Client::new(&lab.holder.url).send(Method::GET, presigned.trim(), "").await;
    answer.refused("AccessDenied");
    aws(&["s3", "rm", object]).await.unwrap();
    aws(&["s3", "rm", "--recursive", "s3://data/team/"]).await.unwrap();
    lab.assert_unchanged().await;
}

pub async fn rclone_works_within_the_boundary_of_its_key_only(program: Program) {
    if !has("rclone", Command::new("rclone").arg("version")) {
        return;
    }
    let lab = Lab::start(program).await;
    let (up, content) = lab.file("large", 12 << 20);
    let (up, down) = (up.to_str().unwrap(), lab.folder.path().join("down"));
    let down = down.to_str().unwrap();
    let rclone = |arguments: &[&str]| {
        let mut command = Command::new("rclone");
        bare(&mut command).args(["--config", "/dev/null", "--retries", "1"]);
        command.args(["--low-level-retries", "1", "--s3-upload-cutoff", "5Mi"]);
        command.args(["--s3-chunk-size", "5Mi"]);
        // `s3s-fs` does not support the empty delimiter of recursive lists.
        command.args(["--disable", "ListR"]);
        let settings = [
            ("TYPE", "s3"),
            ("PROVIDER", "Other"),
            ("REGION", "us-east-1"),
            ("ENDPOINT", &lab.holder.url),
            ("ACCESS_KEY_ID", &lab.holder.key.access),
            ("SECRET_ACCESS_KEY", &lab.holder.key.secret),
            // Before an upload, rclone would create the bucket.
            ("NO_CHECK_BUCKET", "true"),
        ];
        for (name, value) in settings {
            command.env(format!("RCLONE_CONFIG_STORE_{name}"), value);
        }
        command.args(arguments);
        run(command)
    };
    let (large, copy) = ("store:data/team/large", "store:data/team/copy");
    rclone(&["copyto", up, large]).await.unwrap();
    rclone(&["copyto", large, copy]).await.unwrap();
    rclone(&["moveto", copy, "store:data/team/a folder/moved"]).await.unwrap();
    let listed = rclone(&["lsf", "-R", "store:data/team/"]).await.unwrap();
    let mut names: Vec<_> = listed.lines().collect();
    names.sort_unstable();
    assert_eq!(names, ["a folder/", "a folder/moved", "large"]);
    rclone(&["sync", "store:data/team/", down]).await.unwrap();
    assert!(std::fs::read(format!("{down}/a folder/moved")).unwrap() == content);
    let output = rclone(&["link", large]).await.unwrap();
    // Besides notices.
    let presigned = output.lines().find(|line| line.starts_with("http")).expect(&output);
    let answer = Client::new(&lab.holder.url).send(Method::GET, presigned, "").await;
    assert!(answer.expect(200).body == content);

    let secret = "store:data/outside/secret";
    for arguments in [
        &["lsd", "store:"][..],
        &["lsf", "store:data"],
        &["lsf", "store:data/outside/"],
        &["lsf", "store:other/team/"],
        &["cat", secret],
        &["copyto", secret, copy],
        &["copyto", large, secret],
        &["copyto", up, secret],
        &["copyto", up, "store:data/outside/large"],
        &["delete", "store:data"],
    ] {
        assert_denied(rclone(arguments).await, arguments);
    }
    rclone(&["deletefile", large]).await.unwrap();
    rclone(&["delete", "store:data/team/"]).await.unwrap();
    lab.assert_unchanged().await;
}

/// s3cmd presigns with signature version 2 only, which keys with a boundary cannot use.
pub async fn s3cmd_works_within_the_boundary_of_its_key_only(program: Program) {
    if !has("s3cmd", Command::new("s3cmd").arg("--version")) {
        return;
    }
    let lab = Lab::start(program).await;
    let (up, content) = lab.file("up", 12 << 20);
    let down = lab.folder.path().join("down");
    let (up, down) = (up.to_str().unwrap(), down.to_str().unwrap());
    let s3cmd = |arguments: &[&str]| {
        let mut command = Command::new("s3cmd");
        let host = lab.holder.host();
        bare(&mut command).args(["--config", "/dev/null", "--no-ssl", "--no-progress"]);
        command.args(["--host", host, "--host-bucket", host]);
        // Without a region, s3cmd may ask for the location of the bucket.
        command.args(["--region", "us-east-1"]);
        command.args(["--access_key", &lab.holder.key.access]);
        command.args(["--secret_key", &lab.holder.key.secret]);
        command.args(arguments);
        run(command)
    };
    let (large, copy) = ("s3://data/team/large", "s3://data/team/copy");
    s3cmd(&["put", "--multipart-chunk-size-mb=5", up, large]).await.unwrap();
    s3cmd(&["get", "--force", large, down]).await.unwrap();
    assert!(std::fs::read(down).unwrap() == content);
    s3cmd(&["put", "--disable-multipart", up, "s3://data/team/sp äce+"]).await.unwrap();
    // Without the option, s3cmd reads the ACL of the source first, which the key may not do.
    s3cmd(&["cp", "--acl-private", large, copy]).await.unwrap();
    let listed = s3cmd(&["ls", "s3://data/team/"]).await.unwrap();
    for name in ["copy", "large", "sp äce+"] {
        assert!(listed.contains(&format!("s3://data/team/{name}\n")), "{listed}");
    }

    let secret = "s3://data/outside/secret";
    for arguments in [
        &["ls"][..],
        &["ls", "s3://data"],
        &["ls", "s3://data/outside/"],
        &["ls", "s3://other/team/"],
        &["mb", "s3://another"],
        &["rb", "s3://data"],
        &["get", "--force", secret, down],
        &["put", "--disable-multipart", up, secret],
        &["put", "--multipart-chunk-size-mb=5", up, secret],
        &["cp", large, copy],
        &["cp", "--acl-private", secret, copy],
        &["cp", "--acl-private", large, secret],
        &["del", secret],
        &["del", "--recursive", "--force", "s3://data"],
    ] {
        assert_denied(s3cmd(arguments).await, arguments);
    }
    s3cmd(&["del", copy]).await.unwrap();
    s3cmd(&["del", "--recursive", "--force", "s3://data/team/"]).await.unwrap();
    lab.assert_unchanged().await;
}
