//! Keys of removed users, memberships and projects are rejected when they are used.

use std::path::PathBuf;

use test_support::{
    keys::{Key, insert_without_project, mint},
    process::{Running, Server},
    secret_file,
    signing::Signing,
};

use crate::ACCESSER;

const PROJECTS: &str = "[[projects]]\nid = \"p1\"\nname = \"one\"\n\
                        [[projects]]\nid = \"p2\"\nname = \"two\"\n";

const DANA: &str = "[[users]]\nid = \"dana\"\nname = \"dana\"\nprojects = [\"p1\", \"p2\"]\n";

const TOKEN: &str = "[[tokens]]\ntoken = \"token-of-dana\"\nuser_id = \"dana\"\n\
                     project_id = \"p1\"\nroles = [\"key_management_user\"]\n";

/// Starts a server with these identities, and a key of dana's for the project `p1`.
async fn with_identities() -> (Running, PathBuf, Signing) {
    let server = Server::new(ACCESSER);
    let file = server.home().join("identities.toml");
    secret_file::write(&file, [PROJECTS, DANA, TOKEN].concat());
    let server = server.arguments(&["--identities", file.to_str().unwrap()]).start().await;
    let client = server.client();
    let key = mint(&client, "token-of-dana").await;
    let dana = Signing { client, url: server.url.clone(), key };
    dana.put("data", "").await.expect(200);
    (server, file, dana)
}

async fn reload(server: &Running, file: &PathBuf, identities: &[&str], times: usize) {
    secret_file::write(file, identities.concat());
    server.signal("HUP");
    server.logged("reloaded identities", times).await;
}

#[tokio::test]
async fn reload_that_removes_a_user_invalidates_the_users_keys() {
    let (server, file, dana) = with_identities().await;
    dana.get("data").await.expect(200);
    reload(&server, &file, &[PROJECTS], 1).await;
    dana.get("data").await.fails(403, "InvalidAccessKeyId");
    reload(&server, &file, &[PROJECTS, DANA, TOKEN], 2).await;
    dana.get("data").await.expect(200);
}

#[tokio::test]
async fn reload_that_removes_a_membership_invalidates_the_keys_for_that_project() {
    let (server, file, dana) = with_identities().await;
    dana.get("data").await.expect(200);
    let without = DANA.replace("\"p1\", ", "");
    reload(&server, &file, &[PROJECTS, &without], 1).await;
    dana.get("data").await.fails(403, "InvalidAccessKeyId");
    reload(&server, &file, &[PROJECTS, DANA], 2).await;
    dana.get("data").await.expect(200);
}

#[tokio::test]
async fn reload_that_removes_a_project_invalidates_its_keys() {
    let (server, file, dana) = with_identities().await;
    let (one, two) = PROJECTS.split_at(PROJECTS.len() / 2);
    let without = DANA.replace("\"p1\", ", "");
    reload(&server, &file, &[two, &without], 1).await;
    dana.get("data").await.fails(403, "InvalidAccessKeyId");
    reload(&server, &file, &[one, two, DANA], 2).await;
    dana.get("data").await.expect(200);
}

#[tokio::test]
async fn key_without_a_project_is_rejected() {
    let server = Server::new(ACCESSER);
    let key = insert_without_project(&server.database()).await;
    let server = server.start().await;
    let alice = |key| Signing { client: server.client(), url: server.url.clone(), key };
    let (with, without) = (alice(mint(&server.client(), "dev-alice").await), alice(key));
    with.put("data", "").await.expect(200);
    with.put("data/x", "1").await.expect(200);
    for path in ["", "data", "data/x", "nowhere"] {
        without.get(path).await.fails(403, "AccessDenied");
    }
    without.put("mine", "").await.fails(403, "AccessDenied");
    without.put("data/y", "2").await.fails(403, "AccessDenied");
    without.delete("data/x").await.fails(403, "AccessDenied");
    let wrong = Key { secret: "wrong".into(), ..without.key.clone() };
    alice(wrong).get("data").await.fails(403, "SignatureDoesNotMatch");
    assert_eq!(with.get("data").await.expect(200).all("Key"), ["x"]);
}
