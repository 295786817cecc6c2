//! Compares a lookup in the cache with the minimum: a `HashMap` in an `RwLock`, whose reader clones
//! an `Arc`.
//!
//! `cargo bench --bench cached`
//!
//! All cases use the same keys in the same random order, prepared as one string.

#![allow(clippy::disallowed_methods, reason = "a bench reads the clock")]

use std::{
    collections::HashMap,
    hint::black_box,
    sync::{Arc, Barrier, PoisonError, RwLock},
    thread,
    time::{Duration, Instant, SystemTime},
};

use test_support::{bench::median, records};
use tokio::runtime::Runtime;
use tower_credentials::{
    backend::{CredentialBackend, KeySource, Known, cached::Cached, memory::MemoryBackend},
    domain::{AccessKey, Credential, Material, Quota},
};

const ROUNDS: usize = 25;
/// The lookups of a thread in a round.
const CALLS: usize = 200_000;
const KEY: usize = 32;
const UNKNOWN: usize = 1_000_000;
const LONG: Duration = Duration::from_hours(1);

type Map = RwLock<HashMap<String, Arc<Credential>>>;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let threads = thread::available_parallelism().unwrap().get();
    for keys in [1_000, 100_000] {
        let world = World::new(keys, threads, &runtime);
        println!("{keys} keys");
        world.one_thread(&runtime);
        world.many_threads(threads);
        world.unknown_keys(&runtime);
    }
}

struct World {
    map: Map,
    cached: Cached<MemoryBackend>,
    /// One string of access keys in random order for each thread.
    orders: Vec<String>,
}

impl World {
    fn new(keys: usize, threads: usize, runtime: &Runtime) -> Self {
        let backend = MemoryBackend::default();
        // Large enough for all keys.
        let cached = Cached::builder(backend).ttl(LONG).absence_ttl(LONG).capacity(150_000);
        let (cached, map) = (cached.build(), Map::default());
        let mut names = Vec::new();
        runtime.block_on(async {
            for number in 0..keys {
                let credential = Arc::new(pair(number));
                let access_key = credential.access_key.clone().unwrap();
                cached.insert(&credential, Quota::Unlimited).await.unwrap();
                names.push(access_key.as_str().to_owned());
                lock(&map).insert(access_key.as_str().to_owned(), credential);
                cached.find(&access_key).await.unwrap();
            }
            // Keys whose first entry a later write invalidated.
            for name in &names {
                cached.find(&AccessKey::from_stored(name.as_str())).await.unwrap();
            }
        });
        assert_eq!(cached.stats().entries, keys);
        let order = |_| (0..CALLS).map(|_| &*names[rand::random_range(0..keys)]).collect();
        Self { map, cached, orders: (0..threads).map(order).collect() }
    }

    fn one_thread(&self, runtime: &Runtime) {
        let (mut known, mut find, mut nanos) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..=ROUNDS {
            let map = self.read_map(0);
            let at_once = self.ask_known(0);
            let asynchronous = self.ask_find(runtime);
            if round > 0 {
                known.push(at_once / map);
                find.push(asynchronous / map);
                nanos.push(map);
            }
        }
        println!("  the map, one thread            {:>7.1} ns", median(nanos));
        println!("  known / map                    {:>7.2}      bar: at most 2.00", median(known));
        println!("  find / map                     {:>7.2}", median(find));
    }

    fn many_threads(&self, threads: usize) {
        let (mut beside_map, mut beside_one) = (Vec::new(), Vec::new());
        for round in 0..=ROUNDS {
            let one = self.ask_known(0);
            let map = on_all(threads, |thread| self.read_map(thread));
            let many = on_all(threads, |thread| self.ask_known(thread));
            if round > 0 {
                beside_map.push(many / map);
                beside_one.push(many / one);
            }
        }
        let (map, one) = (median(beside_map), median(beside_one));
        println!("  known / map, {threads:>2} threads each   {map:>7.2}      bar: at most 1.00");
        println!("  known, {threads:>2} threads / one        {one:>7.2}");
    }

    /// Rounds before and after a million unknown keys; then the hits of the known keys.
    fn unknown_keys(&self, runtime: &Runtime) {
        let rounds = || {
            let ratio = |_| self.ask_known(0) / self.read_map(0);
            median((0..=ROUNDS).map(ratio).skip(1).collect())
        };
        let before = rounds();
        runtime.block_on(async {
            for number in 0..UNKNOWN {
                let unknown = AccessKey::from_stored(format!("{number:032}"));
                assert!(self.cached.find(&unknown).await.unwrap().is_none());
            }
        });
        let (hits, misses) = self.hits_and_misses(runtime);
        println!("  hits after {UNKNOWN} unknown   {hits:>7} of {}", hits + misses);
        println!("  known after / before           {:>7.2}", rounds() / before);
    }

    fn hits_and_misses(&self, runtime: &Runtime) -> (u64, u64) {
        let before = self.cached.stats();
        self.ask_find(runtime);
        let after = self.cached.stats();
        (after.hits - before.hits, after.misses - before.misses)
    }

    fn read_map(&self, thread: usize) -> f64 {
        self.time(thread, |access_key| {
            let found =
                self.map.read().unwrap_or_else(PoisonError::into_inner).get(access_key).cloned();
            assert!(black_box(found).is_some());
        })
    }

    fn ask_known(&self, thread: usize) -> f64 {
        let now = SystemTime::now();
        self.time(thread, |access_key| {
            let known = self.cached.known(access_key, now);
            assert!(matches!(black_box(known), Some(Known::Present(_))));
        })
    }

    fn ask_find(&self, runtime: &Runtime) -> f64 {
        runtime.block_on(async {
            let started = Instant::now();
            for at in 0..CALLS {
                // A verifier has the access key as a part of the request.
                let access_key = AccessKey::from_stored(name(&self.orders[0], at));
                assert!(black_box(self.cached.find(&access_key).await.unwrap()).is_some());
            }
            per_call(started)
        })
    }

    /// Nanoseconds per call.
    fn time(&self, thread: usize, call: impl Fn(&str)) -> f64 {
        let order = &self.orders[thread];
        let started = Instant::now();
        for at in 0..CALLS {
            call(black_box(name(order, at)));
        }
        per_call(started)
    }
}

/// Runs on this many threads at once; returns the mean of their measurements.
#[allow(clippy::cast_precision_loss, reason = "counts of a bench")]
fn on_all(threads: usize, measure: impl Fn(usize) -> f64 + Sync) -> f64 {
    let barrier = Barrier::new(threads);
    let sum: f64 = thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|thread| {
                let (barrier, measure) = (&barrier, &measure);
                scope.spawn(move || {
                    barrier.wait();
                    measure(thread)
                })
            })
            .collect();
        running.into_iter().map(|running| running.join().unwrap()).sum()
    });
    sum / threads as f64
}

/// A user has ten keys, and a project ten users.
fn pair(number: usize) -> Credential {
    let (user, project) = (format!("user-{}", number / 10), format!("project-{}", number / 100));
    let mut pair = records::new_pair_in(&project, &user);
    pair.material = Material::KeyPair { secret: None };
    pair
}

fn lock(map: &Map) -> std::sync::RwLockWriteGuard<'_, HashMap<String, Arc<Credential>>> {
    map.write().unwrap_or_else(PoisonError::into_inner)
}

fn name(order: &str, at: usize) -> &str {
    &order[at * KEY..][..KEY]
}

#[allow(clippy::cast_precision_loss, reason = "counts of a bench")]
fn per_call(started: Instant) -> f64 {
    started.elapsed().as_nanos() as f64 / CALLS as f64
}
