//! The identities file, the development set, and the command line.

use std::{fs, path::PathBuf};

use serde_json::json;
use test_support::{
    keys::{create, exists_unchanged},
    process::Server,
    secret_file,
};

use crate::ACCESSER;

const DANA: &str = "d4e2dd1a9d0f4e0f8a1c3b5a7f9e1d2c";

pub(crate) const PEOPLE: &str = r#"
    [[projects]]
    id = "p1"
    name = "one"

    [[users]]
    id = "d4e2dd1a9d0f4e0f8a1c3b5a7f9e1d2c"
    name = "dana"
    projects = ["p1"]
"#;

/// A token of dana's, in plain text or as a hash.
pub(crate) fn token(line: &str) -> String {
    format!(
        "[[tokens]]\n{line}\nuser_id = \"{DANA}\"\nproject_id = \"p1\"\n\
         roles = [\"key_management_user\", \"key_listing_user\"]\n"
    )
}

/// SHA-256 of `token-of-dana`.
const HASHED: &str =
    "token_sha256 = \"fe7fe9ba531a16e9930f236866099b9b773a65be5f448b03be885fbde203ec81\"";

pub(crate) fn with_identities(text: &str) -> (Server, PathBuf) {
    let accesser = Server::new(ACCESSER);
    let file = accesser.home().join("identities.toml");
    secret_file::write(&file, text);
    let accesser = accesser.arguments(&["--identities", file.to_str().unwrap()]);
    (accesser, file)
}

#[tokio::test]
async fn hashed_token_is_accepted_and_development_tokens_are_not() {
    let (accesser, _) = with_identities(&(PEOPLE.to_owned() + &token(HASHED)));
    let accesser = accesser.start().await;
    let client = accesser.client();
    let body = json!({"credential": {"type": "ec2"}});
    let made = client.post("/credentials", "token-of-dana", &body).await.expect(201).json();
    assert_eq!(made["credential"]["user_id"], DANA);
    assert_eq!(made["credential"]["project_id"], "p1");
    for wrong in [
        "dev-admin",
        "dev-alice",
        "token-of-dan",
        "fe7fe9ba531a16e9930f236866099b9b773a65be5f448b03be885fbde203ec81",
    ] {
        client.get("/credentials", wrong).await.expect(401);
    }
    assert!(!accesser.stderr().contains("development tokens"));
}

#[tokio::test]
async fn sighup_reloads_identities_and_an_invalid_file_keeps_the_old_ones() {
    let both = PEOPLE.to_owned() + &token(HASHED) + &token("token = \"second-token\"");
    let (accesser, file) = with_identities(&(PEOPLE.to_owned() + &token(HASHED)));
    let accesser = accesser.start().await;
    let client = accesser.client();
    client.get("/credentials", "second-token").await.expect(401);

    fs::write(&file, &both).unwrap();
    accesser.signal("HUP");
    accesser.logged("reloaded identities", 1).await;
    client.get("/credentials", "second-token").await.expect(200);
    client.get("/credentials", "token-of-dana").await.expect(200);

    let broken = [
        // Not a string, unknown member, wrong type, not a hash, both, not TOML.
        token("token = \"leaky-token"),
        token("token = \"leaky-token\"\nrole = 1"),
        token("token = [\"leaky-token\"]"),
        token("token = 66666666"),
        token("token_sha256 = \"leaky-token\""),
        token("token = \"leaky-token\"\ntoken_sha256 = \"leaky-token\""),
        token("token = \"leaky-token\"").replace("[\"key_management_user\"", "\"leaky-token\", ["),
        token("token = \"leaky-token\"").replace("user_id = ", "user_id = leaky-token"),
        // A user with the id of a project.
        "[[users]]\nid = \"p1\"\nname = \"leaky-name\"\n".to_owned(),
        token("token = \"leaky-token\"")
            .replace("user_id = ", "token = \"leaky-token\"\nuser_id = "),
    ];
    for (n, broken) in broken.iter().enumerate() {
        fs::write(&file, PEOPLE.to_owned() + broken).unwrap();
        accesser.signal("HUP");
        accesser.logged("cannot reload identities, keeping the old ones", n + 1).await;
        client.get("/credentials", "second-token").await.expect(200);
    }
    fs::remove_file(&file).unwrap();
    accesser.signal("HUP");
    accesser.logged("cannot reload identities, keeping the old ones", broken.len() + 1).await;
    client.get("/credentials", "second-token").await.expect(200);
    for secret in [
        "leaky",
        "66666666",
        "second-token",
        "token-of-dana",
        "fe7fe9ba531a16e9930f236866099b9b773a65be5f448b03be885fbde203ec81",
    ] {
        assert!(!accesser.stderr().contains(secret), "{secret}:\n{}", accesser.stderr());
    }

    secret_file::write(&file, PEOPLE.to_owned() + &token(HASHED));
    accesser.signal("HUP");
    accesser.logged("reloaded identities", 2).await;
    client.get("/credentials", "second-token").await.expect(401);
    client.get("/credentials", "token-of-dana").await.expect(200);
}

#[tokio::test]
async fn development_identities_require_a_loopback_address() {
    for listen in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        let (status, output) = Server::new(ACCESSER).refuse(listen).await;
        assert!(!status.success(), "{listen}");
        assert!(output.contains(listen) && output.contains("--identities"), "{output}");
    }
    let accesser = Server::new(ACCESSER).start().await;
    assert!(accesser.stderr().contains("development tokens"));
}

