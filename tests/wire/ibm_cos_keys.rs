//! IBM's keys: list, show, update and delete.

use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::world::{ALICE, Answer, BOB, CAROL, DAVE, DEMO, FRANK, OTHER, World, percent_encoded};

const JSON: &str = "application/json; charset=utf-8";

async fn list(world: &World, token: &str, query: &str) -> Answer {
    world.get(&format!("/credentials{query}")).token(token).send().await
}

async fn patch(world: &World, token: &str, id: &str, body: &Value) -> Answer {
    world.patch(&format!("/credentials/{id}")).token(token).json(body).send().await
}

fn status(word: &str) -> Value {
    json!({"credential": {"blob": {"status": word}}})
}

/// The key in a response to a caller who may see its secret. [`World::mint`] created the key.
fn shape(user: &str, project: &str, access: &str, status: &str) -> Value {
    json!({
        "user_id": user, "project_id": project, "type": "ec2", "id": access,
        "blob": {"access": access, "secret": format!("secret-of-{access}"), "status": status},
        "created_at": "2016-03-18T00:56:04Z",
    })
}

#[tokio::test]
async fn i2_list_shows_the_callers_own_keys_in_bytewise_order() {
    let world = World::new();
    for access in ["b", "a", "C", "_"] {
        world.mint(ALICE, DEMO, access).await;
    }
    world.mint(BOB, DEMO, "bobs").await;
    world.mint(DEMO, DEMO, "root").await;

    let answer = list(&world, "dev-alice", "").await;
    assert_eq!(answer.ids(), ["C", "_", "a", "b"]);
    let shapes = ["C", "_", "a", "b"].map(|access| shape(ALICE, DEMO, access, "Active"));
    assert_eq!(answer.json(), json!({"credentials": shapes}));
    assert_eq!(list(&world, "dev-alice", "/").await.ids(), ["C", "_", "a", "b"]);
    assert_eq!(list(&world, "dev-alice", "?other=thing").await.ids().len(), 4);
}

#[tokio::test]
async fn i2_list_without_keys_is_empty() {
    let answer = list(&World::new(), "dev-alice", "").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.text(), "{\"credentials\":[]}\n");
}

#[tokio::test]
async fn i2_list_with_only_a_project_shows_its_root_keys() {
    let world = World::new();
    world.mint(ALICE, DEMO, "alices").await;
    world.mint(DEMO, DEMO, "root").await;
    world.mint(OTHER, OTHER, "others-root").await;
    assert_eq!(list(&world, "dev-admin", &format!("?project_id={DEMO}")).await.ids(), ["root"]);
    let others = list(&world, "dev-admin", &format!("?project_id={OTHER}")).await;
    assert_eq!(others.ids(), ["others-root"]);
}

#[tokio::test]
async fn i2_list_with_a_user_shows_the_users_keys_and_with_a_project_only_keys_in_it() {
    let world = World::new();
    world.mint(FRANK, DEMO, "f-demo").await;
    world.mint(FRANK, OTHER, "f-other").await;
    world.mint(BOB, DEMO, "b").await;
    let ids = async |query: String| list(&world, "dev-admin", &query).await.ids();
    assert_eq!(ids(format!("?user_id={FRANK}")).await, ["f-demo", "f-other"]);
    assert_eq!(ids(format!("?user_id={FRANK}&project_id={OTHER}")).await, ["f-other"]);
    assert_eq!(ids(format!("?project_id={DEMO}&user_id={FRANK}")).await, ["f-demo"]);
    assert!(ids(format!("?user_id={DAVE}")).await.is_empty());
}

#[tokio::test]
async fn i2_list_405_if_the_user_has_no_place_in_the_storage_account() {
    let world = World::new();
    let query = format!("?user_id={BOB}&project_id={OTHER}");
    let answer = list(&world, "dev-admin", &query).await;
    assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, "GET, POST"));
}

#[tokio::test]
async fn i2_list_404_for_an_unknown_user_or_storage_account() {
    let world = World::new();
    for query in
        ["?user_id=no-such-user", "?project_id=nowhere", "?user_id=no-such-user&project_id=nowhere"]
    {
        assert_eq!(list(&world, "dev-admin", query).await.status, 404, "{query}");
    }
}

