//! Which events there are, and what they contain.

use std::{future::Future, pin::pin, sync::Arc, task::Poll};

use async_trait::async_trait;
use http::Request;
use http_body_util::Full;
use serde_json::json;
use test_support::world::{ALICE, BOB, DEMO, World, pair, percent_encoded, tokens};
use tokio::sync::Semaphore;
use tower::{Layer, ServiceExt, service_fn};
use tower_credentials::{
    ClientAddress, RequestId,
    audit::{AuditError, AuditEvent, AuditSink, TracingSink, file::AuditFile},
    backend::memory::MemoryBackend,
};

use crate::{builder, events, summary};

struct Audited {
    folder: tempfile::TempDir,
    audit: AuditFile,
    world: World,
}

impl Audited {
    fn new() -> Self {
        Self::with(TracingSink::new())
    }

    /// With another sink, which has each event first.
    fn with(first: impl AuditSink) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let audit = builder(&folder.path().join("audit.log")).open().unwrap();
        let sink = (first, audit.clone());
        let backend = Arc::new(MemoryBackend::default());
        let world = World::of(tokens(), backend, |layer| layer.audit(sink));
        Self { folder, audit, world }
    }

    fn events(&self) -> Vec<serde_json::Value> {
        events(&self.audit, &self.folder.path().join("audit.log"))
    }
}

/// A sink that accepts one intent for each permit.
#[derive(Debug)]
struct Gate(Semaphore);

#[async_trait]
impl AuditSink for Gate {
    async fn intent(&self, _: &AuditEvent) -> Result<(), AuditError> {
        self.0.acquire().await.unwrap().forget();
        Ok(())
    }

    fn record(&self, _: AuditEvent) {}
}

#[tokio::test]
async fn each_change_has_an_event_with_its_actor_its_record_and_both_states() {
    let audited = Audited::new();
    let world = &audited.world;
    world.mint(BOB, DEMO, "k").await;
    let change = json!({"credential": {"blob": {"status": "Inactive"}, "expires_at": "2030-01-01T00:00:00Z"}});
    let patch = world.patch("/credentials/k").token("dev-admin").json(&change);
    let patch = patch
        .extension(ClientAddress("203.0.113.7".parse().unwrap()))
        .extension(RequestId::parse("req-1").unwrap());
    assert_eq!(patch.send().await.status, 200);
    assert_eq!(world.delete("/credentials/k").token("dev-bob").send().await.status, 204);

    let events = audited.events();
    let summaries: Vec<_> = events.iter().map(summary).collect();
    assert_eq!(summaries, ["create done -", "update done -", "delete done -"]);
    let [created, updated, deleted] = events.try_into().unwrap();
    assert!(created.get("before").is_none(), "{created}");
    assert_eq!(created["after"], updated["before"]);
    assert_eq!(updated["after"], deleted["before"]);
    assert_eq!(created["after"]["status"], "Active");
    assert_eq!(updated["after"]["status"], "Inactive");
    assert_eq!(updated["after"]["expires_at"], "2030-01-01T00:00:00Z");
    assert_eq!(updated["target"]["access_key"], "k");
    assert_eq!(updated["target"]["user_id"], BOB);
    assert_eq!(updated["target"]["project_id"], DEMO);
    assert_eq!(updated["target"]["id"].as_str().unwrap().len(), 64);
    let actor = json!({
        "user_id": ALICE, "project_id": DEMO, "roles": ["admin"], "source": "203.0.113.7",
        "request_id": "req-1",
    });
    assert_eq!(updated["actor"], actor);
    assert_eq!(deleted["actor"]["user_id"], BOB);
    assert_eq!(updated["time"], "2016-03-18T00:56:04.227740Z");
}

