//! The responses of `ec2tokens` and `s3tokens` if the owner of a key may no longer use it.

use std::time::Duration;

use serde_json::{Value, json};
use tower_credentials::{
    CredentialLayer, ErrorKind,
    backend::memory::MemoryBackend,
    directory::{Domain, OpenDirectory, Project},
    domain::ProjectId,
};

use crate::{
    ec2tokens, s3tokens,
    signer::{ec2_v4, s3_v4},
    world::{
        BOB, DEMO, World, directory,
        test_issuer::TestIssuer,
        v3::{
            ACCESS, EC2TOKENS, S3TOKENS, SECOND, SECRET, Signing, assert_refused, blob_of, create,
            pair_of, tokens, world,
        },
    },
};

/// Both paths, each with a request signed with this key.
fn requests(access: &str, secret: &str) -> [(&'static str, Value); 2] {
    let s3 = s3_v4(access, secret, s3tokens::TIME, s3tokens::SCOPE);
    let ec2 = ec2_v4(access, secret, ec2tokens::BASIC, ec2tokens::SCOPE);
    [(S3TOKENS, s3), (EC2TOKENS, ec2)]
}

#[tokio::test]
async fn change_of_the_directory_takes_effect_on_the_next_request() {
    for (path, body) in requests(ACCESS, SECRET) {
        let signing = Signing::new().await;
        let registry = &signing.registry;
        let changes: [(&str, &dyn Fn(), u16); 6] = [
            ("member removed", &|| registry.remove_member(BOB, DEMO), 401),
            ("without a role", &|| registry.set_roles(BOB, DEMO, &[]), 401),
            ("user disabled", &|| registry.set_user(BOB, Some(false)), 401),
            ("user removed", &|| registry.set_user(BOB, None), 404),
            ("project disabled", &|| registry.set_project(DEMO, Some(false)), 401),
            ("project removed", &|| registry.set_project(DEMO, None), 404),
        ];
        for (name, change, expected) in changes {
            assert_eq!(signing.status(path, &body).await, 200, "{path}, before: {name}");
            change();
            for _ in 0..2 {
                assert_refused(&signing.send(path, &body).await, expected);
            }
            registry.set_user(BOB, Some(true));
            registry.set_project(DEMO, Some(true));
            registry.set_roles(BOB, DEMO, &["member"]);
        }
    }
}

#[tokio::test]
async fn root_key_is_redeemed_for_its_project_without_roles() {
    for (path, body) in requests("root", "secret-of-root") {
        let signing = Signing::new().await;
        signing.world.mint(DEMO, DEMO, "root").await;
        let answer = signing.send(path, &body).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        let token = answer.json()["token"].take();
        let domain = json!({"id": "default", "name": "Default"});
        assert_eq!(token["project"], json!({"id": DEMO, "name": "demo", "domain": domain}));
        let user = json!({
            "id": DEMO, "name": "demo", "domain": domain, "password_expires_at": null,
        });
        assert_eq!((&token["user"], &token["roles"]), (&user, &json!([])), "{path}");

        // The user's domain is that of the project.
        let acme = Domain::new("acme", "Acme");
        let mut demo = Project::new(ProjectId::new(DEMO).unwrap(), "demo");
        demo.domain = acme;
        let elsewhere = directory().with_project(demo);
        let foreign = Signing::with(|builder| builder.directory(elsewhere)).await;
        foreign.world.mint(DEMO, DEMO, "root").await;
        let user = foreign.send(path, &body).await.json()["token"]["user"].take();
        assert_eq!(user["domain"], json!({"id": "acme", "name": "Acme"}));

        // No user needs to exist for it.
        signing.registry.set_user(DEMO, Some(false));
        assert_eq!(signing.status(path, &body).await, 200, "{path}");
        signing.registry.set_project(DEMO, Some(false));
        assert_refused(&signing.send(path, &body).await, 401);
        signing.registry.set_project(DEMO, None);
        assert_refused(&signing.send(path, &body).await, 404);
    }
}

#[tokio::test]
async fn key_without_a_project_is_401() {
    let signing = Signing::new().await;
    let blob = blob_of("projectless", "secret-of-projectless");
    let mut body = pair_of(BOB, DEMO, &blob);
    body["credential"]["project_id"] = Value::Null;
    create(&signing.world, &body).await;
    signing.registry.take_calls();
    for (path, body) in requests("projectless", "secret-of-projectless") {
        assert_refused(&signing.send(path, &body).await, 401);
    }
    assert_eq!(signing.registry.take_calls(), 0);
}

#[tokio::test]
async fn last_positive_answer_counts_for_the_grace_time_and_then_503() {
    for (path, body) in requests(ACCESS, SECRET) {
        for grace in [None, Some(SECOND * 5), Some(Duration::ZERO)] {
            let signing = Signing::with(|builder| match grace {
                Some(grace) => builder.directory_grace(grace),
                None => builder,
            })
            .await;
            assert_eq!(signing.status(path, &body).await, 200, "{path}");
            signing.registry.set_down(true);
            // The answer counts for a second, and then for the grace time.
            signing.world.clock.advance(grace.unwrap_or(SECOND * 60));
            assert_eq!(signing.status(path, &body).await, 200, "{path}, {grace:?}");
            signing.world.clock.advance(SECOND);
            let answer = signing.send(path, &body).await;
            assert_refused(&answer, 503);
            assert_eq!(answer.header("retry-after"), "5");
            assert_eq!(answer.error.unwrap().kind(), ErrorKind::Unavailable);
            signing.registry.set_down(false);
            assert_eq!(signing.status(path, &body).await, 200, "{path}");
        }
    }
}

#[tokio::test]
async fn key_that_was_refused_or_never_looked_up_is_503_during_an_outage() {
    for (path, body) in requests(ACCESS, SECRET) {
        let signing = Signing::new().await;
        signing.registry.set_down(true);
        assert_refused(&signing.send(path, &body).await, 503);
        signing.registry.set_down(false);
        signing.registry.remove_member(BOB, DEMO);
        assert_refused(&signing.send(path, &body).await, 401);
        signing.registry.set_down(true);
        signing.world.clock.advance(SECOND);
        assert_refused(&signing.send(path, &body).await, 503);
    }
}

#[tokio::test]
async fn thousand_requests_of_one_key_look_up_its_owner_once() {
    for (path, body) in requests(ACCESS, SECRET) {
        let signing = Signing::new().await;
        signing.registry.take_calls();
        for _ in 0..1_000 {
            assert_eq!(signing.status(path, &body).await, 200);
        }
        assert_eq!(signing.registry.take_calls(), 3, "{path}: user, project and membership");
    }
}

#[tokio::test]
async fn open_directory_counts_as_no_directory() {
    let builder = CredentialLayer::builder(tokens(), MemoryBackend::default());
    let layer = builder.directory(OpenDirectory).issuer(TestIssuer::default()).build().unwrap();
    let open = World { layer, ..world() };
    for (path, body) in requests(ACCESS, SECRET) {
        let answer = open.post(path).token("dev-service").json(&body).send().await;
        assert_eq!(answer.status, 418, "{path} passes through");
    }
}
