//! Nothing that is secret gets where it is not asked for.

use std::{
    cell::RefCell,
    io::{self, Write},
    sync::Once,
};

use serde_json::json;
use tracing_subscriber::layer::SubscriberExt;

use crate::{
    common::{ALICE, Answer, BOB, DEMO, World, pair},
    keystone_v2_json::bobs,
};

thread_local! {
    /// What this thread logged. Each test runs on a thread of its own.
    static LOG: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Writes to the log of the thread.
struct ThreadLog;

impl Write for ThreadLog {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOG.with_borrow_mut(|log| log.extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Logs everything from here on. For the whole program: what one thread does not
/// listen to, tracing may take for something that none does.
fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let lines = tracing_subscriber::fmt::layer().with_writer(|| ThreadLog).with_ansi(false);
        let subscriber = tracing_subscriber::registry().with(lines);
        tracing::subscriber::set_global_default(subscriber).unwrap();
        tracing::callsite::rebuild_interest_cache();
    });
    LOG.take();
}

const SECRETS: [&str; 8] = [
    "secret-of-minted",
    "granted-secret",
    "granted-signature",
    "correct horse",
    "changed-secret",
    "guessed-secret",
    "dev-admin",
    "not-a-token",
];

/// A day in the life of the layer: everything is done, right and wrong.
async fn scenario(world: &World) -> Vec<Answer> {
    let grant = |secret: &str| {
        json!({"ec2Credentials": {
            "username": "granted", "secret": secret, "signature": "granted-signature",
        }})
    };
    let password = json!({"passwordCredentials": {"username": "amy", "password": "correct horse"}});
    let guess = json!({"credential": {"blob": {"secret": "guessed-secret"}}});
    let disable = json!({"credential": {"blob": {"status": "Inactive"}}});
    let broken = "{\"credential\":{\"type\":\"ec2\",\"blob\":{\"secret\":\"guessed-secret\"";
    let minted = "/credentials/minted";
    let calls = [
        world.post("/credentials").json(&pair(BOB, DEMO, "minted")),
        world.post("/credentials").json(&pair(ALICE, DEMO, "minted")),
        world.post("/credentials").json(&json!({"credential": {"type": "ec2"}})),
        world.post("/credentials").text("application/json", broken),
        world.get("/credentials"),
        world.get(minted),
        world.patch(minted).json(&guess),
        world.patch(minted).json(&disable),
        world.post(&bobs("")).json(&grant("granted-secret")),
        world.post(&bobs("")).json(&grant("granted-secret")),
        world.post(&bobs("/ec2Credentials")).json(&grant("changed-secret")),
        world.post(&bobs("")).json(&password),
        world.get(&bobs("")),
        world.delete(&bobs("/ec2Credentials")),
        world.delete(minted),
    ];
    let mut answers = Vec::new();
    for call in calls {
        answers.push(call.token("dev-admin").send().await);
    }
    answers.push(world.get(minted).token("not-a-token").send().await);
    answers
}

#[tokio::test]
async fn a_whole_scenario_leaves_no_secret_in_the_log_and_one_line_per_change() {
    listen();
    let world = World::new();
    let answers = scenario(&world).await;

    let statuses: Vec<_> = answers.iter().map(|answer| answer.status.as_u16()).collect();
    let expected = [201, 409, 201, 400, 200, 200, 400, 200, 201, 409, 200, 201, 200, 204, 204, 401];
    assert_eq!(statuses, expected);

    let text = String::from_utf8(LOG.take()).unwrap();
    let made = answers[2].json();
    let generated = made["credential"]["blob"]["secret"].as_str().unwrap();
    for secret in SECRETS.iter().chain([&generated]) {
        assert!(!text.contains(secret), "{secret} is in the log:\n{text}");
    }
    let changes = |what: &str| text.lines().filter(|line| line.contains(what)).count();
    assert_eq!(changes("credential created"), 4, "{text}");
    assert_eq!(changes("credential updated"), 2, "{text}");
    assert_eq!(changes("credential deleted"), 2, "{text}");
}

#[tokio::test]
async fn debug_of_everything_a_program_holds_tells_no_secret() {
    let world = World::new();
    let mut told = Vec::new();
    for answer in scenario(&world).await {
        let error = answer.error.as_deref().map(|error| error as &dyn std::error::Error);
        let causes = std::iter::successors(error, |error| error.source());
        told.extend(causes.map(|error| format!("{error} {error:?}")));
    }
    assert!(told.len() >= 4, "every refusal has its error: {told:?}");
    world.mint(BOB, DEMO, "minted").await;
    let service = tower::Layer::layer(&world.layer, ());
    told.push(format!("{service:?} {:?} {:?}", world.layer, world.backend));
    told.push(format!("{:?}", world.stored("minted").await.unwrap()));
    let told = told.concat();
    for secret in SECRETS {
        assert!(!told.contains(secret), "{secret} in {told}");
    }
}

#[tokio::test]
async fn refusals_and_failures_tell_no_secret_to_the_client() {
    let world = World::new();
    for answer in scenario(&world).await {
        if answer.status.is_success() {
            continue;
        }
        let told = format!("{:?} {}", answer.headers, answer.text());
        for secret in SECRETS {
            assert!(!told.contains(secret), "{secret} in {told}");
        }
    }
}
