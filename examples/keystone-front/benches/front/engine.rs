//! Compares creates through the front with SQLite alone.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use test_support::bench::{self, engine, load};
use tower_credentials::domain::{
    AccessKey, Credential, CredentialId, Kind, Material, ProjectId, SecretKey, UserId, Version,
};

use crate::{CREATORS, start, world::World};

/// The rows that the engine writes in a round.
const CREATES: usize = CREATORS * 300;
/// One more warms up.
const ROUNDS: usize = 5;

/// Compares creates by many clients through the front with raw inserts into SQLite: the same number
/// of rows, with one row per client in each transaction.
pub(crate) async fn compare(keystone: &str, password: &str, world: &World) {
    let mut shares = Vec::new();
    for round in 0..=ROUNDS {
        // Both start with a new file.
        let front = start(keystone, password).await;
        let address = front.host().parse().unwrap();
        let (request, _) = world.request("ec2 create", address).await;
        let folder = tempfile::tempdir().unwrap();
        let rows: Vec<engine::Row> = (0..CREATES).map(|_| world.row()).collect();
        let database = engine::open(&folder.path().join("engine.db"));
        let started = Instant::now();
        for batch in rows.chunks(CREATORS) {
            engine::commit(&database, batch);
        }
        let engine = bench::rate(CREATES, started.elapsed());
        let (process, length) = (front.id(), Duration::from_secs(2));
        let load = load::run(address, process, &request, 201, CREATORS, length).await;
        if round > 0 {
            shares.push(load.requests_per_second / engine);
        }
    }
    let share = bench::median(shares);
    println!("creates by {CREATORS} clients / engine by {CREATORS}: {share:.2}, bar: 0.80");
}

impl World {
    /// The row of an OS-EC2 create.
    fn row(&self) -> engine::Row {
        let key = AccessKey::generate().unwrap();
        let material = Material::KeyPair { secret: Some(SecretKey::generate().unwrap()) };
        let (id, user) = (CredentialId::of(&key), UserId::from_stored(&*self.user));
        let now = UNIX_EPOCH + SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let mut record = Credential::new(id, Kind::ec2(), user, material, now, Version::fresh());
        record.project_id = Some(ProjectId::from_stored(&*self.project));
        record.access_key = Some(key);
        record.into()
    }
}
