//! Names, descriptions, expiries and boundaries of credentials, in all dialects of JSON.

use std::time::Duration;

use serde_json::{Value, json};
use tower_credentials::{
    clock::Clock as _,
    domain::{CredentialId, Status},
};

use crate::{
    os_ec2::under,
    world::{
        ALICE, BOB, DEMO, World,
        v3::{CREDENTIALS, blob_of, create, credential_path, ec2, ec2_path, id_of, opaque, world},
    },
};

/// Ten days after the start of the clock.
pub(crate) const END: &str = "2016-03-28T00:56:04Z";
const CREATED: &str = "2016-03-18T00:56:04Z";
pub(crate) const DAY: Duration = Duration::from_hours(24);

fn short_form() -> Value {
    json!({"permission": "read-write", "buckets": ["data"], "prefixes": ["team/"]})
}

fn all_terms() -> Value {
    json!({
        "name": "backup", "description": "for the partner", "expires_at": END,
        "boundary": short_form(),
    })
}

fn merged(mut one: Value, other: &Value) -> Value {
    let members = other.as_object().unwrap().clone();
    one.as_object_mut().unwrap().extend(members);
    one
}

/// The members that a record with all terms shows.
fn shown() -> Value {
    merged(all_terms(), &json!({"expired": false, "created_at": CREATED}))
}

fn ibm_body(access: &str, terms: &Value) -> Value {
    let blob = json!({"access": access, "secret": "secret"});
    json!({"credential": merged(json!({"type": "ec2", "blob": blob}), terms)})
}

fn v3_body(access: &str, terms: &Value) -> Value {
    let mut body = ec2(BOB, DEMO, access);
    body["credential"] = merged(body["credential"].take(), terms);
    body
}

fn assert_has(object: &Value, members: &Value) {
    for (name, value) in members.as_object().unwrap() {
        assert_eq!(&object[name], value, "{name} of {object}");
    }
}

#[tokio::test]
async fn i1_i2_i3_key_with_all_terms_shows_them() {
    let world = World::new();
    let call = world.post("/credentials").token("dev-bob").json(&ibm_body("k", &all_terms()));
    let made = call.send().await;
    assert_eq!(made.status, 201, "{}", made.text());
    assert_has(&made.json()["credential"], &shown());
    let one = world.get("/credentials/k").token("dev-bob").send().await.json();
    assert_has(&one["credential"], &shown());
    let list = world.get("/credentials").token("dev-bob").send().await.json();
    assert_has(&list["credentials"][0], &shown());
    let stored = world.stored("k").await.unwrap();
    assert_eq!(stored.terms.name(), Some("backup"));
    assert_ne!(stored.stored_status(), stored.status.as_str(), "earlier releases refuse it");
}

#[tokio::test]
async fn c1_c2_c3_key_with_all_terms_shows_them_and_its_status() {
    let world = world();
    let made = create(&world, &v3_body("k", &all_terms())).await;
    let expected = merged(shown(), &json!({"status": "Active"}));
    assert_has(&made, &expected);
    let one = world.get(&credential_path(&id_of("k"))).token("dev-bob").send().await.json();
    assert_has(&one["credential"], &expected);
    let list = world.get(CREDENTIALS).token("dev-bob").send().await.json();
    assert_has(&list["credentials"][0], &expected);
    assert!(world.stored("k").await.unwrap().attributes.is_empty());
}

#[tokio::test]
async fn e1_e2_e3_key_with_all_terms_shows_them_in_every_wrapper() {
    let world = world();
    let terms = merged(all_terms(), &json!({"tenant_id": DEMO, "status": "Inactive"}));
    let expected = merged(shown(), &json!({"status": "Inactive"}));
    for body in [terms.clone(), json!({"OS-KSEC2-ec2Credentials": terms})] {
        let made = world.post(&ec2_path(BOB, "")).token("dev-bob").json(&body).send().await;
        assert_eq!(made.status, 201, "{}", made.text());
        let made = made.json();
        assert_has(&made["credential"], &expected);
        let access = made["credential"]["access"].as_str().unwrap();
        let one = under("/v3", BOB, &format!("/{access}"));
        let one = world.get(&one).token("dev-bob").send().await.json();
        assert_has(&one["credential"], &expected);
    }
    let list = world.get(&ec2_path(BOB, "")).token("dev-bob").send().await.json();
    assert_has(&list["credentials"][1], &expected);
}

