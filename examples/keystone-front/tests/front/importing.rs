//! `--import` imports Keystone's credentials.

use std::{fs, os::unix::fs::PermissionsExt};

use http::Method;
use serde_json::{Value, json};

use crate::{
    keystone::{ADMIN, ALICE, Keystone, id_of_pair, secret_of},
    process::Front,
    waiting::Waiting,
};

fn opaque(kind: &str, blob: &str) -> Value {
    json!({"type": kind, "blob": blob, "user_id": "alice", "project_id": null, "note": [1.50]})
}

#[tokio::test]
async fn credentials_are_imported_unchanged_and_only_once() {
    let keystone = Keystone::start().await;
    let pair = keystone.put_pair("alices-key", "alice");
    keystone.put("t1", &opaque("totp", "  not JSON \u{1F511}"));
    keystone.put("c1", &opaque("cert", r#"{ "access" :  "x", "secret":"y" }"#));
    let front = Front::of(&keystone.url);
    let (success, output, log) = front.import().await;
    assert!(success, "{log}");
    assert_eq!(
        output,
        "3 read, 3 new, 0 unchanged, 0 updated, 0 kept, 0 deleted here, 0 odd, 0 failed\n"
    );
    let (success, output, log) = front.import().await;
    assert!(success, "{log}");
    assert_eq!(
        output,
        "3 read, 0 new, 3 unchanged, 0 updated, 0 kept, 0 deleted here, 0 odd, 0 failed\n"
    );
    for secret in [&secret_of("alices-key"), "token-of-front", "not JSON"] {
        assert!(!log.contains(secret), "{log}");
    }

    let running = front.start().await;
    let client = running.client();
    for (id, theirs) in keystone.credentials() {
        let path = format!("/v3/credentials/{id}");
        let ours = client.get(&path, ADMIN).await.expect(200).json()["credential"].clone();
        for member in ["id", "type", "blob", "user_id", "project_id", "note"] {
            assert_eq!(ours.get(member), theirs.get(member), "{member} of {ours}");
        }
    }
    let path = "/v3/users/alice/credentials/OS-EC2/alices-key";
    let shown = client.get(path, ALICE).await.expect(200).json();
    assert_eq!(shown["credential"]["secret"], secret_of("alices-key"));
    let listed = client.get("/credentials/alices-key", ADMIN).await.expect(200).json();
    assert_eq!(listed["credential"]["blob"]["access"], "alices-key");
    assert_eq!(pair.len(), 64);
}

#[tokio::test]
async fn change_in_keystone_updates_the_record() {
    let keystone = Keystone::start().await;
    let id = keystone.put_pair("key", "alice");
    let front = Front::of(&keystone.url);
    front.import().await;
    let blob = r#"{"access": "key", "secret": "another"}"#;
    keystone
        .put(&id, &json!({"type": "ec2", "blob": blob, "user_id": "alice", "project_id": "demo"}));
    let (success, output, log) = front.import().await;
    assert!(success, "{log}");
    assert_eq!(
        output,
        "1 read, 0 new, 0 unchanged, 1 updated, 0 kept, 0 deleted here, 0 odd, 0 failed\n"
    );
    assert!(log.contains("changed in Keystone, updated"), "{log}");
    let running = front.start().await;
    let shown = running.client().get(&format!("/v3/credentials/{id}"), ADMIN).await.expect(200);
    assert_eq!(shown.json()["credential"]["blob"], blob);
}

#[tokio::test]
async fn disabled_key_stays_disabled_after_an_import() {
    let keystone = Keystone::start().await;
    keystone.put_pair("key", "alice");
    let front = Front::of(&keystone.url);
    front.import().await;
    let running = front.start().await;
    let inactive = json!({"credential": {"blob": {"status": "Inactive"}}});
    let client = running.client();
    client.call(Method::PATCH, "/credentials/key", ALICE, Some(&inactive)).await.expect(200);
    let (_, output, _) = front.import().await;
    assert_eq!(
        output,
        "1 read, 0 new, 1 unchanged, 0 updated, 0 kept, 0 deleted here, 0 odd, 0 failed\n"
    );
    let shown = client.get("/credentials/key", ALICE).await.expect(200).json();
    assert_eq!(shown["credential"]["blob"]["status"], "Inactive");
}

#[tokio::test]
async fn odd_credentials_are_imported_without_an_access_key_and_logged() {
    let keystone = Keystone::start().await;
    let ec2 =
        |blob: &str| json!({"type": "ec2", "blob": blob, "user_id": "alice", "project_id": "demo"});
    keystone.put("o1", &opaque("EC2", r#"{"access": "upper", "secret": "s"}"#));
    keystone.put("o2", &ec2("no JSON"));
    keystone.put("o3", &ec2(r#"{"secret": "s"}"#));
    keystone.put("o4", &ec2(r#"{"access": "a/b", "secret": "s"}"#));
    keystone.put(
        "o5",
        &ec2(r#"{"access": "two", "secret": "s", "trust_id": "t", "app_cred_id": "a"}"#),
    );
    let front = Front::of(&keystone.url);
    let (success, output, log) = front.import().await;
    assert!(success, "{log}");
    assert_eq!(
        output,
        "5 read, 5 new, 0 unchanged, 0 updated, 0 kept, 0 deleted here, 5 odd, 0 failed\n"
    );
    assert_eq!(log.matches(" odd credential id=").count(), 5, "{log}");
    let running = front.start().await;
    let client = running.client();
    for access in ["upper", "two"] {
        let path = format!("/v3/users/alice/credentials/OS-EC2/{access}");
        client.get(&path, ADMIN).await.expect(404);
    }
    client.get("/v3/credentials/o1", ADMIN).await.expect(200);
}

#[tokio::test]
async fn access_key_goes_to_the_credential_that_keystone_finds_by_it() {
    let keystone = Keystone::start().await;
    // Its owner changed the access key to that of another credential. Keystone does not find it by
    // the new access key.
    let blob = json!({"access": "contested", "secret": "thief"}).to_string();
    let thief = json!({"type": "ec2", "blob": blob, "user_id": "mallory", "project_id": "demo"});
    keystone.put("0000", &thief);
    keystone.put_pair("contested", "alice");
    let front = Front::of(&keystone.url);
    let (success, output, log) = front.import().await;
    assert!(!success);
    assert_eq!(
        output,
        "2 read, 1 new, 0 unchanged, 0 updated, 0 kept, 0 deleted here, 1 odd, 1 failed\n"
    );
    assert!(log.contains("another record has its access key"), "{log}");
    let running = front.start().await;
    let path = "/v3/users/alice/credentials/OS-EC2/contested";
    let shown = running.client().get(path, ALICE).await.expect(200).json();
    assert_eq!(shown["credential"]["secret"], secret_of("contested"));
}

#[tokio::test]
async fn truncated_list_is_read_by_user() {
    let keystone = Keystone::start().await;
    for number in 0..6 {
        keystone.put_pair(&format!("a{number}"), "alice");
        keystone.put_pair(&format!("b{number}"), "bob");
    }
    keystone.limit(6);
    let front = Front::of(&keystone.url);
    let (success, output, log) = front.import().await;
    assert!(success, "{log}");
    assert_eq!(numbers(&output), "12 read, 12 new, 0 unchanged, 0 updated, 0 kept, 0 deleted here");
    assert!(output.contains("users that Keystone does not list"), "{output}");

    keystone.limit(5);
    let (success, _, log) = front.import().await;
    assert!(
        !success && log.contains("Keystone truncates the list of this user's credentials"),
        "{log}"
    );
}

#[tokio::test]
async fn import_without_permission_names_the_missing_role() {
    let keystone = Keystone::start().await;
    keystone.fail(&Method::GET, "/v3/credentials", 403);
    let (success, _, log) = Front::of(&keystone.url).import().await;
    assert!(!success && log.contains("the service user needs the role admin"), "{log}");
    let (success, _, log) = Front::of("http://127.0.0.1:1").import().await;
    assert!(!success && log.contains("error: "), "{log}");
}

fn pair_with(access: &str, secret: &str) -> Value {
    let blob = json!({"access": access, "secret": secret, "trust_id": null}).to_string();
    json!({"type": "ec2", "blob": blob, "user_id": "alice", "project_id": "demo"})
}

fn numbers(output: &str) -> &str {
    output.split_once(", 0 odd").expect(output).0
}

#[tokio::test]
async fn key_deleted_from_the_store_is_not_imported_again() {
    let keystone = Keystone::start().await;
    let id = keystone.put_pair("leaked", "alice");
    let front = Front::of(&keystone.url);
    front.import().await;
    let running = front.start().await;
    let client = running.client();
    client.call(Method::DELETE, "/credentials/leaked", ALICE, None).await.expect(204);
    for () in [(), ()] {
        let (success, output, log) = front.import().await;
        assert!(success, "{log}");
        assert_eq!(
            numbers(&output),
            "1 read, 0 new, 0 unchanged, 0 updated, 0 kept, 1 deleted here"
        );
        client.get("/credentials/leaked", ADMIN).await.expect(404);
        // A change in Keystone does not restore it.
        keystone.put(&id, &pair_with("leaked", "another"));
    }
}

#[tokio::test]
async fn secret_changed_in_the_store_is_not_overwritten() {
    let keystone = Keystone::start().await;
    let id = keystone.put_pair("key", "alice");
    let front = Front::of(&keystone.url);
    front.import().await;
    let running = front.start().await;
    let client = running.client();
    let path = format!("/v3/credentials/{id}");
    let rotated = pair_with("key", "rotated");
    let body = json!({"credential": {"blob": rotated["blob"]}});
    client.call(Method::PATCH, &path, ALICE, Some(&body)).await.expect(200);
    for () in [(), ()] {
        let (success, output, log) = front.import().await;
        assert!(success, "{log}");
        assert_eq!(
            numbers(&output),
            "1 read, 0 new, 0 unchanged, 0 updated, 1 kept, 0 deleted here"
        );
        assert!(log.contains("changed in the store, not updated"), "{log}");
        let shown = client.get(&path, ADMIN).await.expect(200).json();
        assert_eq!(shown["credential"]["blob"], rotated["blob"]);
        keystone.put(&id, &pair_with("key", "changed in Keystone too"));
    }
}

#[tokio::test]
async fn repeated_changes_in_keystone_update_the_record() {
    let keystone = Keystone::start().await;
    let id = keystone.put_pair("key", "alice");
    let front = Front::of(&keystone.url);
    front.import().await;
    for secret in ["second", "third"] {
        keystone.put(&id, &pair_with("key", secret));
        let (_, output, log) = front.import().await;
        assert!(output.contains("0 unchanged, 1 updated, 0 kept"), "{output}{log}");
        let (_, output, log) = front.import().await;
        assert!(output.contains("1 unchanged, 0 updated, 0 kept"), "{output}{log}");
    }
}

#[tokio::test]
async fn key_created_in_the_store_keeps_its_owner() {
    let keystone = Keystone::start().await;
    let front = Front::of(&keystone.url);
    let running = front.start().await;
    let client = running.client();
    let mine = json!({"credential": pair_with("same", "mine")});
    client.post("/v3/credentials", ALICE, &mine).await.expect(201);
    let mut theirs = pair_with("same", "theirs");
    theirs["user_id"] = "bob".into();
    keystone.put(&id_of_pair("same"), &theirs);
    let (success, output, log) = front.import().await;
    assert!(success, "{log}");
    assert!(output.contains("0 new, 0 unchanged, 0 updated, 1 kept"), "{output}");
    let shown = client.get("/credentials/same", ALICE).await.expect(200).json();
    assert_eq!(shown["credential"]["blob"]["secret"], "mine", "{shown}");
}

#[tokio::test]
async fn import_without_a_journal_requires_again() {
    let keystone = Keystone::start().await;
    let ids = ["as-it-was", "changed", "deleted"].map(|key| keystone.put_pair(key, "alice"));
    let front = Front::of(&keystone.url);
    front.import().await;
    let journal = front.database().with_extension("db.imported");
    assert_eq!(fs::metadata(&journal).unwrap().permissions().mode() & 0o777, 0o600);
    let running = front.start().await;
    let client = running.client();
    client.call(Method::DELETE, "/credentials/deleted", ALICE, None).await.expect(204);
    let path = format!("/v3/credentials/{}", ids[1]);
    let rotated = pair_with("changed", "rotated");
    let body = json!({"credential": {"blob": rotated["blob"]}});
    client.call(Method::PATCH, &path, ALICE, Some(&body)).await.expect(200);

    fs::remove_file(&journal).unwrap();
    let (success, output, log) = front.import().await;
    assert!(!success && output.is_empty() && log.contains("--again"), "{output}{log}");
    client.get("/credentials/deleted", ADMIN).await.expect(404);

    let (success, output, log) = front.run(&["--import", "--again"]).await;
    assert!(success, "{log}");
    assert_eq!(numbers(&output), "3 read, 1 new, 1 unchanged, 0 updated, 1 kept, 0 deleted here");
    let shown = client.get(&path, ADMIN).await.expect(200).json();
    assert_eq!(shown["credential"]["blob"], rotated["blob"]);
    // The front has cached its absence; the change feed of the store updates the cache soon.
    for () in Waiting::start() {
        if client.get("/credentials/deleted", ADMIN).await.status == 200 {
            break;
        }
        tokio::time::sleep(Waiting::STEP).await;
    }
    client.get("/credentials/deleted", ADMIN).await.expect(200);

    // The new journal knows the record.
    client.call(Method::DELETE, "/credentials/changed", ALICE, None).await.expect(204);
    let (success, output, log) = front.import().await;
    assert!(success, "{log}");
    assert_eq!(numbers(&output), "3 read, 0 new, 2 unchanged, 0 updated, 0 kept, 1 deleted here");
}

#[tokio::test]
async fn truncated_journal_is_repaired_and_garbled_one_is_rejected() {
    let keystone = Keystone::start().await;
    for key in ["one", "two"] {
        keystone.put_pair(key, "alice");
    }
    let front = Front::of(&keystone.url);
    front.import().await;
    let journal = front.database().with_extension("db.imported");
    let whole = fs::read_to_string(&journal).unwrap();
    fs::write(&journal, &whole[..whole.len() - 9]).unwrap();
    for () in [(), ()] {
        let (success, output, log) = front.import().await;
        assert!(success, "{log}");
        assert!(output.starts_with("2 read, 0 new, 2 unchanged"), "{output}");
    }
    let lines = |text: &str| {
        let mut lines: Vec<_> = text.lines().map(ToOwned::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(lines(&fs::read_to_string(&journal).unwrap()), lines(&whole));

    fs::write(&journal, format!("garbled\n{whole}")).unwrap();
    let (success, output, log) = front.import().await;
    assert!(!success && output.is_empty() && log.contains("line 1"), "{output}{log}");
}

#[tokio::test]
async fn new_store_ignores_an_old_journal() {
    let keystone = Keystone::start().await;
    keystone.put_pair("key", "alice");
    let front = Front::of(&keystone.url);
    front.import().await;
    for entry in fs::read_dir(front.database().parent().unwrap()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if name.starts_with("front.db") && !name.ends_with(".imported") {
            fs::remove_file(path).unwrap();
        }
    }
    let (success, output, log) = front.import().await;
    assert!(success, "{log}");
    assert_eq!(numbers(&output), "1 read, 1 new, 0 unchanged, 0 updated, 0 kept, 0 deleted here");
}

#[tokio::test]
async fn oversized_list_is_read_by_user() {
    let keystone = Keystone::start().await;
    for user in ["alice", "bob", "nobody-lists-me"] {
        let large = "x".repeat(12 << 20);
        keystone.put(
            &format!("of-{user}"),
            &json!({"type": "cert", "blob": large, "user_id": user, "project_id": null}),
        );
    }
    let front = Front::of(&keystone.url);
    let (success, output, log) = front.import().await;
    assert!(success, "{log}");
    assert_eq!(numbers(&output), "2 read, 2 new, 0 unchanged, 0 updated, 0 kept, 0 deleted here");
    assert!(output.contains("users that Keystone does not list"), "{output}");
}
