//! The parent of a session: what it must be, and how its changes end sessions.

use std::sync::Arc;

use tower_credentials::{
    backend::CredentialBackend,
    directory::{Project, StaticDirectory, User},
    domain::{Delegation, Life, Material, ProjectId, Quota, Status, UserId},
    signature::request::S3ErrorCode::{ExpiredToken, InvalidAccessKeyId, InvalidToken},
};

use super::*;
use crate::gate::record;

#[tokio::test]
async fn session_needs_a_parent_that_may_sign() {
    let gate = Gate::new().await;
    let credentials = minted(&gate);
    gate.send(get(&gate, &credentials)).await.verified();

    let unknown = mint(&session_of(&gate, "UNKNOWN", HOUR));
    let answer = gate.send(get(&gate, &unknown)).await;
    answer.refused(InvalidAccessKeyId);
    // The response names what the client named.
    let named = format!("<AWSAccessKeyId>{}<", unknown.access_key);
    assert!(answer.body.contains(&named), "{}", answer.body);

    gate.change(|key| key.status = Status::Inactive).await;
    gate.send(get(&gate, &credentials)).await.refused(InvalidAccessKeyId);
    gate.change(|key| key.status = Status::Active).await;
    gate.send(get(&gate, &credentials)).await.verified();
    gate.change(|key| key.delegation = Some(Delegation::Trust { id: "t".into() })).await;
    gate.send(get(&gate, &credentials)).await.refused(InvalidAccessKeyId);
    gate.change(|key| key.delegation = None).await;
    gate.change(|key| key.material = Material::KeyPair { secret: None }).await;
    gate.send(get(&gate, &credentials)).await.refused(InvalidAccessKeyId);
}

#[tokio::test]
async fn session_ends_with_the_deletion_of_its_parent() {
    let gate = Gate::new().await;
    let credentials = minted(&gate);
    gate.send(get(&gate, &credentials)).await.verified();
    let found =
        gate.backend.find_by_access_key(&AccessKey::from_stored(ACCESS)).await.unwrap().unwrap();
    assert!(gate.backend.delete(&found.id, found.version).await.unwrap());
    gate.send(get(&gate, &credentials)).await.refused(InvalidAccessKeyId);
    // A new key with the same name has another secret.
    let again = Arc::new(record(ACCESS, &"n".repeat(48)));
    gate.backend.insert(&again, Quota::Unlimited).await.unwrap();
    gate.send(get(&gate, &credentials)).await.refused(InvalidToken);
}

#[tokio::test]
async fn session_ends_with_the_secret_of_its_parent_but_not_with_its_name() {
    let gate = Gate::new().await;
    let credentials = minted(&gate);
    gate.change(|key| key.terms.set_name(Some("renamed".into())).unwrap()).await;
    gate.send(get(&gate, &credentials)).await.verified();
    let secret = Some(SecretKey::from_stored("n".repeat(48)));
    gate.change(|key| key.material = Material::KeyPair { secret }).await;
    gate.send(get(&gate, &credentials)).await.refused(InvalidToken);
}

#[tokio::test]
async fn session_from_before_its_parent_was_enabled_has_ended() {
    let gate = Gate::new().await;
    let credentials = minted(&gate);
    gate.clock.advance(Duration::from_secs(1));
    let enabled_at = gate.clock.now();
    gate.change(|key| key.terms.set_enabled_at(enabled_at)).await;
    gate.send(get(&gate, &credentials)).await.refused(ExpiredToken);
    // A session from now on is fine.
    gate.send(get(&gate, &minted(&gate))).await.verified();
}

#[tokio::test]
async fn session_does_not_outlive_its_parent() {
    let gate = Gate::new().await;
    let (credentials, end) = (minted(&gate), gate.clock.now() + HOUR);
    gate.change(|key| key.terms.set_expires_at(Some(end))).await;
    gate.send(get(&gate, &credentials)).await.verified();
    gate.change(|key| key.terms.set_expires_at(Some(end - Duration::from_secs(1)))).await;
    gate.send(get(&gate, &credentials)).await.refused(ExpiredToken);
    gate.clock.advance(HOUR);
    gate.send(get(&gate, &credentials)).await.refused(InvalidAccessKeyId);
}

#[tokio::test]
async fn rotation_with_overlap_ends_sessions_with_the_old_key() {
    let gate = Gate::new().await;
    let (credentials, overlap) = (minted(&gate), Duration::from_mins(10));
    let now = gate.clock.now();
    gate.change(|key| _ = key.terms.shorten_to(now + overlap, Life::Unlimited)).await;
    gate.send(get(&gate, &credentials)).await.verified();
    gate.clock.advance(overlap);
    gate.send(get(&gate, &credentials)).await.refused(InvalidAccessKeyId);
}

#[tokio::test]
async fn session_that_was_issued_too_early_or_for_too_long_is_refused() {
    let gate = Gate::new().await;
    gate.clock.advance(Duration::from_mins(15));
    let ahead = minted(&gate);
    gate.clock.advance(Duration::from_secs(1));
    let too_far_ahead = minted(&gate);
    gate.clock.put_back(Duration::from_mins(15) + Duration::from_secs(1));
    gate.send(get(&gate, &ahead)).await.verified();
    gate.send(get(&gate, &too_far_ahead)).await.refused(InvalidToken);
}

#[tokio::test]
async fn owner_of_the_parent_must_have_a_place_in_its_project() {
    let (alice, demo) = (UserId::new("alice").unwrap(), ProjectId::new("demo").unwrap());
    let knows = StaticDirectory::new()
        .with_user(User::new(alice.clone(), "Alice"))
        .with_project(Project::new(demo.clone(), "Demo"));
    let member = knows.clone().with_member(alice, demo, ["member"]);
    let gate = Gate::with(|builder| builder.directory(member)).await;
    gate.send(get(&gate, &minted(&gate))).await.verified();
    let gate = Gate::with(|builder| builder.directory(knows)).await;
    let (credentials, name) = (minted(&gate), "AWSAccessKeyId");
    let answer = gate.send(get(&gate, &credentials)).await;
    answer.refused(InvalidAccessKeyId);
    let named = format!("<{name}>{}</{name}>", credentials.access_key);
    assert!(answer.body.contains(&named), "{}", answer.body);
}