#[tokio::test]
async fn each_dialect_records_its_changes() {
    let audited = Audited::new();
    let world = &audited.world;
    let grant =
        json!({"OS-KSEC2-ec2Credentials": {"username": "g", "secret": "s", "signature": "x"}});
    let grants = format!("/v2.0/users/{BOB}/OS-KSADM/credentials");
    world.post(&grants).token("dev-admin").json(&grant).send().await;
    let slot = format!("{grants}/OS-KSEC2:ec2Credentials");
    world.post(&slot).token("dev-admin").json(&grant).send().await;
    world.delete(&slot).token("dev-admin").send().await;
    let blob = json!({"access": "v3", "secret": "s"}).to_string();
    let v3 =
        json!({"credential": {"type": "ec2", "user_id": BOB, "project_id": DEMO, "blob": blob}});
    let made = world.post("/v3/credentials").token("dev-admin").json(&v3).send().await.json();
    let path = format!("/v3/credentials/{}", made["credential"]["id"].as_str().unwrap());
    let inactive = json!({"credential": {"status": "Inactive"}});
    world.patch(&path).token("dev-admin").json(&inactive).send().await;
    world.delete(&path).token("dev-admin").send().await;
    let ec2 = format!("/v3/users/{BOB}/credentials/OS-EC2");
    world.post(&ec2).token("dev-admin").json(&json!({"tenant_id": DEMO})).send().await;

    let summaries: Vec<_> = audited.events().iter().map(summary).collect();
    let of_one = ["create done -", "update done -", "delete done -"];
    assert_eq!(summaries, [&of_one[..], &of_one[..], &["create done -"]].concat());
}

#[tokio::test]
async fn rotation_with_an_overlap_records_both_keys_and_one_in_place_records_one() {
    let audited = Audited::new();
    let world = &audited.world;
    world.mint(BOB, DEMO, "k").await;
    let rotate = |overlap: u64| {
        let body = json!({"overlap_seconds": overlap});
        world.post("/credentials/k/rotate").token("dev-admin").json(&body).send()
    };
    assert_eq!(rotate(3_600).await.status, 201);
    assert_eq!(rotate(0).await.status, 200);

    let events = audited.events();
    let summaries: Vec<_> = events.iter().map(summary).collect();
    let overlapping = ["rotate done -", "create done -"];
    assert_eq!(summaries, [&["create done -"], &overlapping[..], &["rotate done -"]].concat());
    assert_eq!(events[1]["before"], events[0]["after"]);
    assert!(events[1]["after"]["expires_at"].is_string(), "{}", events[1]);
    assert_ne!(events[2]["target"]["access_key"], "k");
    assert_eq!(events[3]["before"], events[1]["after"]);
}

#[tokio::test]
async fn refused_change_has_its_reason_and_its_target() {
    let audited = Audited::new();
    let world = &audited.world;
    world.mint(BOB, DEMO, "k").await;
    let calls = [
        world.post("/credentials").token("dev-reader").json(&pair(BOB, DEMO, "new")),
        world.post("/credentials").token("dev-admin").json(&pair(BOB, DEMO, "k")),
        world.post("/credentials").token("dev-admin").text("application/json", "{"),
        world.delete("/credentials/unknown").token("dev-admin"),
        world.patch("/credentials/k").token("dev-admin").bytes(&vec![b' '; 200_000]),
    ];
    let mut statuses = Vec::new();
    for call in calls {
        statuses.push(call.send().await.status.as_u16());
    }
    assert_eq!(statuses, [403, 409, 400, 404, 413]);

    let events = audited.events();
    let summaries: Vec<_> = events[1..].iter().map(summary).collect();
    let expected = [
        "create refused forbidden",
        "create refused conflict",
        "create refused bad_request",
        "delete refused not_found",
        "update refused payload_too_large",
    ];
    assert_eq!(summaries, expected);
    assert_eq!(events[1]["target"]["access_key"], "new");
    assert_eq!(events[1]["target"]["user_id"], BOB);
    assert_eq!(events[4]["target"]["access_key"], "unknown");
    assert!(events[1]["reason"]["message"].as_str().unwrap().contains("not authorized"));
}

#[tokio::test]
async fn request_of_an_unknown_caller_has_no_event() {
    let audited = Audited::new();
    let world = &audited.world;
    for call in [world.post("/credentials"), world.post("/credentials").token("no such token")] {
        assert_eq!(call.json(&pair(BOB, DEMO, "k")).send().await.status, 401);
    }
    assert_eq!(audited.events().len(), 0);
}

#[tokio::test]
async fn reading_the_credentials_of_others_is_recorded_and_reading_ones_own_is_not() {
    let audited = Audited::new();
    let world = &audited.world;
    world.mint(BOB, DEMO, "bobs").await;
    world.mint(BOB, DEMO, "bobs-too").await;
    world.mint(ALICE, DEMO, "own").await;
    for path in ["/credentials/own", "/credentials/bobs", "/v3/credentials"] {
        assert_eq!(world.get(path).token("dev-admin").send().await.status, 200, "{path}");
    }
    assert_eq!(world.get("/credentials/bobs").token("dev-bob").send().await.status, 200);
    assert_eq!(world.get("/credentials").token("dev-bob").send().await.status, 200);

    let events = audited.events();
    let summaries: Vec<_> = events[3..].iter().map(summary).collect();
    assert_eq!(summaries, ["show done -", "list done -"]);
    assert_eq!(events[3]["target"]["access_key"], "bobs");
    assert_eq!((&events[4]["count"], &events[4]["target"]["user_id"]), (&json!(2), &json!(BOB)));
}