#[tokio::test]
async fn i2_list_markers_are_exclusive_and_need_not_exist() {
    let world = World::new();
    for access in ["a", "b", "c", "d"] {
        world.mint(ALICE, DEMO, access).await;
    }
    let ids = async |query: &str| list(&world, "dev-alice", query).await.ids().concat();
    assert_eq!(ids("?marker=b").await, "cd");
    assert_eq!(ids("?end_marker=c").await, "ab");
    assert_eq!(ids("?marker=a&end_marker=d").await, "bc");
    assert_eq!(ids("?marker=a&end_marker=d&limit=1").await, "b");
    assert_eq!(ids("?marker=bb").await, "cd");
    assert_eq!(ids("?marker=%62&end_marker=zzz").await, "cd");
    assert_eq!(ids("?marker=d").await, "");
    assert_eq!(ids("?marker=c&end_marker=b").await, "");
    assert_eq!(ids("?marker=&end_marker=").await, "abcd");
}

#[tokio::test]
async fn i2_list_accepts_limits_from_0_and_clamps_them_to_1000() {
    let world = World::new();
    for number in 0..1_003 {
        world.mint(ALICE, DEMO, &format!("key-{number:04}")).await;
    }
    for (query, length) in [
        ("", 1_000),
        ("?limit=0", 0),
        ("?limit=1", 1),
        ("?limit=1000", 1_000),
        ("?limit=1001", 1_000),
        ("?limit=1000000000", 1_000),
        ("?limit=99999999999999999999999999", 1_000),
        ("?marker=key-0999", 3),
    ] {
        assert_eq!(list(&world, "dev-alice", query).await.ids().len(), length, "{query}");
    }
    for bad in ["-1", "abc", "", "1.5", "+1", "0x10", "1e3", "%00", "%ff"] {
        let answer = list(&world, "dev-alice", &format!("?limit={bad}")).await;
        assert_eq!(answer.status, 400, "{bad}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn i2_list_pages_contain_every_key_once(
        mine in proptest::collection::btree_set("[!-.0-9;-~]{1,6}", 0..20),
        limit in 1_usize..7,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let world = World::new();
            for access in &mine {
                world.mint(ALICE, DEMO, access).await;
                world.mint(BOB, DEMO, &format!("{access}-of-bob")).await;
            }
            let (mut seen, mut marker) = (Vec::new(), String::new());
            loop {
                let encoded = percent_encoded(&marker);
                let query = format!("?limit={limit}&marker={encoded}");
                let page = list(&world, "dev-alice", &query).await.ids();
                let short = page.len() < limit;
                seen.extend(page);
                if short { break }
                marker.clone_from(seen.last().unwrap());
            }
            // The expected set is in bytewise order too.
            assert_eq!(seen, mine.into_iter().collect::<Vec<_>>());
        });
    }
}

#[tokio::test]
async fn i3_show_returns_the_key() {
    let world = World::new();
    world.mint(ALICE, DEMO, "k.1~x").await;
    world.clock.advance(Duration::from_secs(5));
    for uri in ["/credentials/k.1~x", "/credentials/k.1~x/", "/credentials/k%2E1%7ex"] {
        let answer = world.get(uri).token("dev-alice").send().await;
        assert_eq!(answer.status, 200, "{uri}");
        assert_eq!(answer.json(), json!({"credential": shape(ALICE, DEMO, "k.1~x", "Active")}));
        assert_eq!(answer.header("accept-ranges"), "bytes");
        assert_eq!(answer.header("content-type"), JSON);
        assert_eq!(answer.header("x-timestamp"), "1458262564.22774");
    }
}

#[tokio::test]
async fn i3_show_404_for_an_unknown_or_hidden_key() {
    let world = World::new();
    world.mint(BOB, DEMO, "bobs").await;
    let unknown = world.get("/credentials/unknown").token("dev-alice").send().await;
    let hidden = world.get("/credentials/bobs").token("dev-alice").send().await;
    assert_eq!((unknown.status, hidden.status), (404.try_into().unwrap(), unknown.status));
    assert_eq!(unknown.body, hidden.body);
}

#[tokio::test]
async fn i4_update_disables_and_enables() {
    let world = World::new();
    world.mint(ALICE, DEMO, "k").await;
    world.clock.advance(Duration::from_micros(1_000_010));

    let whole = json!({"credential": shape(ALICE, DEMO, "k", "Inactive")});
    let answer = patch(&world, "dev-alice", "k", &whole).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json(), whole);
    assert_eq!(answer.header("x-timestamp"), "1458262565.22775", "the time of the change");
    assert_eq!(answer.header("accept-ranges"), "bytes");
    assert_eq!(answer.header("content-type"), JSON);
    assert!(!world.is_usable("k").await);

    let reduced = patch(&world, "dev-alice", "k/", &status("Active")).await;
    assert_eq!(reduced.json(), json!({"credential": shape(ALICE, DEMO, "k", "Active")}));
    assert!(world.is_usable("k").await);
}

