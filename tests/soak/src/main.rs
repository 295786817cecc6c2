//! Sends random valid and hostile requests to the example servers, while keys and their owners are
//! created and deleted.
//!
//! Each server runs for `SOAK_SECONDS` (6 by default); `scripts/soak` sets ten minutes. The
//! requests depend only on `SOAK_SEED`, which is printed. The same seed repeats the choices of each
//! sender, but not how the senders interleave.

mod broken;
mod calls;
mod dice;
mod hostile;
mod keys;
mod life;
mod mutated;
mod operation;
mod people;
mod sign;
mod tally;
mod uses;
mod watch;
mod wire;
mod world;

use std::{fs, os::unix::fs::PermissionsExt, time::Duration};

use http::Method;
use test_support::{
    keystone::{self, Keystone},
    process::{Program, Server},
    signer, waiting,
};
use tokio::{join, select, time::sleep};

use crate::{
    dice::Dice,
    operation::{Operation, with_operation},
    people::{CACHE_SECONDS, HOSTILE, People},
    sign::Sketch,
    world::{Kind, World},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accesser_survives_random_and_hostile_requests() {
    Box::pin(soak_with_file(
        Kind::Accesser,
        Server::new(Program::of_workspace("accesser", true)),
        &[],
    ))
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gateway_survives_random_and_hostile_requests() {
    let server = Server::new(Program::of_workspace("object-gateway", false));
    Box::pin(soak_with_file(Kind::Gateway, server, &["--signature-v2"])).await;
}

async fn soak_with_file(kind: Kind, server: Server, arguments: &[&str]) {
    let file = server.home().join("identities.toml");
    let people = People::in_file(&file);
    let server = server.arguments(&["--identities", file.to_str().unwrap()]).arguments(arguments);
    let server = with_operation(server);
    let running = server.start().await;
    let operation = Operation::of(server.home(), &running).await;
    soak(World::new(kind, running, people, Dice::seed()), &operation).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn front_survives_random_and_hostile_requests_and_outages() {
    let keystone = Keystone::start().await;
    let server = Server::new(Program::of_workspace("keystone-front", false));
    let (home, url) = (server.home().to_owned(), keystone.url.clone());
    let password = home.join("password");
    fs::write(&password, "the-service-password\n").unwrap();
    fs::set_permissions(&password, fs::Permissions::from_mode(0o600)).unwrap();
    let backend = format!("sqlite:{}", home.join("front.db").display());
    let server = server.arguments(&["--keystone", &url, "--backend", &backend]).arguments(&[
        "--service-user",
        "front",
        "--service-project",
        "service",
        "--service-password-file",
        password.to_str().unwrap(),
        "--cache-seconds",
        CACHE_SECONDS,
    ]);
    let people = People::in_keystone(keystone);
    let server = with_operation(server);
    let running = server.start().await;
    let operation = Operation::of(server.home(), &running).await;
    Box::pin(soak(World::new(Kind::Front, running, people, Dice::seed()), &operation)).await;
}

/// Soaks a server, and then checks the whole run.
async fn soak(world: World, operation: &Operation) {
    let (kind, seed) = (world.kind, world.seed);
    println!("{kind:?}: SOAK_SEED={seed}");
    let before = watch::descriptors(&world);
    uses::create_buckets(&world, &[0, 1, HOSTILE[0]]).await;
    let senders = async {
        join!(
            watch::measure(&world),
            life::run(&world, "life 1", [0, 1]),
            life::run(&world, "life 2", [2, 3]),
            life::run(&world, "life 3", [4, 5]),
            uses::keep_using(&world, "uses 1"),
            uses::keep_using(&world, "uses 2"),
            hostile::attack(&world, "hostile 1", 0),
            hostile::attack(&world, "hostile 2", 1),
            probe(&world),
            take_down(&world),
        )
        .0
    };
    let usage = select! {
        usage = senders => usage,
        () = world.follow_log() => unreachable!(),
    };
    usage.check(&world);
    watch::wait_for_close(&world, before).await;
    world.send("plain", &Sketch::new("GET", "/healthz"), None).await;
    let log = world.log();
    let secrets = world.keys.owners_in(&log).len();
    if secrets > 0 {
        world.fault(format_args!("{secrets} secrets are in the log"));
    }
    let log = String::from_utf8_lossy(&log);
    if log.contains("panicked") {
        world.fault("a panic is in the log");
    }
    for what in ["minted", "rotated", "disabled", "enabled", "deleted"] {
        if world.tally.count(what) == 0 {
            world.fault(format_args!("no key was {what}"));
        }
    }
    let (accepted, rejected) = world.tally.uses();
    if accepted == 0 || rejected == 0 {
        world.fault("no valid key was used, or no revoked one");
    }
    let reported = operation.check(&world).await;
    let secrets = world.keys.secrets();
    println!("{kind:?}: {}; {secrets} secrets searched for; {usage}; {reported}", world.tally);
    let faults = world.faults();
    let errors = log.lines().rev().filter(|line| line.contains("ERROR") || line.contains("WARN"));
    let errors = errors.take(20).collect::<Vec<_>>().join("\n");
    let faults = faults.join("\n\n");
    assert!(faults.is_empty(), "SOAK_SEED={seed}, {kind:?}:\n{faults}\nthe log ends:\n{errors}");
}

/// Checks the health check regularly.
async fn probe(world: &World) {
    while !world.is_over() {
        let reply = world.send("plain", &Sketch::new("GET", "/healthz"), None).await;
        if reply.is_some_and(|reply| reply.text() != "ok\n") {
            world.fault("the health check is not ok");
        }
        sleep(Duration::from_millis(200)).await;
    }
}

/// Makes Keystone fail from time to time, while no user is removed or restored.
async fn take_down(world: &World) {
    let Some(keystone) = world.people.keystone() else { return };
    let mut dice = Dice::new(world.seed, "outages");
    // In a short run, each change happens at least once before.
    while world.tally.count("deleted") == 0 && !world.is_over() {
        sleep(Duration::from_millis(50)).await;
    }
    while !world.is_over() {
        let up = u64::try_from(2_000 + dice.below(15_000)).unwrap();
        sleep(Duration::from_millis(up).min(world::duration() / 3)).await;
        keystone.clear_requests();
        let _lock = world.people.lock().await;
        world.tally.done("outages");
        world.toggle_outage();
        for method in [Method::GET, Method::POST, Method::PATCH, Method::DELETE] {
            keystone.fail(&method, "/", 0);
        }
        let down = u64::try_from(500 + dice.below(2_500)).unwrap();
        sleep(Duration::from_millis(down).min(world::duration() / 6)).await;
        keystone.clear_faults();
        world.toggle_outage();
    }
}
