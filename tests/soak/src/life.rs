//! Creates, rotates, disables, enables and deletes keys, and removes and restores their owners.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::{
    dice::Dice,
    keys::{Due, TrackedKey},
    keystone::Away,
    people::{ROOT, project_of, token, user},
    sign::{Sketch, sha256},
    uses::use_key,
    wire::Reply,
    world::{Kind, World},
};

/// The maximum number of keys of a user.
const MAX_KEYS: usize = 8;

/// A key with the state that only its worker knows.
struct Own {
    tracked: Arc<TrackedKey>,
    /// The v3 id, which does not change in a rotation.
    id: String,
    active: bool,
}

/// A user, whom only one worker changes.
struct Owner {
    n: usize,
    away: Option<Away>,
    keys: Vec<Own>,
}

/// Changes these users and their keys until the run is over.
pub(crate) async fn run(world: &World, name: &str, users: [usize; 2]) {
    let mut dice = Dice::new(world.seed, name);
    let mut owners = users.map(|n| Owner { n, away: None, keys: Vec::new() });
    // Creates, disables, enables, rotates, creates, deletes, so that a short run has each of them.
    for step in [0, 50, 50, 30, 0, 65, 80] {
        step_of(world, &mut dice, &mut owners[0], step).await;
    }
    while !world.is_over() {
        let owner = &mut owners[dice.below(2)];
        let step = dice.below(100);
        step_of(world, &mut dice, owner, step).await;
    }
}

async fn step_of(world: &World, dice: &mut Dice, owner: &mut Owner, step: usize) {
    // A removed user does less, and is restored sooner.
    if owner.away.is_some() && dice.one_in(6) {
        return owner.toggle_owner(world, dice).await;
    }
    if owner.keys.is_empty() || (step < 30 && owner.keys.len() < MAX_KEYS) {
        return owner.mint(world, dice).await;
    }
    let n = dice.below(owner.keys.len());
    match step {
        0..50 => owner.rotate(world, dice, n).await,
        50..65 => owner.toggle(world, dice, n).await,
        65..80 => owner.delete(world, dice, n).await,
        80..85 => owner.toggle_owner(world, dice).await,
        _ => use_key(world, dice, &owner.keys[n].tracked).await,
    }
}

impl Owner {
    /// The expected result for an active key.
    fn due(&self) -> Due {
        if self.away.is_some() { Due::OwnerGone } else { Due::Accepted }
    }

    /// A token that may change a key: the owner's, or an admin's.
    fn token(&self, dice: &mut Dice) -> (String, usize) {
        let by = if self.away.is_some() || dice.one_in(2) { ROOT } else { self.n };
        (token(by), by)
    }

