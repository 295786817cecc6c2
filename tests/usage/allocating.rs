//! The allocations of recording a use.

use tower_credentials::usage::UsageRecorder;

use crate::{at, counting, key, logs::Log};

fn allocations(work: impl FnOnce()) -> usize {
    counting::allocations(work).1
}

#[tokio::test]
async fn repeated_use_of_a_key_allocates_nothing() {
    let recorder = UsageRecorder::new(Log::default());
    let keys: Vec<_> = (0..100).map(|n| key(&format!("key-{n}"))).collect();
    let first = allocations(|| keys.iter().for_each(|key| recorder.used(key, at(0))));
    assert!(first >= keys.len(), "allocations are counted");
    for (seconds, which) in [(0, "in the same second"), (1, "in another"), (0, "an older one")] {
        let again = allocations(|| keys.iter().for_each(|key| recorder.used(key, at(seconds))));
        assert_eq!(again, 0, "{which}");
    }
}

#[tokio::test]
async fn dropped_use_allocates_nothing() {
    let recorder = UsageRecorder::builder(Log::default()).capacity(1).start();
    let (first, second) = (key("first"), key("second"));
    recorder.used(&first, at(0));
    assert_eq!(allocations(|| recorder.used(&second, at(0))), 0);
    assert_eq!(recorder.dropped(), 1);
}
