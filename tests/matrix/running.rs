//! Sends each request of the matrix and compares the result with the oracle.

use std::{
    sync::Arc,
    thread,
    time::{Duration, SystemTime},
};

use tokio::runtime::{Builder, Runtime};
use tower_credentials::{
    backend::{CredentialBackend, ListQuery, Order, memory::MemoryBackend},
    domain::Credential,
};

use crate::{
    callers::Subject,
    counting::Report,
    facts::Setting,
    judging::{self, Cell},
    limits::end_of,
    operations::Operation,
    oracle::{Made, Oracle},
    records::{self, Seed},
    requests::{self, Chosen},
    world::{World, test_issuer::TestIssuer},
};

/// A created key pair.
#[derive(Clone, Debug)]
pub(crate) struct Minted {
    pub(crate) record: Arc<Credential>,
    /// The record that the rules expect.
    pub(crate) made: Made,
    /// The request that created it.
    pub(crate) by: String,
    /// The record with the pair that it replaced.
    pub(crate) replaced: Option<Arc<Credential>>,
    /// Whether it was stored before, and no rule checked its owner.
    pub(crate) was_stored: bool,
    /// Of limited, changed and rotated keys with equal names here and equal members, one is used.
    pub(crate) sample: Option<String>,
}

impl Minted {
    /// A key that was in the store before the request.
    pub(crate) fn of(self, seed: &Seed) -> Self {
        let sample = self.sample.map(|kind| format!("{kind} {}", seed.name));
        Self { sample, ..self }
    }

    /// The key with its expiry as if its request had come at this time.
    pub(crate) fn shifted_to(&self, now: SystemTime) -> Self {
        let shift = |record: &mut Arc<Credential>| {
            let Some(end) = end_of(record) else { return };
            let distance = Duration::from_micros(end.unsigned_abs());
            let end = if end < 0 { now - distance } else { now + distance };
            Arc::make_mut(record).terms.set_expires_at(Some(end));
        };
        let mut minted = self.clone();
        shift(&mut minted.record);
        minted.replaced.iter_mut().for_each(shift);
        minted
    }

    /// A key that this operation created or changed.
    pub(crate) fn by(self, operation: &Operation) -> Self {
        let sample = operation.is_sampled().then(|| operation.kind());
        Self { sample, ..self }
    }
}

/// A runtime for one thread.
pub(crate) fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().build().unwrap()
}

/// Runs the function once for each core, with the core's number and the number of cores, and
/// adds up the reports.
pub(crate) fn on_every_core(run: impl Fn(usize, usize) -> Report + Sync) -> Report {
    let cores = thread::available_parallelism().map_or(1, usize::from).min(8);
    let mut report = Report::default();
    thread::scope(|scope| {
        let run = &run;
        let threads: Vec<_> =
            (0..cores).map(|core| scope.spawn(move || run(core, cores))).collect();
        for thread in threads {
            report.add(thread.join().unwrap());
        }
    });
    report
}

/// Sends each operation as each caller, and returns the report.
pub(crate) fn run(setting: Setting, callers: &[Subject], operations: &[Operation]) -> Report {
    let seeds = records::all();
    on_every_core(|core, cores| {
        let callers = callers.iter().enumerate().skip(core).step_by(cores);
        let runtime = runtime();
        let mut runner = Runner::new(setting, &seeds, operations);
        for (number, caller) in callers {
            runtime.block_on(runner.run(number, caller));
        }
        runner.report
    })
}

struct Runner<'a> {
    setting: Setting,
    oracle: Oracle<'a>,
    seeds: &'a [Seed],
    operations: &'a [Operation],
    stored: Vec<Arc<Credential>>,
    /// The stored records in the order of a list.
    before: Vec<Arc<Credential>>,
    report: Report,
}

impl<'a> Runner<'a> {
    fn new(setting: Setting, seeds: &'a [Seed], operations: &'a [Operation]) -> Self {
        let stored: Vec<_> = seeds.iter().map(Seed::stored).collect();
        let mut before = stored.clone();
        before.sort_by_key(|record| Order::Key.marker(record));
        let oracle = Oracle::new(setting, seeds);
        Self { setting, oracle, seeds, operations, stored, before, report: Report::default() }
    }

    /// Sends each operation as this caller, each to a store with the same records.
    async fn run(&mut self, number: usize, caller: &'a Subject) {
        let validator: Arc<dyn tower_credentials::auth::TokenValidator> =
            Arc::new(caller.validator());
        let mut world = None;
        for (at, operation) in self.operations.iter().enumerate() {
            let current = match world.take() {
                Some(world) => world,
                None => self.world(Arc::clone(&validator)).await,
            };
            let chosen = Chosen::new(number * self.operations.len() + at);
            let mut request = requests::call(&current, self.seeds, operation, &chosen);
            if let Some(token) = caller.token() {
                request = request.token(token);
            }
            let answer = request.send().await;
            let after = dump(&*current.backend).await;
            let cell = Cell { oracle: &self.oracle, caller, operation, chosen: &chosen };
            let changed = !judging::same(&self.before, &after);
            judging::judge(&cell, &answer, &self.before, &after, &mut self.report);
            // The next request reuses an unchanged store.
            world = (!changed).then_some(current);
        }
    }

    async fn world(&self, validator: Arc<dyn tower_credentials::auth::TokenValidator>) -> World {
        let store = Arc::new(records::store(&self.stored).await);
        let setting = self.setting;
        let issuer = TestIssuer::default();
        issuer.ignore_expiry();
        World::build(validator, store, |builder| {
            let builder = builder.policy(setting.policy()).issuer(issuer);
            let builder = builder.show_secrets_once(setting.shows_once);
            let builder = match setting.max_life {
                Some(life) => builder.max_key_life(Duration::from_secs(life.unsigned_abs())),
                None => builder,
            };
            match setting.directory() {
                Some(directory) => builder.directory(directory),
                None => builder,
            }
        })
    }
}

/// All records in a store.
pub(crate) async fn dump(store: &dyn CredentialBackend) -> Vec<Arc<Credential>> {
    let page = store.list(&ListQuery::new(Order::Key)).await.unwrap();
    assert!(page.next.is_none(), "the store has more than a page of records");
    page.credentials
}

/// A store with these records, and the records that conflict with others in it.
pub(crate) async fn batch(minted: &[Minted]) -> (MemoryBackend, Vec<Minted>, Vec<Minted>) {
    let store = MemoryBackend::default();
    let (mut stored, mut left) = (Vec::new(), Vec::new());
    for minted in minted {
        let quota = tower_credentials::domain::Quota::Unlimited;
        // A rotation in place changes the stored record.
        let first = minted.replaced.as_ref().unwrap_or(&minted.record);
        if store.insert(first, quota).await.is_err() {
            left.push(minted.clone());
            continue;
        }
        if let Some(old) = &minted.replaced {
            assert!(store.update(&minted.record, old.version).await.unwrap());
        }
        stored.push(minted.clone());
    }
    (store, stored, left)
}
