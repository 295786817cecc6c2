//! How often the directory is asked.

use std::sync::Arc;

use tower_credentials::signature::request::S3ErrorCode;

use super::plane::{
    Fate::{Refused, Verified},
    Plane, SECOND, Settings, WAYS, Way, key, registry,
};
use crate::{aws_signer::Signer, gate::Gate};

/// User, project and membership.
const ONE_ANSWER: usize = 3;

#[tokio::test]
async fn thousand_requests_of_one_key_ask_the_directory_once_per_revision() {
    for way in WAYS {
        let registry = registry();
        let plane = Plane::new(key(), Arc::clone(&registry), Settings::default()).await;
        for _ in 0..1_000 {
            assert_eq!(plane.fate(way).await, Verified, "{way:?}");
        }
        assert_eq!(registry.take_calls(), ONE_ANSWER, "{way:?}");
        registry.remove_member("alice", "demo");
        for _ in 0..1_000 {
            assert_eq!(plane.fate(way).await, Refused, "{way:?}");
        }
        assert_eq!(registry.take_calls(), ONE_ANSWER, "{way:?}: refused");
    }
}

#[tokio::test]
async fn without_a_revision_the_directory_is_asked_once_a_second() {
    for way in WAYS {
        let registry = registry();
        registry.set_silent(true);
        let plane = Plane::new(key(), Arc::clone(&registry), Settings::default()).await;
        for _ in 0..10 {
            for _ in 0..100 {
                assert_eq!(plane.fate(way).await, Verified, "{way:?}");
            }
            plane.clock.advance(SECOND);
        }
        assert_eq!(registry.take_calls(), 10 * ONE_ANSWER, "{way:?}");
    }
}

#[tokio::test]
async fn in_an_outage_the_directory_is_asked_once_a_second_about_a_key() {
    for way in WAYS {
        let registry = registry();
        let plane = Plane::new(key(), Arc::clone(&registry), Settings::default()).await;
        assert_eq!(plane.fate(way).await, Verified, "{way:?}");
        registry.set_down(true);
        registry.take_calls();
        for _ in 0..10 {
            plane.clock.advance(SECOND);
            for _ in 0..100 {
                assert_eq!(plane.fate(way).await, Verified, "{way:?}");
            }
        }
        // The first of the three lookups fails.
        assert_eq!(registry.take_calls(), 10, "{way:?}");
    }
}

#[tokio::test]
async fn request_without_the_secret_does_not_reach_the_directory() {
    let registry = registry();
    registry.set_user("alice", None);
    let gate = Gate::with(|builder| builder.directory(Arc::clone(&registry))).await;
    let signer = Signer { secret: "x".into(), ..gate.signer() };
    let request = crate::gate::request("GET", "/b/k").body(http_body_util::Full::default());
    let answer = gate.send(signer.sign(request.unwrap()).0).await;
    answer.refused(S3ErrorCode::SignatureDoesNotMatch);
    assert_eq!(registry.take_calls(), 0);

    let plane = Plane::new(key(), Arc::clone(&registry), Settings::default()).await;
    assert_eq!(plane.fate(Way::Header).await, Refused);
}
