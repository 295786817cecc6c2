//! The conditions under which a key verifies, on every data plane.

use std::sync::Arc;

use tower_credentials::{
    directory::OpenDirectory, domain::Credential, signature::request::S3ErrorCode,
};

use super::plane::{
    Fate::{Refused, Verified},
    Plane, Settings, WAYS, Way, delegated, key, registry, root_key, trust, without_project,
};
use crate::registry::Registry;

/// A change of the directory.
type Change = (&'static str, fn(&Registry));

const USER_REMOVED: Change = ("user removed", |registry| registry.set_user("alice", None));
const USER_DISABLED: Change = ("user disabled", |it| it.set_user("alice", Some(false)));
const PROJECT_REMOVED: Change = ("project removed", |it| it.set_project("demo", None));
const PROJECT_DISABLED: Change = ("project disabled", |it| it.set_project("demo", Some(false)));
const MEMBER_REMOVED: Change = ("member removed", |it| it.remove_member("alice", "demo"));

fn restore(registry: &Registry) {
    registry.set_user("alice", Some(true));
    registry.set_project("demo", Some(true));
    registry.set_roles("alice", "demo", &["member"]);
}

const DELEGATED: Settings = Settings { accept_delegated: true, grace: None };

/// Checks on every data plane which changes take effect on the next request, and that the key
/// verifies again after they are undone.
async fn check(key: fn() -> Credential, ends: &[Change], goes_on: &[Change]) {
    for way in WAYS {
        let registry = registry();
        let plane = Plane::new(key(), Arc::clone(&registry), Settings::default()).await;
        for (what, change) in ends {
            restore(&registry);
            assert_eq!(plane.fate(way).await, Verified, "{way:?}, before: {what}");
            change(&registry);
            for _ in 0..2 {
                assert_eq!(plane.fate(way).await, Refused, "{way:?}: {what}");
            }
        }
        for (what, change) in goes_on {
            restore(&registry);
            change(&registry);
            assert_eq!(plane.fate(way).await, Verified, "{way:?}: {what}");
        }
    }
}

#[tokio::test]
async fn key_needs_an_enabled_user_with_a_place_in_an_enabled_project() {
    let ends = [USER_REMOVED, USER_DISABLED, PROJECT_REMOVED, PROJECT_DISABLED, MEMBER_REMOVED];
    let roleless: Change = ("without a role", |it| it.set_roles("alice", "demo", &[]));
    check(key, &ends, &[roleless]).await;
}

#[tokio::test]
async fn root_key_needs_an_enabled_project_only() {
    let namesake: Change = ("a disabled user of that id", |it| it.set_user("demo", Some(false)));
    let goes_on = [USER_REMOVED, USER_DISABLED, MEMBER_REMOVED, namesake];
    check(root_key, &[PROJECT_REMOVED, PROJECT_DISABLED], &goes_on).await;
}

#[tokio::test]
async fn equal_ids_alone_do_not_make_a_root_key() {
    let unmarked = || {
        let mut key = root_key();
        key.root_key = Some(false);
        key
    };
    for way in WAYS {
        let plane = Plane::new(unmarked(), registry(), Settings::default()).await;
        assert_eq!(plane.fate(way).await, Refused, "{way:?}: no such user exists");
    }
}

#[tokio::test]
async fn key_without_a_project_needs_an_enabled_user_and_carries_no_project() {
    let goes_on = [PROJECT_REMOVED, PROJECT_DISABLED, MEMBER_REMOVED];
    check(without_project, &[USER_REMOVED, USER_DISABLED], &goes_on).await;

    let plane = Plane::new(without_project(), registry(), Settings::default()).await;
    for way in WAYS.into_iter().filter(|way| !matches!(way, Way::S3s)) {
        let key = plane.send(way).await.verified().key.unwrap();
        assert_eq!((key.user_id().as_str(), key.project_id()), ("alice", None), "{way:?}");
    }
}

#[tokio::test]
async fn delegated_key_needs_its_delegation_in_place_of_a_membership() {
    for way in WAYS {
        let registry = registry();
        let plane = Plane::new(delegated(key()), Arc::clone(&registry), DELEGATED).await;
        assert_eq!(plane.fate(way).await, Refused, "{way:?}: the delegation does not exist yet");
        for (user, project, expected) in [
            ("alice", Some("demo"), Verified),
            ("alice", None, Verified),
            ("alice", Some("other"), Refused),
            ("bob", Some("demo"), Refused),
        ] {
            registry.delegate(trust(), user, project, &["narrow"]);
            assert_eq!(plane.fate(way).await, expected, "{way:?}: {user}, {project:?}");
        }
        registry.delegate(trust(), "alice", Some("demo"), &["narrow"]);
        registry.remove_member("alice", "demo");
        assert_eq!(plane.fate(way).await, Verified, "{way:?}: no membership is needed");
        for (what, change) in [USER_REMOVED, USER_DISABLED, PROJECT_REMOVED, PROJECT_DISABLED] {
            restore(&registry);
            change(&registry);
            assert_eq!(plane.fate(way).await, Refused, "{way:?}: {what}");
        }
        restore(&registry);
        assert_eq!(plane.fate(way).await, Verified, "{way:?}");
        registry.revoke(&trust());
        assert_eq!(plane.fate(way).await, Refused, "{way:?}: the delegation has ended");
    }
}

#[tokio::test]
async fn delegation_that_covers_less_than_the_key_does_not_admit_it() {
    for way in WAYS {
        for (key, project, expected) in [
            (without_project(), None, Verified),
            (without_project(), Some("demo"), Refused),
            (root_key(), Some("demo"), Refused),
        ] {
            let registry = registry();
            registry.delegate(trust(), "alice", project, &["narrow"]);
            let plane = Plane::new(delegated(key), registry, DELEGATED).await;
            assert_eq!(plane.fate(way).await, expected, "{way:?}: {project:?}");
        }
        let registry = registry();
        registry.delegate(trust(), "alice", Some("demo"), &["narrow"]);
        let plane = Plane::new(delegated(key()), registry, Settings::default()).await;
        assert_eq!(plane.fate(way).await, Refused, "{way:?}: delegated keys are not accepted");
    }
}

#[tokio::test]
async fn open_directory_counts_as_none() {
    // Every directory refuses this key: its delegation does not exist.
    let key = delegated(key());
    let open = Plane::new(key.clone(), Arc::new(OpenDirectory), DELEGATED).await;
    let real = Plane::new(key, registry(), DELEGATED).await;
    for way in WAYS {
        assert_eq!(open.fate(way).await, Verified, "{way:?}");
        assert_eq!(real.fate(way).await, Refused, "{way:?}");
    }
}

#[tokio::test]
async fn malformed_chunk_headers_are_refused_before_the_owner_is_looked_up() {
    let registry = registry();
    registry.set_user("alice", None);
    let plane = Plane::new(key(), registry, Settings::default()).await;
    assert_eq!(plane.fate(Way::Header).await, Refused);
    plane.send_chunks_without_length().await.refused(S3ErrorCode::MissingContentLength);
}
