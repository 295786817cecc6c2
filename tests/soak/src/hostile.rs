//! Sends hostile requests.

use std::{sync::Arc, time::Duration};

use serde_json::Value;
use tokio::time::timeout;

use crate::{
    broken, calls,
    dice::Dice,
    keys::TrackedKey,
    mutated,
    people::{HOSTILE, token, user},
    sign::{Sketch, Terms},
    uses::bucket,
    wire::{self, Pieces},
    world::{Kind, World, shown},
};

/// How long to wait for a response to broken HTTP, which is optional.
const GLANCE: Duration = Duration::from_millis(300);

/// The number of requests after which the sender deletes its keys.
const UNTIDY: usize = 60;

/// Requests, and their expected results.
pub(crate) enum Shot {
    /// A valid HTTP request, which must get a response. A forbidden one must not succeed.
    Request { class: &'static str, sketch: Sketch, forbidden: bool },
    /// Valid requests in pieces. Each must get a response.
    Pieces { class: &'static str, pieces: Pieces, count: usize },
    /// Broken HTTP, which may get a response.
    Broken { class: &'static str, pieces: Pieces },
    /// The client disconnects.
    Left { class: &'static str, pieces: Pieces },
}

/// A sender with its own user and keys.
pub(crate) struct Sender<'a> {
    pub(crate) world: &'a World,
    pub(crate) dice: Dice,
    pub(crate) me: usize,
    pub(crate) keys: Vec<Arc<TrackedKey>>,
}

/// Sends hostile requests until the run is over.
pub(crate) async fn attack(world: &World, name: &str, n: usize) {
    let me = HOSTILE[n % HOSTILE.len()];
    let mut sender = Sender { world, dice: Dice::new(world.seed, name), me, keys: Vec::new() };
    while !world.is_over() {
        sender.tidy(n < HOSTILE.len()).await;
        for _ in 0..UNTIDY {
            if world.is_over() {
                return;
            }
            let shot = sender.shot();
            sender.send(shot).await;
        }
    }
}

impl Sender<'_> {
    fn shot(&mut self) -> Shot {
        match self.dice.below(100) {
            0..25 => broken::shot(self),
            25..62 => calls::shot(self),
            62..97 if self.world.kind == Kind::Front => calls::shot(self),
            62..97 => mutated::shot(self),
            97 => broken::slow(self),
            _ => broken::pipelined(self),
        }
    }

    async fn send(&self, shot: Shot) {
        let (world, me) = (self.world, Some(self.me));
        match shot {
            Shot::Request { class, sketch, forbidden } => {
                let Some(reply) = world.send(class, &sketch, me).await else { return };
                if forbidden && reply.status < 300 {
                    world.fault(format_args!("{class} is accepted: {sketch:?}\n{reply:?}"));
                }
            }
            Shot::Pieces { class, pieces, count } => {
                world.send_pieces(class, pieces, count, false, me).await;
            }
            Shot::Broken { class, pieces } => {
                let (since, what) = (world.now(), shown(&pieces));
                world.tally.sent(class);
                let answers = wire::exchange(world.host(), pieces, 1, false);
                for reply in timeout(GLANCE, answers).await.into_iter().flatten().flatten() {
                    world.check(class, since, me, &reply, &what);
                }
            }
            Shot::Left { class, pieces } => {
                world.tally.sent(class);
                if let Err(why) = wire::leave(world.host(), pieces).await {
                    world.fault(format_args!("{class}: {why}"));
                }
            }
        }
    }

    /// Deletes the user's keys, and creates two new ones. If several senders share a user, only one
    /// of them deletes; the others may find their keys deleted.
    async fn tidy(&mut self, deletes: bool) {
        let (world, me, by) = (self.world, self.me, token(self.me));
        if deletes {
            let path = format!("/v3/credentials?user_id={}", user(me));
            let list = world.send("api", &Sketch::call("GET", &path, &by, ""), Some(me)).await;
            let list = list.map(|reply| reply.json()).unwrap_or_default();
            for one in list["credentials"].as_array().into_iter().flatten() {
                let id = one["id"].as_str().unwrap_or_default();
                let call = Sketch::call("DELETE", &format!("/v3/credentials/{id}"), &by, "");
                world.send("api", &call, Some(me)).await;
            }
        }
        self.keys.clear();
        for _ in 0..2 {
            let body = r#"{"credential": {"type": "ec2"}}"#;
            let call = Sketch::call("POST", "/credentials", &by, body);
            let made = world.send("api", &call, Some(me)).await.map(|reply| reply.json());
            let made = made.unwrap_or_default();
            let text = |name: &str| match &made["credential"]["blob"][name] {
                Value::String(text) => text.clone(),
                _ => String::new(),
            };
            let (access, secret) = (text("access"), text("secret"));
            if secret.len() >= 16 {
                world.keys.note_secret(&secret, me);
                self.keys.push(Arc::new(TrackedKey::unlisted(&access, &secret, me)));
            }
        }
        if deletes && world.kind != Kind::Front {
            self.empty_bucket().await;
        }
    }

    async fn empty_bucket(&mut self) {
        let Some(key) = self.keys.first() else { return };
        let bucket = bucket(self.me);
        let list = Sketch::new("GET", format!("/{bucket}"));
        let signed = |sketch: Sketch| {
            sketch.v4(self.world.host(), &key.access, &key.secret, &Terms::default())
        };
        let list = self.world.send("s3", &signed(list), Some(self.me)).await;
        let list = list.map(|reply| reply.text()).unwrap_or_default();
        let keys = list.split("<Key>").skip(1).filter_map(|rest| rest.split("</Key>").next());
        for object in keys {
            let plain = object.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
            if plain {
                let delete = Sketch::new("DELETE", format!("/{bucket}/{object}"));
                self.world.send("s3", &signed(delete), Some(self.me)).await;
            }
        }
    }

    /// A key of the sender, or one that does not exist.
    pub(crate) fn own(&mut self) -> Arc<TrackedKey> {
        match self.keys.len() {
            0 => {
                let (access, secret) = (self.dice.hex(), self.dice.hex());
                Arc::new(TrackedKey::unlisted(&access, &secret, self.me))
            }
            count => Arc::clone(&self.keys[self.dice.below(count)]),
        }
    }

    /// Another user's key.
    pub(crate) fn foreign(&mut self) -> Arc<TrackedKey> {
        let any = self.world.keys.any(&mut self.dice);
        any.unwrap_or_else(|| Arc::new(TrackedKey::unlisted("nobodys", "the-secret-of-nobody", 0)))
    }
}
