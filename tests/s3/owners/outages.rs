//! A directory that is unavailable, and one that does not report its changes.

use std::{sync::Arc, time::Duration};

use tower_credentials::clock::Clock;

use super::plane::{
    Fate::{Refused, Unavailable, Verified},
    Plane, SECOND, Settings, WAYS, key, registry,
};

/// How long an answer counts when no revision is reported, and the default grace.
const AGE: Duration = SECOND;
const GRACE: Duration = Duration::from_mins(1);

const NO_GRACE: Settings = Settings { accept_delegated: false, grace: Some(Duration::ZERO) };

#[tokio::test]
async fn last_positive_answer_counts_for_the_grace_time_and_then_503() {
    let settings = |grace| Settings { accept_delegated: false, grace };
    for way in WAYS {
        for (settings, grace) in [(settings(None), GRACE), (settings(Some(SECOND * 5)), SECOND * 5)]
        {
            let registry = registry();
            let plane = Plane::new(key(), Arc::clone(&registry), settings).await;
            assert_eq!(plane.fate(way).await, Verified, "{way:?}");
            // Changes that the directory cannot report.
            registry.set_down(true);
            registry.remove_member("alice", "demo");
            assert_eq!(plane.fate(way).await, Verified, "{way:?}, at once");
            for _ in 0..grace.as_secs() {
                plane.clock.advance(SECOND);
                assert_eq!(plane.fate(way).await, Verified, "{way:?}");
            }
            plane.clock.advance(AGE);
            for _ in 0..2 {
                assert_eq!(plane.fate(way).await, Unavailable, "{way:?}, {grace:?}");
            }
            registry.set_down(false);
            assert_eq!(plane.fate(way).await, Refused, "{way:?}");
            registry.set_roles("alice", "demo", &[]);
            assert_eq!(plane.fate(way).await, Verified, "{way:?}");
        }
    }
}

#[tokio::test]
async fn grace_starts_when_the_answer_was_last_known_to_count() {
    for way in WAYS {
        let registry = registry();
        let plane = Plane::new(key(), Arc::clone(&registry), Settings::default()).await;
        for _ in 0..10 {
            assert_eq!(plane.fate(way).await, Verified, "{way:?}");
            plane.clock.advance(SECOND * 10);
        }
        // The last use was ten seconds ago.
        registry.set_down(true);
        assert_eq!(plane.fate(way).await, Verified, "{way:?}");
        plane.clock.advance(GRACE.checked_sub(SECOND * 10).unwrap());
        assert_eq!(plane.fate(way).await, Verified, "{way:?}");
        plane.clock.advance(AGE);
        assert_eq!(plane.fate(way).await, Unavailable, "{way:?}");
    }
}

#[tokio::test]
async fn without_grace_an_outage_is_503_as_soon_as_the_answer_is_old() {
    for way in WAYS {
        let registry = registry();
        let plane = Plane::new(key(), Arc::clone(&registry), NO_GRACE).await;
        assert_eq!(plane.fate(way).await, Verified, "{way:?}");
        registry.set_down(true);
        assert_eq!(plane.fate(way).await, Verified, "{way:?}: the answer counts for a second");
        plane.clock.advance(AGE);
        assert_eq!(plane.fate(way).await, Unavailable, "{way:?}");
    }
}

#[tokio::test]
async fn unconfirmed_change_keeps_the_old_answer_for_the_grace_time_only() {
    for way in WAYS {
        for (settings, at_once) in [(Settings::default(), Verified), (NO_GRACE, Unavailable)] {
            let registry = registry();
            let plane = Plane::new(key(), Arc::clone(&registry), settings).await;
            assert_eq!(plane.fate(way).await, Verified, "{way:?}");
            registry.set_failing(true);
            registry.remove_member("alice", "demo");
            assert_eq!(plane.fate(way).await, at_once, "{way:?}");
            plane.clock.advance(AGE + GRACE);
            assert_eq!(plane.fate(way).await, Unavailable, "{way:?}");
        }
    }
}

#[tokio::test]
async fn refused_or_unknown_key_returns_503_in_an_outage() {
    for way in WAYS {
        let registry = registry();
        let plane = Plane::new(key(), Arc::clone(&registry), Settings::default()).await;
        registry.set_down(true);
        assert_eq!(plane.fate(way).await, Unavailable, "{way:?}: never asked for");
        registry.set_down(false);
        assert_eq!(plane.fate(way).await, Verified, "{way:?}");
        registry.remove_member("alice", "demo");
        assert_eq!(plane.fate(way).await, Refused, "{way:?}");
        registry.set_down(true);
        for _ in 0..3 {
            plane.clock.advance(AGE);
            assert_eq!(plane.fate(way).await, Unavailable, "{way:?}: refused before");
        }
    }
}

#[tokio::test]
async fn without_a_revision_a_change_takes_effect_within_a_second() {
    for way in WAYS {
        let registry = registry();
        registry.set_silent(true);
        let plane = Plane::new(key(), Arc::clone(&registry), Settings::default()).await;
        for _ in 0..3 {
            assert_eq!(plane.fate(way).await, Verified, "{way:?}");
            registry.remove_member("alice", "demo");
            plane.clock.advance(AGE);
            assert_eq!(plane.fate(way).await, Refused, "{way:?}");
            registry.set_roles("alice", "demo", &["member"]);
            plane.clock.advance(AGE);
        }
    }
}

#[tokio::test]
async fn setting_the_clock_back_does_not_extend_an_answer() {
    for way in WAYS {
        let registry = registry();
        registry.set_silent(true);
        let plane = Plane::new(key(), Arc::clone(&registry), Settings::default()).await;
        assert_eq!(plane.fate(way).await, Verified, "{way:?}");
        registry.remove_member("alice", "demo");
        plane.clock.set(plane.clock.now() - SECOND * 10);
        assert_eq!(plane.fate(way).await, Refused, "{way:?}: the answer is from the future");

        registry.set_roles("alice", "demo", &["member"]);
        plane.clock.advance(AGE);
        assert_eq!(plane.fate(way).await, Verified, "{way:?}");
        registry.set_down(true);
        plane.clock.advance(SECOND * 50);
        assert_eq!(plane.fate(way).await, Verified, "{way:?}: in its grace time");
        plane.clock.set(plane.clock.now() - SECOND * 40);
        assert_eq!(plane.fate(way).await, Unavailable, "{way:?}: the grace starts over");
        registry.set_down(false);
        assert_eq!(plane.fate(way).await, Verified, "{way:?}");
    }
}
