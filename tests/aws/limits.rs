//! Keys that begin like those of sessions.

use tower_credentials::{
    CredentialLayer,
    auth::StaticTokens,
    backend::memory::MemoryBackend,
    domain::{AccessKey, Caller, ProjectId, Scope, UserId},
};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use tower::{Layer, ServiceExt, service_fn};

#[test]
fn access_keys_of_sessions_are_reserved() {
    for reserved in ["ASIA", "ASIA234567ABCDEFGHIJ", "ASIAN"] {
        assert!(AccessKey::new(reserved).is_err(), "{reserved}");
    }
    for free in ["AKIA234567ABCDEFGHIJ", "asia234567abcdefghij", "XASIA"] {
        assert!(AccessKey::new(free).is_ok(), "{free}");
    }
}

#[tokio::test]
async fn no_dialect_creates_a_key_that_begins_like_a_session() {
    let scope = Scope::Project(ProjectId::new("demo").unwrap());
    let admin = Caller::new(UserId::new("alice").unwrap(), scope).with_roles(["admin"]);
    let tokens = StaticTokens::new().with_token("token", "alice", admin);
    let layer = CredentialLayer::new(tokens, MemoryBackend::default());
    let app = service_fn(|_: Request<Full<Bytes>>| async {
        Ok::<_, std::convert::Infallible>(http::Response::new(Full::<Bytes>::default()))
    });
    let access = "ASIA234567ABCDEFGHIJ";
    for (path, body) in [
        (
            "/credentials",
            format!(
                r#"{{"credential": {{"type": "ec2", "project_id": "demo", "blob": {{"access": "{access}", "secret": "s"}}}}}}"#
            ),
        ),
        (
            "/v3/credentials",
            format!(
                r#"{{"credential": {{"type": "ec2", "user_id": "alice", "project_id": "demo", "blob": "{{\"access\": \"{access}\", \"secret\": \"s\"}}"}}}}"#
            ),
        ),
        (
            "/v2.0/users/alice/OS-KSADM/credentials",
            format!(
                r#"{{"OS-KSEC2:ec2Credentials": {{"username": "{access}", "secret": "s", "signature": "x"}}}}"#
            ),
        ),
    ] {
        let send = async |body: String| {
            let request = Request::post(path)
                .header("host", "localhost")
                .header("x-auth-token", "token")
                .header("content-type", "application/json");
            let request = request.body(Full::<Bytes>::from(body)).unwrap();
            layer.layer(app).oneshot(request).await.unwrap().status()
        };
        assert_eq!(send(body.clone()).await, StatusCode::BAD_REQUEST, "{path}");
        let other = send(body.replace(access, "AKIA234567ABCDEFGHIJ")).await;
        assert!(other.is_success() || other == StatusCode::CONFLICT, "{path}: {other}");
    }
}
