//! Metrics of the keys in a store.

use std::{sync::Arc, time::Duration};

use test_support::{clock::TestClock, records};
use tower_credentials::{
    backend::{CredentialBackend, memory::MemoryBackend},
    clock::Clock,
    domain::{Quota, Status},
    metrics::KeySampler,
};

use crate::recorder::Recorded;

const DAY: Duration = Duration::from_hours(24);

#[tokio::test]
async fn keys_are_counted_by_state_and_by_time_to_expiry() {
    let (recorded, clock, store) =
        (Recorded::default(), TestClock::default(), MemoryBackend::default());
    // More than a page.
    for index in 0..1_200 {
        let mut record = records::pair("alice", &format!("key-{index}"), "a-secret");
        let end = match index {
            0..10 => Some(clock.now() + DAY / 2),
            10..30 => Some(clock.now() + DAY * 3),
            30..70 => Some(clock.now() + DAY * 30),
            70..80 => Some(clock.now() + DAY * 31),
            80..85 => Some(clock.now()),
            _ => None,
        };
        record.terms.set_expires_at(end);
        if index == 0 || index >= 1_190 {
            record.status = Status::Inactive;
        }
        store.insert(&Arc::new(record), Quota::Unlimited).await.unwrap();
    }
    let sampler = recorded.within(|| KeySampler::new(store).clock(clock.clone()));
    let counts = sampler.sample().await.unwrap();
    assert_eq!((counts.active, counts.inactive, counts.expired), (1_184, 11, 5));
    assert_eq!(counts.expiring, [9, 29, 69]);
    for (series, count) in [
        ("keys{state=\"active\"}", 1_184.0),
        ("keys{state=\"inactive\"}", 11.0),
        ("keys{state=\"expired\"}", 5.0),
        ("keys_expiring{within=\"1d\"}", 9.0),
        ("keys_expiring{within=\"7d\"}", 29.0),
        ("keys_expiring{within=\"30d\"}", 69.0),
    ] {
        let value = recorded.value(&format!("tower_credentials_{series}"));
        assert!((value - count).abs() < 0.1, "{series}: {value}");
    }
}