#[tokio::test]
async fn change_that_changes_nothing_shows_the_credential_of_another_user() {
    let audited = Audited::new();
    let world = &audited.world;
    world.mint(BOB, DEMO, "bobs").await;
    let active = json!({"credential": {"blob": {"status": "Active"}}});
    for token in ["dev-bob", "dev-admin"] {
        let call = world.patch("/credentials/bobs").token(token).json(&active);
        assert_eq!(call.send().await.status, 200, "{token}");
    }
    let events = audited.events();
    let summaries: Vec<_> = events.iter().map(summary).collect();
    assert_eq!(summaries, ["create done -", "show done -"]);
    assert_eq!(events[1]["actor"]["user_id"], ALICE);
}

#[tokio::test]
async fn events_contain_no_secret_and_hostile_text_forges_no_line() {
    let audited = Audited::new();
    let world = &audited.world;
    world.mint(BOB, DEMO, "k").await;
    let blob = json!({"credential": {"type": "totp", "user_id": BOB, "blob": "the hidden blob"}});
    world.post("/v3/credentials").token("dev-admin").json(&blob).send().await;
    let name = "x\"},{\"type\":\"event\"}\u{202e}\u{2066}\u{e9}\u{1f511}";
    let path = format!("/credentials/{}", percent_encoded(name));
    assert_eq!(world.delete(&path).token("dev-admin").send().await.status, 404);
    let path = audited.folder.path().join("audit.log");
    let events = audited.events();
    assert_eq!(events.len(), 3, "{events:?}");
    assert_eq!(events[2]["target"]["access_key"], name);
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.bytes().all(|byte| byte == b'\n' || (b' '..=b'~').contains(&byte)), "{text}");
    for secret in ["secret-of-k", "the hidden blob", "dev-admin"] {
        assert!(!text.contains(secret), "{secret}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_a_record_are_in_the_order_of_its_versions() {
    let audited = Audited::new();
    audited.world.mint(BOB, DEMO, "k").await;
    let world = Arc::new(audited.world);
    let tasks: Vec<_> = (0..8)
        .map(|task| {
            let world = Arc::clone(&world);
            tokio::spawn(async move {
                for round in 0..40 {
                    let name = json!({"credential": {"name": format!("{task}-{round}")}});
                    let call = world.patch("/credentials/k").token("dev-admin").json(&name);
                    let status = call.send().await.status;
                    assert!(status == 200 || status == 409, "{status}");
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let events = events(&audited.audit, &audited.folder.path().join("audit.log"));
    let done: Vec<_> = events.iter().filter(|event| event["outcome"] == "done").collect();
    assert!(done.len() > 100, "{}", done.len());
    for pair in done.windows(2) {
        assert_eq!(pair[1]["before"], pair[0]["after"]);
        let version =
            |state: &serde_json::Value| state["version"].as_str().unwrap().parse::<u64>().unwrap();
        assert_eq!(version(&pair[1]["after"]), version(&pair[1]["before"]) + 1);
    }
}

#[tokio::test]
async fn change_of_a_client_that_disconnects_has_an_event() {
    let gate = Arc::new(Gate(Semaphore::new(1)));
    let audited = Audited::with(Arc::clone(&gate));
    let world = &audited.world;
    world.mint(BOB, DEMO, "k").await;
    let inner = service_fn(async |_: Request<Full<bytes::Bytes>>| {
        Ok::<_, std::convert::Infallible>(http::Response::new(Full::<bytes::Bytes>::default()))
    });
    let request = Request::delete("/credentials/k").header("x-auth-token", "dev-admin");
    let request = request.body(Full::<bytes::Bytes>::default()).unwrap();
    {
        let mut response = pin!(world.layer.layer(inner).oneshot(request));
        let polled = std::future::poll_fn(|context| Poll::Ready(response.as_mut().poll(context)));
        assert!(polled.await.is_pending());
    }
    // The change continues in a task of its own.
    gate.0.add_permits(1);
    world.layer.settled().await;
    let summaries: Vec<_> = audited.events().iter().map(summary).collect();
    assert_eq!(summaries, ["create done -", "delete done -"]);
}