#[tokio::test]
async fn i4_update_accepts_a_blob_as_text_and_a_blob_that_changes_nothing() {
    let world = World::new();
    world.mint(ALICE, DEMO, "k").await;
    let text = json!({"credential": {"blob": "{\"status\":\"Inactive\"}"}});
    let answer = patch(&world, "dev-alice", "k", &text).await;
    assert_eq!(answer.json()["credential"]["blob"]["status"], "Inactive");

    let nothing = json!({"credential": {"blob": {}}});
    let before = world.stored("k").await.unwrap();
    let answer = patch(&world, "dev-alice", "k", &nothing).await;
    assert_eq!(answer.json()["credential"]["blob"]["status"], "Inactive");
    assert_eq!(world.stored("k").await.unwrap(), before);
}

#[tokio::test]
async fn i4_update_400_for_a_change_of_anything_but_the_status() {
    let world = World::new();
    world.mint(ALICE, DEMO, "k").await;
    let bodies = [
        json!({"credential": {"blob": {"access": "other", "status": "Inactive"}}}),
        json!({"credential": {"blob": {"secret": "other", "status": "Inactive"}}}),
        json!({"credential": {"id": "other", "blob": {"status": "Inactive"}}}),
        json!({"credential": {"user_id": BOB, "blob": {"status": "Inactive"}}}),
        json!({"credential": {"project_id": OTHER, "blob": {"status": "Inactive"}}}),
        json!({"credential": {"type": "cert", "blob": {"status": "Inactive"}}}),
        json!({"credential": {"trust_id": "t", "blob": {"status": "Inactive"}}}),
        json!({"credential": {"blob": {"trust_id": "t", "status": "Inactive"}}}),
        json!({"credential": {"blob": {"status": "inactive"}}}),
        json!({"credential": {"blob": {"status": 0}}}),
        json!({"credential": {"blob": {"status": null}}}),
        json!({"credential": {"blob": r#"{"status": null}"#}}),
        json!({"credential": {"status": "Inactive"}}),
        json!({"credential": {"blob": []}}),
        json!({"blob": {"status": "Inactive"}}),
        json!({}),
    ];
    for body in bodies {
        for token in ["dev-alice", "dev-admin"] {
            assert_eq!(patch(&world, token, "k", &body).await.status, 400, "{token} {body}");
        }
    }
    assert!(world.is_usable("k").await);
}

#[tokio::test]
async fn i4_update_404_for_a_hidden_key_with_any_body() {
    let world = World::new();
    world.mint(BOB, DEMO, "bobs").await;
    let guess = json!({"credential": {"blob": {"secret": "secret-of-bobs"}}});
    let wrong = json!({"credential": {"blob": {"secret": "wrong"}, "user_id": CAROL}});
    for body in [guess, wrong, status("Inactive")] {
        assert_eq!(patch(&world, "dev-alice", "bobs", &body).await.status, 404, "{body}");
    }
    assert!(world.is_usable("bobs").await);
}

#[tokio::test]
async fn i5_delete_removes_the_key_and_returns_no_body() {
    let world = World::new();
    world.mint(ALICE, DEMO, "k").await;
    let answer = world.delete("/credentials/k").token("dev-alice").send().await;
    assert_eq!(answer.status, 204);
    assert!(answer.body.is_empty());
    assert!(!answer.headers.contains_key("content-type"));
    assert_eq!(answer.header("accept-ranges"), "bytes");
    assert_eq!(answer.header("date"), "Fri, 18 Mar 2016 00:56:04 GMT");
    assert!(answer.header("x-trans-id").ends_with("-0056eb5224"));
    assert!(answer.headers.contains_key("x-timestamp"));

    assert!(world.stored("k").await.is_none());
    for method in ["DELETE", "GET"] {
        let gone = world.call(method, "/credentials/k").token("dev-alice").send().await;
        assert_eq!(gone.status, 404, "{method}");
    }
    world.mint(CAROL, OTHER, "k").await;
}

#[tokio::test]
async fn i5_delete_with_a_trailing_slash_is_the_same() {
    let world = World::new();
    world.mint(ALICE, DEMO, "k").await;
    assert_eq!(world.delete("/credentials/k/").token("dev-alice").send().await.status, 204);
}
