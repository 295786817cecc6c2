//! STS, IAM and session credentials with the AWS command line.

use std::{fs, process::Command};

use serde_json::Value;

use crate::{
    clients::{
        python::has_aws,
        sessions::{Lab, POLICY},
    },
    keys::{ALICE, Key},
    process::Program,
    tools::{bare, run, with_key},
};

const ROLE: &str = "arn:aws:iam::000000000000:role/etl";

/// The command line with a key, or with the credentials of a session.
struct Cli<'a> {
    url: &'a str,
    key: Key,
    token: Option<String>,
}

impl Cli<'_> {
    async fn run(&self, arguments: &[&str]) -> Result<String, String> {
        let mut command = Command::new("aws");
        with_key(&mut command, &self.key).args(["--endpoint-url", self.url, "--output", "json"]);
        command.envs(self.token.iter().map(|token| ("AWS_SESSION_TOKEN", token)));
        // Nothing is repeated: a refusal is a result.
        command.env("AWS_MAX_ATTEMPTS", "1").args(arguments);
        run(command).await
    }

    async fn json(&self, arguments: &[&str]) -> Value {
        let output = self.run(arguments).await.unwrap_or_else(|output| panic!("{output}"));
        serde_json::from_str(&output).unwrap_or_else(|error| panic!("{error}: {output}"))
    }

    /// Runs a command that returns the credentials of a session.
    async fn session(&self, arguments: &[&str]) -> Self {
        let issued = self.json(arguments).await["Credentials"].take();
        let text = |name: &str| issued[name].as_str().unwrap().to_owned();
        let key = Key { access: text("AccessKeyId"), secret: text("SecretAccessKey") };
        assert!(key.access.starts_with("ASIA"), "{}", key.access);
        Cli { url: self.url, key, token: Some(text("SessionToken")) }
    }

    async fn is_refused(&self, arguments: &[&str], code: &str) {
        let output = self.run(arguments).await.expect_err(code);
        assert!(output.contains(&format!("({code})")), "{arguments:?}: {output}");
    }
}

/// Arguments with these words and others.
macro_rules! words {
    ($words:literal $(, $more:expr)*) => {
        &[$words.split(' ').collect::<Vec<_>>(), vec![$($more),*]].concat()[..]
    };
}

pub async fn aws_command_line_asks_for_sessions_and_uses_them(program: Program) {
    if !has_aws() {
        return;
    }
    let lab = Lab::start(program).await;
    let key = Cli { url: &lab.holder.url, key: lab.holder.key.clone(), token: None };
    let identity = words!("sts get-caller-identity");
    let own = key.json(identity).await;
    assert_eq!(own["Arn"], format!("arn:aws:iam::000000000000:user/{ALICE}"));
    assert_eq!(own["Account"], "000000000000");

    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    let list = words!("s3 ls s3://data/team/");
    let secret = words!("s3api head-object --bucket data --key outside/secret");
    let policy = ["--policy", POLICY];
    let assume = words!("sts assume-role --role-session-name nightly --role-arn", ROLE);
    let federate = words!("sts get-federation-token --name Bob");
    for (arguments, arn) in [
        (assume, format!("assumed-role/{ALICE}/nightly")),
        (federate, "federated-user/Bob".to_owned()),
    ] {
        let session = key.session(&[arguments, &policy].concat()).await;
        let as_session = session.json(identity).await;
        assert_eq!(as_session["Arn"], format!("arn:aws:sts::000000000000:{arn}"));
        fs::write(path, "content").unwrap();
        session.run(words!("s3 cp --no-progress", path, "s3://data/team/x")).await.unwrap();
        assert!(session.run(list).await.unwrap().ends_with(" x\n"));
        session.run(words!("s3 cp --no-progress s3://data/team/x", path)).await.unwrap();
        session.run(words!("s3 rm s3://data/team/x")).await.unwrap();
        // The response to a HEAD has no body, so it has no code.
        session.is_refused(secret, "403").await;
        session.is_refused(words!("s3 ls s3://data/outside/"), "AccessDenied").await;
        session.is_refused(words!("s3 ls"), "AccessDenied").await;
        session.is_refused(assume, "AccessDenied").await;
    }
    let user = key.session(words!("sts get-session-token --duration-seconds 900")).await;
    assert_eq!(user.json(identity).await["Arn"], own["Arn"]);
    user.run(secret).await.unwrap();

    let bad = [assume, &["--policy", "{}"]].concat();
    key.is_refused(&bad, "MalformedPolicyDocument").await;
    let long = [assume, &["--duration-seconds", "43201"]].concat();
    key.is_refused(&long, "ValidationError").await;
    lab.assert_unchanged().await;
}