#[tokio::test]
async fn c3_e3_record_without_terms_looks_as_in_keystone_but_inactive_key_shows_its_status() {
    let world = world();
    create(&world, &ec2(BOB, DEMO, "k")).await;
    let names = |credential: &Value| -> Vec<String> {
        credential["credential"].as_object().unwrap().keys().cloned().collect()
    };
    let (v3, os_ec2) = (credential_path(&id_of("k")), under("/v3", BOB, "/k"));
    let show = async |path: &str| world.get(path).token("dev-bob").send().await.json();
    let plain = ["blob", "id", "links", "project_id", "type", "user_id"];
    assert_eq!(names(&show(&v3).await), plain);
    let disable = json!({"credential": {"status": "Inactive"}});
    let changed = world.patch(&v3).token("dev-bob").json(&disable).send().await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    assert_eq!(world.stored("k").await.unwrap().status, Status::Inactive);
    for path in [&v3, &os_ec2] {
        let shown = show(path).await;
        assert_eq!(shown["credential"]["status"], "Inactive");
        assert_eq!(shown["credential"]["created_at"], Value::Null);
    }
}

#[tokio::test]
async fn i4_c4_terms_are_changed_alone_and_unset_with_null() {
    let world = world();
    create(&world, &ec2(BOB, DEMO, "k")).await;
    let v3 = credential_path(&id_of("k"));
    for path in [v3.as_str(), "/credentials/k"] {
        let change = json!({"credential": all_terms()});
        let changed = world.patch(path).token("dev-admin").json(&change).send().await;
        assert_eq!(changed.status, 200, "{path}: {}", changed.text());
        assert_has(&changed.json()["credential"], &shown());
        let one = json!({"credential": {"name": null}});
        let changed = world.patch(path).token("dev-admin").json(&one).send().await.json();
        assert_eq!(changed["credential"]["name"], Value::Null);
        assert_eq!(changed["credential"]["boundary"], short_form(), "the others stay");
        let rest =
            json!({"credential": {"description": null, "expires_at": null, "boundary": null}});
        let changed = world.patch(path).token("dev-admin").json(&rest).send().await;
        assert_eq!(changed.status, 200, "{path}: {}", changed.text());
        let stored = world.stored("k").await.unwrap();
        assert_eq!(stored.terms, tower_credentials::domain::Terms::default());
        assert_eq!(stored.stored_status(), "Active");
    }
}

