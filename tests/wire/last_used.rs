//! The time at which a key was last used: which responses contain it. Clients cannot set it.

use std::{
    collections::HashMap,
    future::pending,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};
use tower_credentials::{
    async_trait,
    backend::{CredentialBackend, memory::MemoryBackend},
    domain::CredentialId,
    usage::{UsageError, UsageLog},
};

use crate::world::{
    ALICE, Answer, BOB, DEMO, World, pair, tokens,
    v3::{CREDENTIALS, blob_of, change, create, credential_path, ec2, ec2_path, id_of, opaque},
};

/// Ten seconds after the clock's start, in whole seconds.
const USED: Duration = Duration::from_secs(1_458_262_574);
const SHOWN: &str = "2016-03-18T00:56:14Z";

/// How the log below responds to a lookup.
#[derive(Clone, Copy, Debug, Default)]
enum Response {
    Fails,
    Hangs,
    #[default]
    Works,
}

/// The store's own log, which records the lookups.
#[derive(Clone, Debug, Default)]
struct Log {
    store: MemoryBackend,
    response: Arc<Mutex<Response>>,
    lookups: Arc<Mutex<Vec<usize>>>,
}

impl Log {
    fn set(&self, response: Response) {
        *self.response.lock().unwrap() = response;
    }

    /// The number of keys in each lookup since the last call.
    fn take_lookups(&self) -> Vec<usize> {
        std::mem::take(&mut self.lookups.lock().unwrap())
    }

    async fn used(&self, access: &str, at: Duration) {
        let id = CredentialId::from_stored(id_of(access));
        self.store.record(&[(id, UNIX_EPOCH + at)]).await.unwrap();
    }

    /// A world over the store, with this log or without a log.
    fn world(&self, logs: bool) -> World {
        let backend: Arc<dyn CredentialBackend> = Arc::new(self.store.clone());
        World::of(
            tokens(),
            backend,
            |builder| {
                if logs { builder.usage(self.clone()) } else { builder }
            },
        )
    }
}

#[async_trait]
impl UsageLog for Log {
    async fn record(&self, uses: &[(CredentialId, SystemTime)]) -> Result<(), UsageError> {
        self.store.record(uses).await
    }

    async fn last_used(
        &self,
        ids: &[CredentialId],
    ) -> Result<HashMap<CredentialId, SystemTime>, UsageError> {
        self.lookups.lock().unwrap().push(ids.len());
        let response = *self.response.lock().unwrap();
        match response {
            Response::Fails => Err(UsageError::new("disk on fire")),
            Response::Hangs => pending().await,
            Response::Works => self.store.last_used(ids).await,
        }
    }
}

/// A store with two keys of Alice, of which one was used, and its world.
async fn used_and_unused() -> (Log, World) {
    let log = Log::default();
    let world = log.world(true);
    world.mint(ALICE, DEMO, "unused").await;
    world.mint(ALICE, DEMO, "used").await;
    log.used("used", USED).await;
    (log, world)
}

async fn get(world: &World, path: &str) -> Answer {
    let answer = world.get(path).token("dev-admin").send().await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer
}

/// The member `last_used` in the response about a credential, if there is one.
fn of_one(answer: &Answer) -> Option<Value> {
    answer.json()["credential"].get("last_used").cloned()
}

/// The members `last_used` of a list, in its order.
fn of_list(answer: &Answer) -> Vec<Option<Value>> {
    let body = answer.json();
    let list = body["credentials"].as_array().unwrap();
    list.iter().map(|credential| credential.get("last_used").cloned()).collect()
}

#[tokio::test]
async fn ibm_shows_lists_and_updates_contain_the_last_use_or_null() {
    let (_, world) = used_and_unused().await;
    assert_eq!(of_one(&get(&world, "/credentials/used").await), Some(json!(SHOWN)));
    assert_eq!(of_one(&get(&world, "/credentials/unused").await), Some(Value::Null));
    let listed = of_list(&get(&world, "/credentials").await);
    assert_eq!(listed, [Some(Value::Null), Some(json!(SHOWN))]);
    for status in ["Inactive", "Inactive", "Active"] {
        let body = json!({"credential": {"blob": {"status": status}}});
        let updated = world.patch("/credentials/used").token("dev-admin").json(&body).send().await;
        assert_eq!((updated.status.as_u16(), of_one(&updated)), (200, Some(json!(SHOWN))));
    }
}