pub async fn aws_command_line_manages_keys_over_iam(program: Program) {
    if !has_aws() {
        return;
    }
    let lab = Lab::start(program).await;
    let cli = Cli { url: &lab.holder.url, key: lab.holder.key.clone(), token: None };
    assert_eq!(cli.json(words!("iam get-user")).await["User"]["UserName"], ALICE);
    let made = cli.json(words!("iam create-access-key")).await["AccessKey"].take();
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    let new = Key { access: text("AccessKeyId"), secret: text("SecretAccessKey") };
    let newer = Cli { url: cli.url, key: new.clone(), token: None };
    let id = &*new.access;

    let all = cli.json(words!("iam list-access-keys --page-size 1")).await;
    let all = all["AccessKeyMetadata"].as_array().unwrap();
    for access in [&lab.holder.key.access, &new.access] {
        let found = all.iter().filter(|entry| entry["AccessKeyId"] == **access).count();
        assert_eq!(found, 1, "{access}: {all:?}");
    }
    let first = cli.json(words!("iam list-access-keys --max-items 1")).await;
    assert_eq!(first["AccessKeyMetadata"].as_array().unwrap().len(), 1);
    let token = first["NextToken"].as_str().unwrap();
    let rest = cli.json(words!("iam list-access-keys --starting-token", token)).await;
    assert_eq!(rest["AccessKeyMetadata"].as_array().unwrap().len(), all.len() - 1);

    let list = words!("s3 ls s3://data");
    newer.run(list).await.unwrap();
    let update = words!("iam update-access-key --access-key-id", id);
    cli.run(&[update, &["--status", "Inactive"]].concat()).await.unwrap();
    newer.is_refused(list, "InvalidAccessKeyId").await;
    newer.is_refused(words!("sts get-caller-identity"), "InvalidClientTokenId").await;
    cli.run(&[update, &["--status", "Active", "--user-name", ALICE]].concat()).await.unwrap();
    newer.run(list).await.unwrap();
    let delete = words!("iam delete-access-key --access-key-id", id);
    cli.run(delete).await.unwrap();
    cli.is_refused(delete, "NoSuchEntity").await;
    newer.is_refused(list, "InvalidAccessKeyId").await;
    cli.is_refused(words!("iam list-access-keys --user-name somebody"), "AccessDenied").await;
    cli.is_refused(words!("iam list-users"), "InvalidAction").await;
}

pub async fn aws_command_line_assumes_the_role_of_a_profile(program: Program) {
    if !has_aws() {
        return;
    }
    let lab = Lab::start(program).await;
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config");
    let Key { access, secret } = &lab.holder.key;
    let profiles = format!(
        "[profile key]\naws_access_key_id = {access}\naws_secret_access_key = {secret}\n\
         [profile etl]\nrole_arn = {ROLE}\nsource_profile = key\nrole_session_name = nightly\n"
    );
    fs::write(&config, profiles).unwrap();
    let aws = |arguments: &[&str]| {
        let mut command = Command::new("aws");
        bare(&mut command)
            .env("AWS_CONFIG_FILE", &config)
            .env("AWS_PROFILE", "etl")
            .env("AWS_ENDPOINT_URL_STS", &lab.holder.url)
            .env("AWS_ENDPOINT_URL_S3", &lab.holder.url)
            // The tool caches credentials there.
            .env("HOME", folder.path())
            .args(arguments);
        run(command)
    };
    let arn = words!("sts get-caller-identity --query Arn --output text");
    let expected = format!("arn:aws:sts::000000000000:assumed-role/{ALICE}/nightly\n");
    assert_eq!(aws(arn).await.unwrap(), expected);

    // Large enough for a multipart upload.
    let content: Vec<u8> = (0..=250).cycle().take(9 << 20).collect();
    let (up, down) = (folder.path().join("up"), folder.path().join("down"));
    fs::write(&up, &content).unwrap();
    let (up, down) = (up.to_str().unwrap(), down.to_str().unwrap());
    aws(words!("s3 cp --no-progress", up, "s3://data/team/object")).await.unwrap();
    aws(words!("s3 cp --no-progress s3://data/team/object", down)).await.unwrap();
    assert!(fs::read(down).unwrap() == content);
    assert!(aws(words!("s3 ls")).await.unwrap().contains(" data\n"));
    assert!(aws(words!("s3 ls s3://data/team/")).await.unwrap().ends_with(" object\n"));
    aws(words!("s3 rm s3://data/team/object")).await.unwrap();
    lab.assert_unchanged().await;
}
