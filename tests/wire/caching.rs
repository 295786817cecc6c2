//! No response of the layer may be cached.

use std::sync::Arc;

use tower_credentials::{backend::memory::MemoryBackend, domain::Quota};

use crate::{
    keystone_v2_json::bobs,
    operations::{Login, Operation, Wire, prepared},
    world::{
        ALICE, Answer, DEMO, World,
        failing::{End, Flaky, Refusing, Stream},
        pair, tokens,
        v3::CREDENTIALS,
    },
};

#[track_caller]
fn assert_not_cacheable(answer: &Answer, case: &str) {
    let values: Vec<_> = answer.headers.get_all("cache-control").iter().collect();
    assert_eq!(values, ["no-store"], "{case}: {answer:?}");
}

#[tokio::test]
async fn responses_of_all_operations_forbid_caching() {
    for operation in Operation::all() {
        let signing = prepared(|builder| builder).await;
        let answer = operation.call(&signing.world, Login::Token).send().await;
        assert_eq!(answer.status, operation.done, "{operation:?}");
        assert_not_cacheable(&answer, &format!("{operation:?}"));
        for (login, headers, status) in
            [(Login::Missing, [("x", "y")], 401), (Login::Token, [("origin", "null")], 403)]
        {
            let call = operation.call(&signing.world, login).header(headers[0].0, headers[0].1);
            let answer = call.send().await;
            if operation.is_change() {
                assert_eq!(answer.status, status, "{operation:?}");
            }
            assert_not_cacheable(&answer, &format!("{operation:?} {status}"));
        }
    }
}

#[tokio::test]
async fn refusals_and_failures_forbid_caching() {
    let world = World::with(|builder| builder.body_limit(40).quota(Quota::AtMost(0)));
    let key = pair(ALICE, DEMO, "k");
    for uri in ["/credentials", &bobs(""), CREDENTIALS] {
        for (call, status) in [
            (world.call("PUT", uri).token("dev-admin"), 405),
            (world.post(uri).token("dev-admin").text("application/json", "{"), 400),
            (world.post(uri).token("no-role").text("application/json", "{"), 400),
            (world.post(uri).token("dev-admin").json(&key), 413),
            (world.get(&format!("{uri}/nothing")).token("dev-admin"), 404),
            (world.get(&format!("{uri}/%00")).token("dev-admin"), 400),
        ] {
            let answer = call.send().await;
            assert_eq!(answer.status, status, "{uri}: {}", answer.text());
            assert_not_cacheable(&answer, uri);
        }
        let text = world.post(uri).token("dev-admin").text("text/plain", "{}").send().await;
        assert_eq!(text.status, if uri == CREDENTIALS { 400 } else { 415 });
        assert_not_cacheable(&text, uri);
        let broken = Stream::new(["{"], End::Broken);
        let call = world.post(uri).token("dev-admin").header("content-type", "application/json");
        let answer = call.body(broken).send().await;
        assert_eq!(answer.status, 400);
        assert_not_cacheable(&answer, uri);
    }
    let create = r#"{"credential":{"type":"ec2"}}"#;
    let call = world.post("/credentials").token("dev-admin").text("application/json", create);
    let full = call.send().await;
    assert_eq!(full.status, 409);
    assert_not_cacheable(&full, "quota");
}

#[tokio::test]
async fn outage_responses_forbid_caching() {
    let store = Arc::new(Flaky::default());
    store.set_down(true);
    let memory = || Arc::new(MemoryBackend::default());
    for (world, status) in [
        (World::of(tokens(), store, |builder| builder), 503),
        (World::of(Refusing::Down, memory(), |builder| builder), 503),
        (World::of(Refusing::Disabled, memory(), |builder| builder), 403),
    ] {
        for operation in Operation::all() {
            if operation.method == "OPTIONS" || operation.wire == Wire::Tokens {
                continue;
            }
            let answer = operation.call(&world, Login::Token).send().await;
            // Keystone reports a disabled user as 401.
            let expected = match (operation.wire, status) {
                (Wire::OsEc2 | Wire::V3, 403) => 401,
                (_, status) => status,
            };
            assert_eq!(answer.status, expected, "{operation:?}");
            assert_not_cacheable(&answer, &format!("{operation:?}"));
        }
    }
}

#[tokio::test]
async fn responses_of_the_inner_service_are_unchanged() {
    let world = World::new();
    for uri in ["/", "/bucket/object", "/v3/auth/tokens", "/credentials?X-Amz-Signature=a"] {
        let answer = world.get(uri).send().await;
        assert_eq!(answer.status, 418, "{uri}");
        assert!(!answer.headers.contains_key("cache-control"), "{uri}");
    }
}