#[tokio::test]
async fn v3_shows_lists_and_changes_contain_the_last_use_or_null() {
    let (_, world) = used_and_unused().await;
    let (used, unused) = (id_of("used"), id_of("unused"));
    assert_eq!(of_one(&get(&world, &credential_path(&used)).await), Some(json!(SHOWN)));
    assert_eq!(of_one(&get(&world, &credential_path(&unused)).await), Some(Value::Null));
    let listed = get(&world, CREDENTIALS).await;
    let by_id: HashMap<_, _> =
        crate::world::v3::ids(&listed).into_iter().zip(of_list(&listed)).collect();
    assert_eq!(by_id[&used], Some(json!(SHOWN)));
    assert_eq!(by_id[&unused], Some(Value::Null));
    let body = change(&blob_of("used", "new-secret"));
    let changed = world.patch(&credential_path(&used)).token("dev-admin").json(&body).send().await;
    assert_eq!((changed.status.as_u16(), of_one(&changed)), (200, Some(json!(SHOWN))));
}

#[tokio::test]
async fn responses_have_no_last_use_without_a_log() {
    let (log, _) = used_and_unused().await;
    let world = log.world(false);
    for path in ["/credentials/used", &credential_path(&id_of("used"))] {
        assert_eq!(of_one(&get(&world, path).await), None, "{path}");
    }
    for path in ["/credentials", CREDENTIALS] {
        assert_eq!(of_list(&get(&world, path).await), [None, None], "{path}");
    }
    assert!(log.take_lookups().is_empty());
}

#[tokio::test]
async fn v2_and_os_ec2_have_no_last_used_and_do_not_ask_the_log() {
    let (log, world) = used_and_unused().await;
    let without = log.world(false);
    for path in [
        format!("/v2.0/users/{ALICE}/OS-KSADM/credentials"),
        ec2_path(ALICE, ""),
        ec2_path(ALICE, "/used"),
        format!("/v2.0/users/{ALICE}/credentials/OS-EC2/used"),
    ] {
        let (with, without) = (get(&world, &path).await, get(&without, &path).await);
        assert_eq!(with.text(), without.text(), "{path}");
    }
    assert!(log.take_lookups().is_empty());
}

#[tokio::test]
async fn log_is_asked_once_per_response_and_only_about_shown_credentials() {
    let (log, world) = used_and_unused().await;
    world.mint(BOB, DEMO, "bobs").await;
    assert!(log.take_lookups().is_empty(), "creates look up nothing");
    get(&world, "/credentials/used").await;
    get(&world, &credential_path(&id_of("used"))).await;
    get(&world, "/credentials").await;
    get(&world, &format!("{CREDENTIALS}?limit=2")).await;
    assert_eq!(log.take_lookups(), [1, 1, 2, 2]);

    // A caller who may not see a record gets no last use, and the log is not queried.
    for path in ["/credentials/bobs", "/credentials/none", &credential_path(&id_of("bobs"))] {
        let refused = world.get(path).token("dev-alice").send().await;
        assert!(!refused.status.is_success() && !refused.text().contains("last_used"), "{path}");
    }
    let own = world.get(CREDENTIALS).token("dev-bob").send().await;
    assert_eq!(of_list(&own), [Some(Value::Null)]);
    let none = world.get("/credentials").token("dev-carol").send().await;
    assert!(of_list(&none).is_empty());
    world.delete("/credentials/unused").token("dev-admin").send().await;
    assert_eq!(log.take_lookups(), [1], "only the key that was shown");
}

#[tokio::test(start_paused = true)]
async fn response_arrives_in_time_without_last_use_if_the_log_fails_or_hangs() {
    let (log, world) = used_and_unused().await;
    for response in [Response::Fails, Response::Hangs] {
        log.set(response);
        for path in ["/credentials/used", &credential_path(&id_of("used"))] {
            let started = tokio::time::Instant::now();
            assert_eq!(of_one(&get(&world, path).await), None, "{response:?} {path}");
            assert!(started.elapsed() <= Duration::from_secs(1), "{response:?} {path}");
        }
        for path in ["/credentials", CREDENTIALS] {
            assert_eq!(of_list(&get(&world, path).await), [None, None], "{response:?} {path}");
        }
        let body = json!({"credential": {"blob": {"status": "Inactive"}}});
        let updated = world.patch("/credentials/used").token("dev-admin").json(&body).send().await;
        assert_eq!((updated.status.as_u16(), of_one(&updated)), (200, None), "{response:?}");
        assert!(!world.is_usable("used").await);
    }
    log.set(Response::Works);
    assert_eq!(of_one(&get(&world, "/credentials/used").await), Some(json!(SHOWN)));
}

#[tokio::test]
async fn use_of_a_deleted_key_is_not_reported_for_its_successor() {
    let (log, world) = used_and_unused().await;
    world.delete("/credentials/used").token("dev-admin").send().await;
    world.clock.advance(Duration::from_secs(11));
    world.mint(ALICE, DEMO, "used").await;
    // A late report: the deleted key was used after ten seconds, and its successor was created
    // after eleven.
    log.used("used", USED).await;
    for path in ["/credentials/used", &credential_path(&id_of("used"))] {
        assert_eq!(of_one(&get(&world, path).await), Some(Value::Null), "{path}");
    }
    // A use in the second of the creation may be a use of the successor.
    log.used("used", USED + Duration::from_secs(1)).await;
    let shown = of_one(&get(&world, "/credentials/used").await);
    assert_eq!(shown, Some(json!("2016-03-18T00:56:15Z")));
}