    async fn mint(&mut self, world: &World, dice: &mut Dice) {
        let (by, place) = (token(self.n), project_of(self.n));
        let os_ec2 = format!("/v3/users/{}/credentials/OS-EC2", user(self.n));
        let (access, secret) = (dice.hex(), dice.hex());
        let call = match dice.below(3) {
            0 => Sketch::call("POST", "/credentials", &by, r#"{"credential": {"type": "ec2"}}"#),
            1 => {
                let blob = json!({"access": access, "secret": secret}).to_string();
                let body = json!({"credential": {"type": "ec2", "blob": blob,
                    "user_id": user(self.n), "project_id": place}});
                Sketch::call("POST", "/v3/credentials", &by, &body.to_string())
            }
            _ => {
                let body = json!({"tenant_id": place}).to_string();
                Sketch::call("POST", &os_ec2, &by, &body)
            }
        };
        if self.away.is_some() {
            // Keystone's policy checks the owner's membership only when the key is used.
            if world.kind != Kind::Front
                && let Some(reply) = world.send("api", &call, Some(self.n)).await
                && !(400..500).contains(&reply.status)
            {
                world.fault(format_args!("a removed user created a key: {reply:?}"));
            }
            return;
        }
        let Some(reply) = changed(world, &call, self.n, 201).await else { return };
        let made = &reply.json()["credential"];
        let blob = match &made["blob"] {
            Value::String(text) => serde_json::from_str(text).unwrap_or_default(),
            Value::Null => made.clone(),
            blob => blob.clone(),
        };
        let [access, secret] = ["access", "secret"].map(|name| blob[name].as_str().unwrap_or(""));
        if secret.len() < 16 {
            return world.fault(format_args!("no key in {reply:?}"));
        }
        world.tally.done("minted");
        let tracked = world.keys.add(access, secret, self.n);
        tracked.set(self.due());
        use_key(world, dice, &tracked).await;
        self.keys.push(Own { tracked, id: sha256(access.as_bytes()), active: true });
    }

    /// Replaces the pair of a key.
    async fn rotate(&mut self, world: &World, dice: &mut Dice, n: usize) {
        if self.away.is_some() || !self.keys[n].active {
            return;
        }
        let (by, asker) = self.token(dice);
        let (access, secret) = (dice.hex(), dice.hex());
        let blob = json!({"access": access, "secret": secret}).to_string();
        let body = json!({"credential": {"blob": blob}}).to_string();
        let path = format!("/v3/credentials/{}", self.keys[n].id);
        let new = world.keys.add(&access, &secret, self.n);
        let old = Arc::clone(&self.keys[n].tracked);
        old.set(Due::Either);
        let call = Sketch::call("PATCH", &path, &by, &body);
        if changed(world, &call, asker, 200).await.is_none() {
            old.set(self.due());
            return new.set(Due::Revoked);
        }
        world.tally.done("rotated");
        old.set(Due::Revoked);
        new.set(self.due());
        self.keys[n].tracked = Arc::clone(&new);
        for tracked in [old, new] {
            use_key(world, dice, &tracked).await;
        }
    }

    async fn toggle(&mut self, world: &World, dice: &mut Dice, n: usize) {
        let (by, asker) = self.token(dice);
        let due = self.due();
        let own = &mut self.keys[n];
        let status = if own.active { "Inactive" } else { "Active" };
        let body = json!({"credential": {"blob": {"status": status}}}).to_string();
        let path = format!("/credentials/{}", own.tracked.access);
        let (_, before) = own.tracked.due();
        own.tracked.set(Due::Either);
        let call = Sketch::call("PATCH", &path, &by, &body);
        if changed(world, &call, asker, 200).await.is_none() {
            return own.tracked.set(before);
        }
        world.tally.done(if own.active { "disabled" } else { "enabled" });
        own.active = !own.active;
        own.tracked.set(if own.active { due } else { Due::Revoked });
        use_key(world, dice, &own.tracked).await;
    }

    async fn delete(&mut self, world: &World, dice: &mut Dice, n: usize) {
        let (by, asker) = self.token(dice);
        let Own { tracked, id, .. } = &self.keys[n];
        // OS-EC2 returns 404 for a removed user.
        let path = match dice.below(if self.away.is_some() { 2 } else { 3 }) {
            0 => format!("/credentials/{}", tracked.access),
            1 => format!("/v3/credentials/{id}"),
            _ => format!("/v3/users/{}/credentials/OS-EC2/{}", user(self.n), tracked.access),
        };
        // A rotated pair can be deleted by its id or its new access key.
        let call = Sketch::call("DELETE", &path, &by, "");
        let (_, before) = tracked.due();
        tracked.set(Due::Either);
        if changed(world, &call, asker, 204).await.is_none() {
            return tracked.set(before);
        }
        world.tally.done("deleted");
        tracked.set(Due::Revoked);
        use_key(world, dice, tracked).await;
        self.keys.swap_remove(n);
    }

    /// Removes the owner or its membership, or restores it.
    async fn toggle_owner(&mut self, world: &World, dice: &mut Dice) {
        let gone = match self.away {
            Some(_) => None,
            None => Some([Away::Unknown, Away::Disabled, Away::WithoutRoles][dice.below(3)]),
        };
        let active = || self.keys.iter().filter(|own| own.active);
        for own in active() {
            own.tracked.set(Due::Either);
        }
        world.people.set(world, self.n, gone).await;
        world.tally.done(match gone {
            None => "restored",
            Some(Away::WithoutRoles) => "memberships removed",
            Some(_) => "users removed",
        });
        let due = if gone.is_some() { Due::OwnerGone } else { Due::Accepted };
        for own in active() {
            own.tracked.set(due);
        }
        for own in active() {
            use_key(world, dice, &own.tracked).await;
        }
        self.away = gone;
    }
}

/// Sends a change. During an outage, 503 is accepted.
async fn changed(world: &World, call: &Sketch, asker: usize, due: u16) -> Option<Reply> {
    let since = world.now();
    let reply = world.send("api", call, Some(asker)).await?;
    if reply.status == due {
        return Some(reply);
    }
    if !(reply.status == 503 && world.had_outage(since)) {
        world.fault(format_args!("expected {due} for a change: {call:?}\n{reply:?}"));
    }
    None
}
