//! Changes in Keystone take effect in the front.

use std::time::Duration;

use http::Method;
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::{
    front::Front,
    http::Client,
    lab,
    people::{password, project, unique},
    tools::signed,
};

/// The cache time of these tests.
const CACHED: Duration = Duration::from_secs(2);

/// Repeats a request until it has this status. Fails if that takes much longer than the cache time.
async fn wait_for_status(status: u16, what: &str, client: &Client, path: &str, token: &str) {
    let asked = Instant::now();
    loop {
        let answer = client.get(path, token).await;
        if answer.status.as_u16() == status {
            return;
        }
        assert!(asked.elapsed() < CACHED + Duration::from_secs(5), "{what}: {answer:?}");
        sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn revoked_tokens_lost_roles_and_disabled_users_take_effect_within_the_cache_time() {
    let Some(turn) = lab::shared().await else { return };
    let admin = turn.lab.admin().await;
    let home = admin.project("home").await;
    let on_home = format!("projects/{home}");
    let (ann, member) = admin.member(&home).await;
    let (bob, second) = admin.member(&home).await;
    let gateway = admin.user("gateway").await;
    admin.grant(&on_home, &gateway.id, "service").await;
    let service = gateway.token(&admin.client, &project(&home)).await;
    let seconds = CACHED.as_secs().to_string();
    let front = Front::of(turn.lab).start(&["--cache-seconds", &seconds]).await;
    let through = front.client();

    let revoked = ann.token(&admin.client, &project(&home)).await;
    through.get("/v3/credentials", &revoked).await.expect(200);
    admin.revoke_token(&revoked).await;
    wait_for_status(401, "revoked token", &through, "/v3/credentials", &revoked).await;
    through.get("/v3/credentials", &member).await.expect(200);

    // An S3 key of a user whose role is removed.
    let (access, secret) = (unique("fresh"), password());
    let pair = json!({"access": access, "secret": secret}).to_string();
    let key = json!({"credential":
        {"type": "ec2", "user_id": bob.id, "project_id": home, "blob": pair}});
    through.post("/v3/credentials", &second, &key).await.expect(201);
    let request = signed("s3v4", &access, &secret).await;
    through.post("/v3/s3tokens", &service, &request).await.expect(200);
    admin.revoke(&on_home, &bob.id, "member").await;
    let asked = Instant::now();
    while through.post("/v3/s3tokens", &service, &request).await.status != 401 {
        assert!(
            asked.elapsed() < CACHED + Duration::from_secs(5),
            "the key is still valid without the role"
        );
        sleep(Duration::from_millis(100)).await;
    }
    wait_for_status(401, "token of a lost role", &through, "/v3/credentials", &second).await;

    let disabled = json!({"user": {"enabled": false}});
    admin.call(Method::PATCH, &format!("/v3/users/{}", ann.id), Some(&disabled)).await.expect(200);
    wait_for_status(401, "disabled user", &through, "/v3/credentials", &member).await;
}