#[tokio::test]
async fn v3_clients_cannot_set_last_used_with_a_log() {
    let log = Log::default();
    let world = log.world(true);
    for (n, name) in ["last_used", "last-used", "last:used"].into_iter().enumerate() {
        let access = format!("key-{n}");
        let mut body = ec2(ALICE, DEMO, &access);
        body["credential"][name] = json!("2030-01-01T00:00:00Z");
        body["credential"]["color"] = json!("red");
        let created = create(&world, &body).await;
        assert_eq!(created.get("last_used"), None, "{name}: {created}");
        assert_eq!(created["color"], "red");
        let path = credential_path(&id_of(&access));
        assert_eq!(of_one(&get(&world, &path).await), Some(Value::Null), "{name}");
        log.set(Response::Fails);
        assert_eq!(of_one(&get(&world, &path).await), None, "{name}");
        log.set(Response::Works);
        // The value was not stored: it does not appear without a log either.
        assert_eq!(of_one(&get(&log.world(false), &path).await), None, "{name}");
    }
}

#[tokio::test]
async fn record_can_be_sent_back_as_it_was_read_with_a_log() {
    let (log, world) = used_and_unused().await;
    let path = credential_path(&id_of("used"));
    let mut read = get(&world, &path).await.json();
    read["credential"]["blob"] = blob_of("used", "new-secret").into();
    for forged in [read["credential"]["last_used"].clone(), json!(null), json!("2030"), json!(7)] {
        read["credential"]["last_used"] = forged;
        let changed = world.patch(&path).token("dev-admin").json(&read).send().await;
        assert_eq!((changed.status.as_u16(), of_one(&changed)), (200, Some(json!(SHOWN))));
    }
    let stored = world.stored("used").await.unwrap();
    assert!(stored.attributes.is_empty(), "{:?}", stored.attributes);
    assert_eq!(stored.secret_key().unwrap().expose(), "new-secret");
    // Other members still cannot be changed.
    read["credential"]["color"] = json!("red");
    let refused = world.patch(&path).token("dev-admin").json(&read).send().await;
    assert_eq!(refused.status, 400);
    drop(log);
}

#[tokio::test]
async fn last_used_is_the_clients_own_member_without_a_log_and_a_log_hides_and_keeps_it() {
    let log = Log::default();
    let (with, without) = (log.world(true), log.world(false));
    let mut body = opaque(ALICE, "totp", "blob");
    body["credential"]["last_used"] = json!({"by": "me"});
    let created = create(&without, &body).await;
    assert_eq!(created["last_used"], json!({"by": "me"}));
    let path = credential_path(created["id"].as_str().unwrap());
    let own = Some(json!({"by": "me"}));
    assert_eq!(of_one(&get(&without, &path).await), own);

    assert_eq!(of_one(&get(&with, &path).await), Some(Value::Null));
    assert_eq!(of_list(&get(&with, CREDENTIALS).await), [Some(Value::Null)]);
    log.set(Response::Fails);
    assert_eq!(of_one(&get(&with, &path).await), None);
    let changed = with.patch(&path).token("dev-admin").json(&change("blob-2")).send().await;
    assert_eq!((changed.status.as_u16(), of_one(&changed)), (200, None));

    assert_eq!(of_one(&get(&without, &path).await), own);
    // Without a log it cannot be changed, like any member.
    for (given, status) in [(json!({"by": "me"}), 200), (json!({"by": "you"}), 400)] {
        let body = json!({"credential": {"blob": "blob-3", "last_used": given}});
        let changed = without.patch(&path).token("dev-admin").json(&body).send().await;
        assert_eq!(changed.status, status, "{body}");
    }
}

#[tokio::test]
async fn ibm_clients_cannot_set_last_used() {
    let log = Log::default();
    let world = log.world(true);
    let mut body = pair(ALICE, DEMO, "key");
    body["credential"]["last_used"] = json!("2030-01-01T00:00:00Z");
    body["credential"]["blob"]["last_used"] = json!("2030-01-01T00:00:00Z");
    let created = world.post("/credentials").token("dev-admin").json(&body).send().await;
    assert_eq!((created.status.as_u16(), of_one(&created)), (201, None));
    let updated = world.patch("/credentials/key").token("dev-admin").json(&body).send().await;
    assert_eq!((updated.status.as_u16(), of_one(&updated)), (200, Some(Value::Null)));
    assert!(world.stored("key").await.unwrap().attributes.is_empty());
}
