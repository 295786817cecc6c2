//! `--import`: what Keystone has, taken over.

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
async fn everything_is_taken_over_to_the_letter_and_only_once() {
    let keystone = Keystone::start().await;
    let pair = keystone.put_pair("alices-key", "alice");
    keystone.put("t1", &opaque("totp", "  not JSON \u{1F511}"));
    keystone.put("c1", &opaque("cert", r#"{ "access" :  "x", "secret":"y" }"#));
    let front = Front::before(&keystone.url);
    let (fine, said, log) = front.import().await;
    assert!(fine, "{log}");
    assert_eq!(
        said,
        "3 read, 3 new, 0 unchanged, 0 updated, 0 kept, 0 deleted here, 0 odd, 0 failed\n"
    );
    let (fine, said, log) = front.import().await;
    assert!(fine, "{log}");
    assert_eq!(
        said,
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
async fn what_changed_in_keystone_is_brought_up_to_date() {
    let keystone = Keystone::start().await;
    let id = keystone.put_pair("key", "alice");
    let front = Front::before(&keystone.url);
    front.import().await;
    let blob = r#"{"access": "key", "secret": "another"}"#;
    keystone
        .put(&id, &json!({"type": "ec2", "blob": blob, "user_id": "alice", "project_id": "demo"}));
    let (fine, said, log) = front.import().await;
    assert!(fine, "{log}");
    assert_eq!(
        said,
        "1 read, 0 new, 0 unchanged, 1 updated, 0 kept, 0 deleted here, 0 odd, 0 failed\n"
    );
    assert!(log.contains("changed in Keystone, updated"), "{log}");
    let running = front.start().await;
    let shown = running.client().get(&format!("/v3/credentials/{id}"), ADMIN).await.expect(200);
    assert_eq!(shown.json()["credential"]["blob"], blob);
}

#[tokio::test]
async fn a_key_that_is_disabled_here_stays_so() {
    let keystone = Keystone::start().await;
    keystone.put_pair("key", "alice");
    let front = Front::before(&keystone.url);
    front.import().await;
    let running = front.start().await;
    let inactive = json!({"credential": {"blob": {"status": "Inactive"}}});
    let client = running.client();
    client.call(Method::PATCH, "/credentials/key", ALICE, Some(&inactive)).await.expect(200);
    let (_, said, _) = front.import().await;
    assert_eq!(
        said,
        "1 read, 0 new, 1 unchanged, 0 updated, 0 kept, 0 deleted here, 0 odd, 0 failed\n"
    );
    let shown = client.get("/credentials/key", ALICE).await.expect(200).json();
    assert_eq!(shown["credential"]["blob"]["status"], "Inactive");
}

#[tokio::test]
async fn what_is_odd_is_kept_without_an_access_key_and_told() {
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
    let front = Front::before(&keystone.url);
    let (fine, said, log) = front.import().await;
    assert!(fine, "{log}");
    assert_eq!(
        said,
        "5 read, 5 new, 0 unchanged, 0 updated, 0 kept, 0 deleted here, 5 odd, 0 failed\n"
    );
    assert_eq!(log.matches(" odd id=").count(), 5, "{log}");
    let running = front.start().await;
    let client = running.client();
    for access in ["upper", "two"] {
        let path = format!("/v3/users/alice/credentials/OS-EC2/{access}");
        client.get(&path, ADMIN).await.expect(404);
    }
    client.get("/v3/credentials/o1", ADMIN).await.expect(200);
}

#[tokio::test]
async fn an_access_key_goes_to_whom_keystone_finds_by_it() {
    let keystone = Keystone::start().await;
    // Its owner changed the access key to another's: Keystone does not find it by that.
    let blob = json!({"access": "contested", "secret": "thief"}).to_string();
    let thief = json!({"type": "ec2", "blob": blob, "user_id": "mallory", "project_id": "demo"});
    keystone.put("0000", &thief);
    keystone.put_pair("contested", "alice");
    let front = Front::before(&keystone.url);
    let (fine, said, log) = front.import().await;
    assert!(!fine);
    assert_eq!(
        said,
        "2 read, 1 new, 0 unchanged, 0 updated, 0 kept, 0 deleted here, 1 odd, 1 failed\n"
    );
    assert!(log.contains("its access key belongs to another record"), "{log}");
    let running = front.start().await;
    let path = "/v3/users/alice/credentials/OS-EC2/contested";
    let shown = running.client().get(path, ALICE).await.expect(200).json();
    assert_eq!(shown["credential"]["secret"], secret_of("contested"));
}

#[tokio::test]
async fn a_list_that_is_cut_short_is_read_user_by_user() {
    let keystone = Keystone::start().await;
    for number in 0..6 {
        keystone.put_pair(&format!("a{number}"), "alice");
        keystone.put_pair(&format!("b{number}"), "bob");
    }
    keystone.limit(6);
    let front = Front::before(&keystone.url);
    let (fine, said, log) = front.import().await;
    assert!(fine, "{log}");
    assert_eq!(numbers(&said), "12 read, 12 new, 0 unchanged, 0 updated, 0 kept, 0 deleted here");
    assert!(said.contains("users that Keystone no longer lists"), "{said}");

    keystone.limit(5);
    let (fine, _, log) = front.import().await;
    assert!(!fine && log.contains("Keystone lists only some credentials of this user"), "{log}");
}

#[tokio::test]
async fn an_import_that_may_not_read_says_what_it_lacks() {
    let keystone = Keystone::start().await;
    keystone.fail(&Method::GET, "/v3/credentials", 403);
    let (fine, _, log) = Front::before(&keystone.url).import().await;
    assert!(!fine && log.contains("the service user needs the role admin"), "{log}");
    let (fine, _, log) = Front::before("http://127.0.0.1:1").import().await;
    assert!(!fine && log.contains("error: "), "{log}");
}

fn pair_with(access: &str, secret: &str) -> Value {
    let blob = json!({"access": access, "secret": secret, "trust_id": null}).to_string();
    json!({"type": "ec2", "blob": blob, "user_id": "alice", "project_id": "demo"})
}

fn numbers(said: &str) -> &str {
    said.split_once(", 0 odd").expect(said).0
}

#[tokio::test]
async fn a_key_that_was_deleted_here_stays_deleted() {
    let keystone = Keystone::start().await;
    let id = keystone.put_pair("leaked", "alice");
    let front = Front::before(&keystone.url);
    front.import().await;
    let running = front.start().await;
    let client = running.client();
    client.call(Method::DELETE, "/credentials/leaked", ALICE, None).await.expect(204);
    for () in [(), ()] {
        let (fine, said, log) = front.import().await;
        assert!(fine, "{log}");
        assert_eq!(numbers(&said), "1 read, 0 new, 0 unchanged, 0 updated, 0 kept, 1 deleted here");
        client.get("/credentials/leaked", ADMIN).await.expect(404);
        // Nor when it changes in Keystone.
        keystone.put(&id, &pair_with("leaked", "another"));
    }
}

#[tokio::test]
async fn a_secret_that_was_changed_here_stays_as_it_is() {
    let keystone = Keystone::start().await;
    let id = keystone.put_pair("key", "alice");
    let front = Front::before(&keystone.url);
    front.import().await;
    let running = front.start().await;
    let client = running.client();
    let path = format!("/v3/credentials/{id}");
    let rotated = pair_with("key", "rotated");
    let body = json!({"credential": {"blob": rotated["blob"]}});
    client.call(Method::PATCH, &path, ALICE, Some(&body)).await.expect(200);
    for () in [(), ()] {
        let (fine, said, log) = front.import().await;
        assert!(fine, "{log}");
        assert_eq!(numbers(&said), "1 read, 0 new, 0 unchanged, 0 updated, 1 kept, 0 deleted here");
        assert!(log.contains("changed here, kept as it is"), "{log}");
        let shown = client.get(&path, ADMIN).await.expect(200).json();
        assert_eq!(shown["credential"]["blob"], rotated["blob"]);
        keystone.put(&id, &pair_with("key", "changed in Keystone too"));
    }
}

#[tokio::test]
async fn what_keystone_changes_again_and_again_is_brought_up_to_date() {
    let keystone = Keystone::start().await;
    let id = keystone.put_pair("key", "alice");
    let front = Front::before(&keystone.url);
    front.import().await;
    for secret in ["second", "third"] {
        keystone.put(&id, &pair_with("key", secret));
        let (_, said, log) = front.import().await;
        assert!(said.contains("0 unchanged, 1 updated, 0 kept"), "{said}{log}");
        let (_, said, log) = front.import().await;
        assert!(said.contains("1 unchanged, 0 updated, 0 kept"), "{said}{log}");
    }
}

#[tokio::test]
async fn a_key_that_was_made_here_does_not_become_another_ones() {
    let keystone = Keystone::start().await;
    let front = Front::before(&keystone.url);
    let running = front.start().await;
    let client = running.client();
    let mine = json!({"credential": pair_with("same", "mine")});
    client.post("/v3/credentials", ALICE, &mine).await.expect(201);
    let mut theirs = pair_with("same", "theirs");
    theirs["user_id"] = "bob".into();
    keystone.put(&id_of_pair("same"), &theirs);
    let (fine, said, log) = front.import().await;
    assert!(fine, "{log}");
    assert!(said.contains("0 new, 0 unchanged, 0 updated, 1 kept"), "{said}");
    let shown = client.get("/credentials/same", ALICE).await.expect(200).json();
    assert_eq!(shown["credential"]["blob"]["secret"], "mine", "{shown}");
}

#[tokio::test]
async fn without_the_journal_nothing_is_imported_until_one_insists() {
    let keystone = Keystone::start().await;
    let ids = ["as-it-was", "changed", "deleted"].map(|key| keystone.put_pair(key, "alice"));
    let front = Front::before(&keystone.url);
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
    let (fine, said, log) = front.import().await;
    assert!(!fine && said.is_empty() && log.contains("--again"), "{said}{log}");
    client.get("/credentials/deleted", ADMIN).await.expect(404);

    let (fine, said, log) = front.run(&["--import", "--again"]).await;
    assert!(fine, "{log}");
    assert_eq!(numbers(&said), "3 read, 1 new, 1 unchanged, 0 updated, 1 kept, 0 deleted here");
    let shown = client.get(&path, ADMIN).await.expect(200).json();
    assert_eq!(shown["credential"]["blob"], rotated["blob"]);
    // The front was just asked for this one: what another process writes is felt soon.
    for () in Waiting::start() {
        if client.get("/credentials/deleted", ADMIN).await.status == 200 {
            break;
        }
        tokio::time::sleep(Waiting::STEP).await;
    }
    client.get("/credentials/deleted", ADMIN).await.expect(200);

    // From here on it is known again.
    client.call(Method::DELETE, "/credentials/changed", ALICE, None).await.expect(204);
    let (fine, said, log) = front.import().await;
    assert!(fine, "{log}");
    assert_eq!(numbers(&said), "3 read, 0 new, 2 unchanged, 0 updated, 0 kept, 1 deleted here");
}

#[tokio::test]
async fn a_journal_that_breaks_off_in_a_line_goes_on_and_a_garbled_one_is_refused() {
    let keystone = Keystone::start().await;
    for key in ["one", "two"] {
        keystone.put_pair(key, "alice");
    }
    let front = Front::before(&keystone.url);
    front.import().await;
    let journal = front.database().with_extension("db.imported");
    let whole = fs::read_to_string(&journal).unwrap();
    fs::write(&journal, &whole[..whole.len() - 9]).unwrap();
    for () in [(), ()] {
        let (fine, said, log) = front.import().await;
        assert!(fine, "{log}");
        assert!(said.starts_with("2 read, 0 new, 2 unchanged"), "{said}");
    }
    let lines = |text: &str| {
        let mut lines: Vec<_> = text.lines().map(ToOwned::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(lines(&fs::read_to_string(&journal).unwrap()), lines(&whole));

    fs::write(&journal, format!("garbled\n{whole}")).unwrap();
    let (fine, said, log) = front.import().await;
    assert!(!fine && said.is_empty() && log.contains("line 1"), "{said}{log}");
}

#[tokio::test]
async fn a_store_that_is_begun_anew_has_imported_nothing() {
    let keystone = Keystone::start().await;
    keystone.put_pair("key", "alice");
    let front = Front::before(&keystone.url);
    front.import().await;
    for entry in fs::read_dir(front.database().parent().unwrap()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if name.starts_with("front.db") && !name.ends_with(".imported") {
            fs::remove_file(path).unwrap();
        }
    }
    let (fine, said, log) = front.import().await;
    assert!(fine, "{log}");
    assert_eq!(numbers(&said), "1 read, 1 new, 0 unchanged, 0 updated, 0 kept, 0 deleted here");
}

#[tokio::test]
async fn a_list_that_is_too_large_is_read_user_by_user() {
    let keystone = Keystone::start().await;
    for user in ["alice", "bob", "nobody-lists-me"] {
        let large = "x".repeat(12 << 20);
        keystone.put(
            &format!("of-{user}"),
            &json!({"type": "cert", "blob": large, "user_id": user, "project_id": null}),
        );
    }
    let front = Front::before(&keystone.url);
    let (fine, said, log) = front.import().await;
    assert!(fine, "{log}");
    assert_eq!(numbers(&said), "2 read, 2 new, 0 unchanged, 0 updated, 0 kept, 0 deleted here");
    assert!(said.contains("users that Keystone no longer lists"), "{said}");
}