#[tokio::test]
async fn i1_c2_e2_invalid_terms_are_400_and_name_the_member() {
    let world = world();
    let unknown = json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::data/*",
        "Condition": {"StringEquals": {"s3:ExistingObjectTag/a": "b"}},
    }]});
    for (name, value, named) in [
        ("name", json!(""), "name"),
        ("name", json!("a\u{7}"), "name"),
        ("name", json!("n".repeat(129)), "name"),
        ("name", json!(7), "name"),
        ("description", json!("d".repeat(1_025)), "description"),
        ("expires_at", json!("2016-03-18T00:57:03Z"), "expires_at"),
        ("expires_at", json!("2016-03-28T00:56:04+02:00"), "expires_at"),
        ("expires_at", json!("2016-12-31T23:59:60Z"), "expires_at"),
        ("expires_at", json!("tomorrow"), "expires_at"),
        ("expires_at", json!(1_800_000_000), "expires_at"),
        ("boundary", json!("read"), "boundary"),
        ("boundary", json!({}), "boundary.permission"),
        ("boundary", json!({"permission": "read"}), "boundary.buckets"),
        ("boundary", merged(short_form(), &json!({"owner": "me"})), "boundary.owner"),
        ("boundary", json!({"policy": unknown}), "s3:ExistingObjectTag/a"),
        ("boundary", json!({"policy": {"Version": "2012-10-17", "Statement": []}}), "Statement"),
    ] {
        let terms = json!({name: value});
        let ec2 = merged(terms.clone(), &json!({"tenant_id": DEMO}));
        let (ec2_path, prefix) = (ec2_path(BOB, ""), "/credentials".to_owned());
        for (path, body) in [
            (&prefix, ibm_body("k", &terms)),
            (&CREDENTIALS.to_owned(), v3_body("k", &terms)),
            (&ec2_path, ec2),
        ] {
            let answer = world.post(path).token("dev-admin").json(&body).send().await;
            assert_eq!(answer.status, 400, "{path} {terms}");
            assert!(answer.text().contains(named), "{path} {terms}: {}", answer.text());
        }
    }
    assert!(world.stored("k").await.is_none());
}

#[tokio::test]
async fn c2_other_types_have_names_but_no_expiry_and_no_boundary() {
    let world = world();
    let mut body = opaque(BOB, "totp", "seed");
    body["credential"]["name"] = "phone".into();
    body["credential"]["status"] = "lost".into();
    let made = create(&world, &body).await;
    assert_eq!((&made["name"], &made["status"]), (&json!("phone"), &json!("lost")));
    for (name, value) in [("expires_at", json!(END)), ("boundary", short_form())] {
        let mut body = opaque(BOB, "totp", "seed");
        body["credential"][name] = value;
        let answer = world.post(CREDENTIALS).token("dev-bob").json(&body).send().await;
        assert_eq!(answer.status, 400, "{name}");
    }
}

#[tokio::test]
async fn i1_expiry_accepts_fractions_and_keystones_form() {
    let world = World::new();
    for (access, given, answered) in [
        ("a", "2016-03-28T00:56:04.999999", END),
        ("b", "2016-03-28T00:56:04", END),
        ("c", "9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z"),
        ("d", "2016-03-18T00:57:05Z", "2016-03-18T00:57:05Z"),
    ] {
        let body = ibm_body(access, &json!({"expires_at": given}));
        let made = world.post("/credentials").token("dev-bob").json(&body).send().await;
        assert_eq!(made.status, 201, "{given}: {}", made.text());
        assert_eq!(made.json()["credential"]["expires_at"], answered);
    }
}

#[tokio::test]
async fn i4_past_expiry_expires_the_key_now_and_a_later_one_revives_it() {
    let world = World::new();
    world.mint(BOB, DEMO, "k").await;
    let change = async |end: &str| {
        let body = json!({"credential": {"expires_at": end}});
        let changed = world.patch("/credentials/k").token("dev-bob").json(&body).send().await;
        assert_eq!(changed.status, 200);
        changed.json()["credential"]["expired"].clone()
    };
    assert_eq!(change("2016-03-01T00:00:00Z").await, true);
    assert!(!world.is_usable("k").await);
    assert_eq!(change(END).await, false);
    assert!(world.is_usable("k").await);
    world.clock.advance(DAY * 10);
    assert!(!world.is_usable("k").await);
    let shown = world.get("/credentials/k").token("dev-bob").send().await.json();
    assert_eq!(shown["credential"]["expired"], true);
    assert_eq!(world.delete("/credentials/k").token("dev-bob").send().await.status, 204);
}

#[tokio::test]
async fn i2_c1_e1_lists_filter_by_terms() {
    let world = world();
    for (access, name, end) in [
        ("a", "backup", "2016-03-20T00:00:00Z"),
        ("b", "backup-2", "2016-03-21T00:00:00Z"),
        ("c", "web", "2016-03-22T00:00:00Z"),
    ] {
        let terms = json!({"name": name, "expires_at": end});
        create(&world, &v3_body(access, &terms)).await;
    }
    create(&world, &ec2(BOB, DEMO, "d")).await;
    let ids = |accesses: &[&str]| -> Vec<String> {
        let mut ids: Vec<_> = accesses.iter().map(|access| id_of(access)).collect();
        ids.sort_unstable();
        ids
    };
    for (query, expected) in [
        ("name=backup", &["a"][..]),
        ("name=Backup", &[]),
        ("name__contains=back", &["a", "b"]),
        ("expires_at__lt=2016-03-21T00:00:00Z", &["a"]),
        ("expires_at__lt=2016-03-21T00:00:01Z", &["a", "b"]),
        ("expires_at__lt=2016-03-22T00:00:01Z&name__contains=e", &["c"]),
    ] {
        let keys = format!("/credentials?{query}");
        assert_eq!(world.get(&keys).token("dev-bob").send().await.ids(), expected, "{keys}");
        // The admin's list is that of all records, the owner's that of one user.
        for token in ["dev-bob", "dev-admin"] {
            let credentials = format!("{CREDENTIALS}?{query}");
            let mut found = world.get(&credentials).token(token).send().await.ids();
            found.sort_unstable();
            assert_eq!(found, ids(expected), "{token} {credentials}");
        }
        let ec2 = format!("{}?{query}", ec2_path(BOB, ""));
        let list = world.get(&ec2).token("dev-bob").send().await.json();
        let mut found: Vec<_> = list["credentials"].as_array().unwrap().iter().collect();
        found.sort_by_key(|it| it["access"].as_str());
        let found: Vec<_> = found.iter().map(|it| it["access"].as_str().unwrap()).collect();
        assert_eq!(found, expected, "{ec2}");
    }
    for path in ["/credentials", CREDENTIALS, &ec2_path(BOB, "")] {
        let path = format!("{path}?expires_at__lt=soon");
        assert_eq!(world.get(&path).token("dev-bob").send().await.status, 400, "{path}");
    }
}

#[tokio::test]
async fn c1_pages_of_expiring_credentials_follow_one_another() {
    let world = world();
    for (access, day) in [("a", 22), ("b", 20), ("c", 21), ("d", 20)] {
        let terms = json!({"expires_at": format!("2016-03-{day}T00:00:00Z")});
        create(&world, &v3_body(access, &terms)).await;
    }
    let mut path = format!("{CREDENTIALS}?limit=1&expires_at__lt=2016-03-22T00:00:00Z");
    let mut found = Vec::new();
    loop {
        let list = world.get(&path).token("dev-admin").send().await;
        assert_eq!(list.status, 200, "{}", list.text());
        found.extend(list.ids());
        let list = list.json();
        let Some(next) = list["links"]["next"].as_str() else { break };
        path = next[next.find("/v3").unwrap()..].to_owned();
    }
    let mut early = [id_of("b"), id_of("d")];
    early.sort_unstable();
    assert_eq!(found, [early[0].clone(), early[1].clone(), id_of("c")]);
}

#[tokio::test]
async fn c4_attribute_of_an_earlier_release_stays_until_a_change_sets_the_term() {
    let world = world();
    create(&world, &ec2(BOB, DEMO, "k")).await;
    let id = CredentialId::from_stored(id_of("k"));
    let mut stored = (*world.stored("k").await.unwrap()).clone();
    let version = stored.version;
    for (name, value) in [("expires_at", json!("2020")), ("name", json!(7))] {
        stored.attributes.insert(name.into(), value);
    }
    let stored = stored.touched(std::time::UNIX_EPOCH);
    assert!(world.backend.update(&stored.into(), version).await.unwrap());
    let path = credential_path(id.as_str());
    let whole = world.get(&path).token("dev-bob").send().await.json();
    assert_has(&whole["credential"], &json!({"expires_at": "2020", "name": 7}));
    let mut echo = whole.clone();
    echo["credential"]["blob"] = blob_of("k", "changed").into();
    let changed = world.patch(&path).token("dev-bob").json(&echo).send().await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    assert_has(&changed.json()["credential"], &json!({"expires_at": "2020", "name": 7}));
    assert!(world.is_usable("k").await);
    let set = json!({"credential": {"expires_at": END}});
    let changed = world.patch(&path).token("dev-bob").json(&set).send().await;
    assert_has(&changed.json()["credential"], &json!({"expires_at": END, "name": 7}));
    assert!(!world.stored("k").await.unwrap().attributes.contains_key("expires_at"));
}

#[tokio::test]
async fn i1_i4_c2_e2_k2_maximum_life_binds_everybody() {
    let world = World::with(|builder| builder.max_key_life(DAY * 10));
    let post = async |path: &str, body: &Value| {
        world.post(path).token("dev-admin").json(body).send().await
    };
    let made = post("/credentials", &ibm_body("k", &json!({}))).await.json();
    assert_eq!(made["credential"]["expires_at"], END);
    let grant = json!({"passwordCredentials": {"username": "u", "password": "p"}});
    let grants = format!("/v2.0/users/{BOB}/OS-KSADM/credentials");
    assert_eq!(post(&grants, &grant).await.status, 201);
    let ec2_grant = json!({"OS-KSEC2-ec2Credentials": {
        "username": "granted", "key": "secretsecret", "signature": "s",
    }});
    assert_eq!(post(&grants, &ec2_grant).await.status, 201);
    let granted = world.stored("granted").await.unwrap();
    assert!(granted.terms.expires_at().is_some());
    for late in [json!("2016-03-28T00:56:05Z"), Value::Null] {
        let terms = json!({"expires_at": late});
        assert_eq!(post("/credentials", &ibm_body("x", &terms)).await.status, 400);
        let ec2 = merged(terms.clone(), &json!({"tenant_id": DEMO}));
        assert_eq!(post(&ec2_path(ALICE, ""), &ec2).await.status, 400);
        let change = json!({ "credential": terms });
        let changed = world.patch("/credentials/k").token("dev-admin").json(&change).send().await;
        assert_eq!(changed.status, 400, "{late}");
    }
    // Another type has no expiry, and an older key keeps its own.
    let mut cert = opaque(BOB, "cert", "x");
    cert["credential"]["expires_at"] = Value::Null;
    assert_eq!(post(CREDENTIALS, &cert).await.status, 201);
    let stored = world.stored("k").await.unwrap();
    let mut older = (*stored).clone().touched(stored.updated_at);
    older.terms.set_expires_at(Some(world.clock.now() + DAY * 100));
    assert!(world.backend.update(&older.into(), stored.version).await.unwrap());
    let mut whole = world.get("/credentials/k").token("dev-admin").send().await.json();
    whole["credential"]["blob"]["status"] = "Inactive".into();
    let disabled = world.patch("/credentials/k").token("dev-admin").json(&whole).send().await;
    assert_eq!(disabled.status, 200, "{}", disabled.text());
    world.clock.advance(DAY);
    let change = json!({"credential": {"expires_at": END}});
    let changed = world.patch("/credentials/k").token("dev-admin").json(&change).send().await;
    assert_eq!(changed.status, 200, "counted from the creation");
}
