//! Uses keys, and checks each result.

use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;

use crate::{
    dice::Dice,
    keys::{Due, TrackedKey},
    people::{project_of, token},
    sign::{Sketch, Terms, date_line, stamp},
    signer,
    wire::Reply,
    world::{Kind, World},
};

/// A bucket of a user's project.
pub(crate) fn bucket(user: usize) -> String {
    format!("bucket-of-{}", project_of(user))
}

/// Uses random keys until the run is over.
pub(crate) async fn keep_using(world: &World, name: &str) {
    let mut dice = Dice::new(world.seed, name);
    while !world.is_over() {
        match world.keys.any(&mut dice) {
            Some(tracked) => use_key(world, &mut dice, &tracked).await,
            None => sleep(Duration::from_millis(10)).await,
        }
    }
}

/// Uses a key once.
pub(crate) async fn use_key(world: &World, dice: &mut Dice, tracked: &TrackedKey) {
    let (before, since) = (tracked.due(), world.now());
    let by_token = world.kind == Kind::Front || dice.one_in(6);
    let (class, sketch, asker) = if by_token {
        // The caller is not the owner, and must not see the secret.
        ("s3tokens", redeem(world, dice, tracked), None)
    } else {
        ("s3", sign(world, dice, tracked), Some(tracked.owner))
    };
    let Some(reply) = world.send(class, &sketch, asker).await else { return };
    if tracked.due() != before {
        return;
    }
    let due = before.1;
    let outage = world.had_outage(since);
    match (came_out(&reply, by_token), due) {
        (_, Due::Either) => {}
        (Some(true), Due::Accepted) => world.tally.used(true),
        (Some(false), Due::Revoked | Due::OwnerGone) => world.tally.used(false),
        // Cached data of the directory may be used, and 503 is possible.
        (Some(true), Due::OwnerGone) if world.had_recent_outage(since) => {}
        (None, _) if outage => {}
        _ => world.fault(format_args!(
            "{class}: a key of {due:?} gets {}: {} {}, {sketch:?}",
            reply.status,
            tracked.access,
            reply.text()
        )),
    }
}

/// Whether a key was accepted, if the response shows it.
fn came_out(reply: &Reply, by_token: bool) -> Option<bool> {
    match reply.status {
        404 => Some(!by_token),
        401 | 403 => Some(false),
        200..=299 | 304 | 409 | 412 => Some(true),
        _ => None,
    }
}

fn sign(world: &World, dice: &mut Dice, tracked: &TrackedKey) -> Sketch {
    let (host, access, secret) = (world.host(), &*tracked.access, &*tracked.secret);
    let bucket = bucket(tracked.owner);
    let object = format!("/{bucket}/object-{}", dice.below(20));
    let terms = Terms { age: i64::try_from(dice.below(600)).unwrap() - 300, ..Terms::default() };
    let sketch = match dice.below(8) {
        0 => Sketch::new("GET", "/"),
        1 => Sketch::new("GET", format!("/{bucket}")).query("list-type", "2"),
        2 => {
            let size = dice.below(32 << 10);
            Sketch::new("PUT", object).body(dice.bytes(size))
        }
        3 => Sketch::new("HEAD", object),
        4 => Sketch::new("DELETE", object),
        5 => return Sketch::new("GET", object).presigned(host, access, secret, &terms),
        // The accesser does not accept version 2.
        6 if world.kind == Kind::Gateway => {
            return Sketch::new("GET", object).v2(access, secret, terms.age);
        }
        _ => Sketch::new("GET", object),
    };
    sketch.v4(host, access, secret, &terms)
}

/// `s3tokens` with a signature of either version.
fn redeem(world: &World, dice: &mut Dice, tracked: &TrackedKey) -> Sketch {
    let (access, secret) = (&*tracked.access, &*tracked.secret);
    let body = if dice.one_in(2) {
        let time = stamp(0);
        let scope = format!("{}/us-east-1/s3/aws4_request", &time[..8]);
        signer::s3_v4(access, secret, &time, &scope)
    } else {
        signer::s3_v1(access, secret, &date_line(0))
    };
    Sketch::call("POST", "/v3/s3tokens", &world.people.validating(), &body.to_string())
}

/// Creates the buckets of the users' projects.
pub(crate) async fn create_buckets(world: &World, users: &[usize]) {
    if world.kind == Kind::Front {
        return;
    }
    for &user in users {
        let body = json!({"credential": {"type": "ec2"}}).to_string();
        let call = Sketch::call("POST", "/credentials", &token(user), &body);
        let Some(reply) = world.send("api", &call, Some(user)).await else { return };
        let blob = &reply.json()["credential"]["blob"];
        let text = |name: &str| blob[name].as_str().unwrap_or_default().to_owned();
        let (access, secret) = (text("access"), text("secret"));
        world.keys.note_secret(&secret, user);
        let put = Sketch::new("PUT", format!("/{}", bucket(user)));
        let put = put.v4(world.host(), &access, &secret, &Terms::default());
        world.send("s3", &put, Some(user)).await;
    }
}
