//! Clients that trust the private authority.

use std::{path::Path, process::Command};

use object_store::{
    Certificate, ClientOptions, ObjectStore, ObjectStoreExt, aws::AmazonS3Builder,
    path::Path as Name,
};
use serde_json::Value;

use super::lab::Lab;
use crate::{
    clients::python::has_aws,
    keys::{Key, mint},
    process::Program,
    signing::Signing,
    tools::{bare, has, python, run, with_key},
};

impl Lab {
    /// Creates a key of alice's, and the bucket `demo`.
    async fn key(&self) -> Key {
        let (client, url) = (self.client(), self.running.url.clone());
        let key = mint(&client, "dev-alice").await;
        let alice = Signing { client, url, key };
        alice.put("demo", "").await.expect(200);
        alice.key
    }

    /// Runs a command that must fail unless it trusts the authority.
    async fn run(&self, command: impl Fn() -> Command, variable: &str) -> String {
        let untrusting = run(command()).await.expect_err("it trusts every authority");
        assert!(untrusting.to_lowercase().contains("ssl"), "{untrusting}");
        let mut trusting = command();
        trusting.env(variable, self.files.authority_file());
        run(trusting).await.unwrap()
    }
}

pub async fn object_store_uses_a_key_over_tls(program: Program) {
    let lab = Lab::start(program).await;
    let key = lab.key().await;
    let root = Certificate::from_pem(lab.files.authority.pem().as_bytes()).unwrap();
    let open = |options: ClientOptions| {
        AmazonS3Builder::new()
            .with_endpoint(&lab.running.url)
            .with_client_options(options)
            .with_region("us-east-1")
            .with_bucket_name("demo")
            .with_access_key_id(&key.access)
            .with_secret_access_key(&key.secret)
            .build()
            .unwrap()
    };
    let name = Name::from("a/one");
    let store = open(ClientOptions::new().with_root_certificate(root));
    store.put(&name, "first".into()).await.unwrap();
    assert_eq!(store.get(&name).await.unwrap().bytes().await.unwrap(), "first");
    assert_eq!(store.list_with_delimiter(None).await.unwrap().common_prefixes, [Name::from("a")]);
    store.delete(&name).await.unwrap();
}

pub async fn boto3_creates_a_key_and_uses_it_over_tls(program: Program) {
    let mut boto3 = Command::new(python());
    if !has("Python with boto3", bare(&mut boto3).args(["-c", "import boto3"])) {
        return;
    }
    let lab = Lab::start(program).await;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tls/tls_cycle.py");
    let command = || {
        let mut command = Command::new(python());
        bare(&mut command).arg(&script).env("S3_ENDPOINT", &lab.running.url);
        command
    };
    lab.run(command, "AWS_CA_BUNDLE").await;
}

pub async fn aws_command_line_uses_a_key_over_tls(program: Program) {
    if !has_aws() {
        return;
    }
    let lab = Lab::start(program).await;
    let key = lab.key().await;
    let folder = tempfile::tempdir().unwrap();
    let [up, down] = ["up", "down"].map(|name| folder.path().join(name));
    std::fs::write(&up, "content").unwrap();
    let (up, down) = (up.to_str().unwrap(), down.to_str().unwrap());
    for arguments in [
        ["s3", "cp", up, "s3://demo/object"],
        ["s3", "cp", "s3://demo/object", down],
        ["s3", "ls", "--recursive", "s3://demo"],
    ] {
        let command = || {
            let mut command = Command::new("aws");
            with_key(&mut command, &key).args(["--endpoint-url", &lab.running.url]);
            command.args(arguments);
            command
        };
        let output = lab.run(command, "AWS_CA_BUNDLE").await;
        assert!(output.contains("object"), "{output}");
    }
    assert_eq!(std::fs::read_to_string(down).unwrap(), "content");
}

pub async fn openstack_command_line_lists_credentials_over_tls(program: Program) {
    let mut version = Command::new("openstack");
    if !has("OpenStack command line", bare(&mut version).arg("--version")) {
        return;
    }
    let lab = Lab::start(program).await;
    let openstack = async |arguments: &[&str]| {
        let command = || {
            let mut command = Command::new("openstack");
            // A token without a login: the server has no catalog.
            bare(&mut command)
                .env("OS_AUTH_TYPE", "admin_token")
                .env("OS_TOKEN", "dev-admin")
                .env("OS_ENDPOINT", format!("{}/v3", lab.running.url))
                .env("OS_IDENTITY_API_VERSION", "3")
                .args(arguments)
                .args(["-f", "json"]);
            command
        };
        let output = lab.run(command, "OS_CACERT").await;
        serde_json::from_str::<Value>(&output).unwrap_or_else(|error| panic!("{error}: {output}"))
    };
    let key = lab.key().await;
    // `create` would look up the user by name, for which only Keystone has a path.
    let listed = openstack(&["credential", "list"]).await;
    let ids: Vec<_> = listed.as_array().unwrap().iter().map(|row| &row["ID"]).collect();
    let [Value::String(id)] = ids[..] else { panic!("{listed}") };
    let shown = openstack(&["credential", "show", id]).await;
    let blob: Value = serde_json::from_str(shown["blob"].as_str().unwrap()).unwrap();
    assert_eq!((&blob["access"], &blob["secret"]), (&key.access.into(), &key.secret.into()));
}