#[tokio::test]
async fn unreadable_identities_prevent_the_start() {
    let (accesser, file) = with_identities("[[tokens]]\ntoken = \"leaky-token");
    let output = accesser.error().await;
    assert!(output.contains("identities.toml, line 2") && !output.contains("leaky"), "{output}");
    // An error at the start of a line.
    fs::write(&file, "[[users]]\nid = \"u\"\nnick = \"n\"\n").unwrap();
    let output = accesser.error().await;
    assert!(output.contains("identities.toml, line 3: unknown field"), "{output}");
    fs::remove_file(file).unwrap();
    let output = accesser.error().await;
    assert!(output.contains("identities.toml"), "{output}");
}

#[tokio::test]
async fn errors_in_identities_name_the_place_and_no_token() {
    let dana = token(HASHED);
    let leaky = token("token = \"leaky-token\"");
    let faults = [
        ("[[projects]]\nid = \"\"\nname = \"two\"".into(), "[[projects]] number 2: id: invalid id"),
        ("[[users]]\nid = \"a/b\"\nname = \"x\"".into(), "[[users]] number 2: id: invalid id"),
        ("[[projects]]\nid = \"p1\"\nname = \"x\"".into(), "[[projects]] number 2: duplicate id"),
        (format!("[[users]]\nid = \"{DANA}\"\nname = \"x\""), "[[users]] number 2: duplicate id"),
        (
            "[[users]]\nid = \"u\"\nname = \"x\"\nprojects = [\"p1\", \"p2\"]".into(),
            "[[users]] number 2: unknown project in projects",
        ),
        (
            "[[assignments]]\nuser_id = \"u\"\nproject_id = \"p1\"\nroles = []".into(),
            "[[assignments]] number 1: unknown user_id",
        ),
        (
            format!("[[assignments]]\nuser_id = \"{DANA}\"\nproject_id = \"p\"\nroles = []"),
            "[[assignments]] number 1: unknown project_id",
        ),
        (leaky.replace(DANA, "leaky-id"), "[[tokens]] number 1: unknown user_id"),
        (
            dana.clone() + &leaky.replace("\"p1\"", "\"leaky-id\""),
            "[[tokens]] number 2: unknown project_id",
        ),
        (leaky.clone() + &dana + &leaky, "[[tokens]] number 3: duplicate token"),
        (
            dana.clone() + &token("token = \"token-of-dana\""),
            "[[tokens]] number 2: duplicate token",
        ),
        (
            dana.clone() + &dana.replace("fe7fe9ba", "FE7FE9BA"),
            "[[tokens]] number 2: duplicate token",
        ),
        (
            token("token_sha256 = \"leaky-token\""),
            "[[tokens]] number 1: token_sha256: the SHA-256 of a token must be",
        ),
        (token("token = \"\""), "[[tokens]] number 1: exactly one of token and token_sha256"),
        (
            token(&format!("token = \"leaky-token\"\n{HASHED}")),
            "[[tokens]] number 1: exactly one of",
        ),
    ];
    let (accesser, file) = with_identities(&(PEOPLE.to_owned() + &dana));
    let running = accesser.start().await;
    for (n, (fault, message)) in faults.iter().enumerate() {
        fs::write(&file, PEOPLE.to_owned() + fault).unwrap();
        running.signal("HUP");
        running.logged("cannot reload identities, keeping the old ones", n + 1).await;
        let log = running.stderr();
        let message = format!("{}, {message}", file.display());
        assert!(log.lines().any(|line| line.contains(&message)), "{message}:\n{log}");
        for secret in ["leaky", "token-of-dana", "fe7fe9ba", "FE7FE9BA"] {
            assert!(!log.contains(secret), "{secret}:\n{log}");
        }
    }
    let (accesser, file) = with_identities("[[users]]\nid = \"\"\nname = \"nobody\"");
    let message = format!("error: {}, [[users]] number 1: id: invalid id", file.display());
    let output = accesser.error().await;
    assert!(output.starts_with(&message), "{output}");
}

#[tokio::test]
async fn backend_is_selected_by_url_and_unknown_ones_are_rejected() {
    for url in ["redis://user:hunter2@host", "memory", "sqlite:", "", "memory:x"] {
        let accesser = Server::new(ACCESSER).arguments(&["--backend", url]);
        let (status, output) = accesser.refuse("127.0.0.1:0").await;
        assert!(!status.success(), "{url}");
        assert!(output.contains("is not a store URL: expected memory:, sqlite:PATH, "), "{output}");
        assert!(!output.contains("hunter2"), "{output}");
    }

    let memory = Server::new(ACCESSER).arguments(&["--backend", "memory:"]);
    let mut running = memory.start().await;
    create(&running.client(), "key").await.expect(201);
    assert!(exists_unchanged(&running.client(), "key").await);
    running.stop().await;
    assert!(!memory.database().exists());
    let running = memory.start().await;
    assert!(!exists_unchanged(&running.client(), "key").await);

    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("elsewhere.db");
    let url = format!("sqlite:{}", file.display());
    let elsewhere = Server::new(ACCESSER).arguments(&["--backend", &url]);
    let mut running = elsewhere.start().await;
    create(&running.client(), "key").await.expect(201);
    running.stop().await;
    assert!(file.exists() && !elsewhere.database().exists());
    let running = elsewhere.start().await;
    assert!(exists_unchanged(&running.client(), "key").await);
}
