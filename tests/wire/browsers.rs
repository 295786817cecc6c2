//! Requests of browsers: pages of other origins change nothing, and the layer never accepts
//! a form as a request of the API.

use std::sync::atomic::Ordering;

use serde_json::json;

use crate::{
    operations::{Login, Operation, Wire, prepared, records},
    world::{
        Call, World,
        failing::{End, Stream},
    },
};

const OWN: (&str, &str) = ("host", "keys.test:8338");
const CROSS_SITE: (&str, &str) = ("sec-fetch-site", "cross-site");

fn with(call: Call, headers: &[(&str, &str)]) -> Call {
    headers.iter().fold(call, |call, (name, value)| call.header(name, value))
}

/// Headers of requests to `keys.test:8338`, and whether such a request may change something
/// if `https://console.test` is trusted.
const SENDERS: &[(bool, &[(&str, &str)])] = &[
    (true, &[]),
    (true, &[("sec-fetch-site", "none")]),
    (true, &[("sec-fetch-site", "same-origin"), ("origin", "http://keys.test:8338")]),
    (true, &[("origin", "https://keys.test:8338")]),
    (true, &[("origin", "HTTP://KEYS.Test:8338")]),
    (true, &[("origin", "http://keys.test.:8338")]),
    (true, &[("origin", "https://console.test")]),
    (true, &[("origin", "https://console.test:443"), CROSS_SITE]),
    (false, &[CROSS_SITE]),
    (false, &[CROSS_SITE, ("origin", "http://keys.test:8338")]),
    (false, &[("sec-fetch-site", "same-origin"), ("origin", "http://evil.test")]),
    (false, &[("origin", "http://evil.test:8338")]),
    (false, &[("origin", "http://keys.test")]),
    (false, &[("origin", "http://keys.test:8339")]),
    (false, &[("origin", "http://keys.test:8338.evil.test")]),
    (false, &[("origin", "http://console.test")]),
    (false, &[("origin", "null")]),
    (false, &[("origin", "null"), CROSS_SITE]),
    (false, &[("origin", "")]),
    (false, &[("origin", "keys.test:8338")]),
    (false, &[("origin", "http://keys.test:8338/")]),
    (false, &[("origin", "http://keys.test:8338 https://console.test")]),
    (false, &[("origin", "http://keys.test:8338"), ("origin", "http://keys.test:8338")]),
    (false, &[("origin", "https://console.test"), ("origin", "http://evil.test")]),
];

#[tokio::test]
async fn page_of_a_foreign_origin_changes_nothing_through_any_operation() {
    let mut cells = 0;
    for operation in Operation::all() {
        for login in [Login::Token, Login::Bearer, Login::Basic, Login::Missing] {
            for (admitted, headers) in SENDERS {
                let signing =
                    prepared(|builder| builder.trusted_origins(["https://console.test"])).await;
                let before = records(&signing.world).await;
                let call = with(operation.call(&signing.world, login), &[OWN]);
                let answer = with(call, headers).send().await;
                cells += 1;
                if operation.is_change() && !admitted {
                    operation.assert_refused(&answer, 403);
                    assert_eq!(records(&signing.world).await, before, "{operation:?} {headers:?}");
                } else if login == Login::Missing && operation.method != "OPTIONS" {
                    operation.assert_refused(&answer, 401);
                } else {
                    assert_eq!(answer.status, operation.done, "{operation:?} {headers:?}");
                }
            }
        }
    }
    assert_eq!(cells, Operation::all().len() * 4 * SENDERS.len());
}

#[tokio::test]
async fn foreign_page_is_refused_before_path_and_method_are_checked() {
    let world = World::new();
    for uri in ["/credentials", "/credentials/k", "/credentials/%00", "/v3/s3tokens"] {
        for method in ["DELETE", "PATCH", "POST", "PUT"] {
            let answer = world.call(method, uri).header("origin", "null").send().await;
            assert_eq!(answer.status, 403, "{method} {uri}");
        }
    }
    for (method, uri, status) in [
        ("PUT", "/credentials", 405),
        ("POST", "/credentials/k", 405),
        ("DELETE", "/credentials/%00", 400),
        ("GET", "/v3/s3tokens", 405),
    ] {
        assert_eq!(world.call(method, uri).send().await.status, status, "{method} {uri}");
    }
    let foreign = world.get("/v3/s3tokens").header("origin", "null").send().await;
    assert_eq!(foreign.status, 405, "GET changes nothing");
}

#[tokio::test]
async fn body_of_a_foreign_page_is_not_read() {
    let world = World::new();
    let body = Stream::new(["{"], End::Stalled);
    let polled = body.polled();
    let call = world.post("/credentials").token("dev-admin").header("origin", "null");
    assert_eq!(call.body(body).send().await.status, 403);
    assert_eq!(polled.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn own_host_comes_from_the_request_or_the_base_url() {
    for (base_url, uri, hosts, origin, status) in [
        (None, "/credentials", &["[2001:db8::1]:8338"][..], "http://[2001:DB8:0::1]:8338", 201),
        (None, "/credentials", &["[2001:db8::1]:8338"], "http://[2001:db8::2]:8338", 403),
        (None, "/credentials", &["[2001:db8::1]"], "https://[2001:db8::1]:443", 201),
        (None, "/credentials", &["keys.test."], "https://keys.test", 201),
        (None, "/credentials", &["Keys.TEST:80"], "http://keys.test", 201),
        (None, "/credentials", &["keys.test:80"], "https://keys.test", 403),
        (None, "/credentials", &["keys.test"], "app://keys.test", 403),
        (None, "/credentials", &[], "http://keys.test", 403),
        (None, "/credentials", &[""], "http://keys.test", 403),
        (None, "/credentials", &["keys.test", "keys.test"], "http://keys.test", 403),
        (None, "/credentials", &["keys.test", "evil.test"], "http://evil.test", 403),
        (None, "/credentials", &["evil.test", "keys.test"], "http://evil.test", 403),
        // In HTTP/2 the URI names the host.
        (None, "https://h2.test/credentials", &[], "https://h2.test", 201),
        (None, "https://h2.test/credentials", &["evil.test"], "https://evil.test", 403),
        (Some("https://keys.test/base"), "/credentials", &["inner:1"], "https://keys.test", 201),
        (Some("https://keys.test/base"), "/credentials", &["inner:1"], "http://keys.test", 403),
        (Some("https://keys.test/base"), "/credentials", &["keys.test"], "http://keys.test", 403),
        (Some("https://keys.test/base"), "/credentials", &["inner:1"], "http://inner:1", 201),
        (Some("https://keys.test/base"), "/credentials", &["inner:1"], "https://evil.test", 403),
    ] {
        let world = World::with(|builder| match base_url {
            Some(base_url) => builder.base_url(base_url),
            None => builder,
        });
        let call = world.post(uri).token("dev-admin").header("origin", origin);
        let call = hosts.iter().fold(call, |call, host| call.header("host", host));
        let answer = call.json(&json!({"credential": {"type": "ec2"}})).send().await;
        assert_eq!(answer.status, status, "{origin} at {uri} {hosts:?}, base {base_url:?}");
    }
}

#[tokio::test]
async fn forwarded_headers_name_the_own_host_only_if_trusted() {
    for (trusts, origin, status) in [
        (true, "https://keys.test", 201),
        (true, "http://keys.test", 403),
        (true, "http://inner:8338", 403),
        (false, "https://keys.test", 403),
        (false, "http://inner:8338", 201),
    ] {
        let world = World::with(|builder| builder.trust_forwarded_headers(trusts));
        let call = world.post("/credentials").token("dev-admin").header("origin", origin);
        let headers = [
            ("host", "inner:8338"),
            ("x-forwarded-host", "keys.test"),
            ("x-forwarded-proto", "https"),
        ];
        let body = json!({"credential": {"type": "ec2"}});
        let answer = with(call, &headers).json(&body).send().await;
        assert_eq!(answer.status, status, "{origin}, trusted: {trusts}");
    }
}

#[tokio::test]
async fn requests_for_the_inner_service_are_not_checked() {
    let world = World::with(|builder| builder.hosts(["keys.test"]));
    let foreign = [("origin", "null"), CROSS_SITE];
    let signed = ("authorization", "AWS4-HMAC-SHA256 Credential=a, Signature=b");
    for method in ["DELETE", "PATCH", "POST", "PUT"] {
        for (uri, headers) in [
            ("/bucket/object", &[("host", "keys.test")][..]),
            ("/v3/auth/tokens", &[("host", "keys.test")]),
            ("/credentials", &[("host", "keys.test"), signed]),
            ("/credentials/object?X-Amz-Signature=a", &[("host", "keys.test")]),
            ("/credentials", &[("host", "other.test")]),
        ] {
            let call = with(world.call(method, uri), headers);
            assert_eq!(with(call, &foreign).send().await.status, 418, "{method} {uri}");
        }
    }
}

/// Content types, and whether they are JSON or XML.
const CONTENT_TYPES: &[(Option<Wire>, &[&str])] = &[
    (None, &[]),
    (None, &[""]),
    (None, &["text/plain"]),
    (None, &["text/plain; application/json"]),
    (None, &["application/json, text/plain"]),
    (None, &["application/x-www-form-urlencoded"]),
    (None, &["multipart/form-data; boundary=x"]),
    (None, &["application/octet-stream"]),
    (None, &["json"]),
    (None, &["application/json", "application/json"]),
    (None, &["application/json", "text/plain"]),
    (Some(Wire::Ibm), &["application/json"]),
    (Some(Wire::Ibm), &["Application/JSON; charset=utf-8"]),
    (Some(Wire::Ibm), &["application/vnd.openstack.identity-v2.0+json"]),
    (Some(Wire::V2), &["application/xml"]),
    (Some(Wire::V2), &["text/xml; charset=utf-8"]),
];

#[tokio::test]
async fn basic_callers_must_send_a_content_type_of_the_dialect_with_every_post_and_patch() {
    for operation in Operation::all() {
        for (format, content_types) in CONTENT_TYPES {
            for is_empty in [false, true] {
                let call = |world: &World, login| {
                    let call = operation.without_body(world, login);
                    let call = content_types
                        .iter()
                        .fold(call, |call, value| call.header("content-type", value));
                    match &operation.body {
                        Some(body) if !is_empty => call.bytes(body.to_string().as_bytes()),
                        _ => call,
                    }
                };
                let signing = prepared(|builder| builder).await;
                let before = records(&signing.world).await;
                let answer = call(&signing.world, Login::Basic).send().await;
                let accepted = match format {
                    Some(Wire::V2) => operation.wire == Wire::V2,
                    format => format.is_some(),
                };
                if operation.takes_body() && !accepted {
                    let status = match operation.wire {
                        Wire::Ibm | Wire::V2 => 415,
                        Wire::OsEc2 | Wire::Tokens | Wire::V3 => 400,
                    };
                    operation.assert_refused(&answer, status);
                    let case = format!("{operation:?} {content_types:?}");
                    assert_eq!(records(&signing.world).await, before, "{case}");
                    assert!(answer.text().contains("With Basic credentials"), "{case}");
                } else {
                    // The same as for callers with a token.
                    let other = prepared(|builder| builder).await;
                    let expected = call(&other.world, Login::Token).send().await;
                    assert_eq!(answer.status, expected.status, "{operation:?} {content_types:?}");
                }
                let anonymous = call(&signing.world, Login::WrongPassword).send().await;
                if operation.method != "OPTIONS" {
                    operation.assert_refused(&anonymous, 401);
                }
            }
        }
    }
}

#[tokio::test]
async fn body_of_a_basic_caller_without_a_content_type_is_not_read() {
    for operation in Operation::all().iter().filter(|operation| operation.takes_body()) {
        let signing = prepared(|builder| builder).await;
        let body = Stream::new(["{"], End::Stalled);
        let polled = body.polled();
        let answer = operation.without_body(&signing.world, Login::Basic).body(body).send().await;
        assert!(answer.status.is_client_error(), "{operation:?}");
        assert_eq!(polled.load(Ordering::SeqCst), 0, "{operation:?}");
    }
}

#[tokio::test]
async fn callers_with_a_token_need_a_content_type_only_in_v2() {
    for operation in Operation::all() {
        for login in [Login::Token, Login::Bearer] {
            let signing = prepared(|builder| builder).await;
            let call = operation.without_body(&signing.world, login);
            let answer = match &operation.body {
                Some(body) => call.bytes(body.to_string().as_bytes()).send().await,
                None => call.send().await,
            };
            if operation.wire == Wire::V2 && operation.takes_body() {
                operation.assert_refused(&answer, 415);
            } else {
                assert_eq!(answer.status, operation.done, "{operation:?}");
            }
        }
        // The token takes precedence over Basic credentials. Browsers cannot add it.
        let signing = prepared(|builder| builder).await;
        let token = if operation.wire == Wire::Tokens { "dev-service" } else { "dev-admin" };
        let call = operation.without_body(&signing.world, Login::Basic).token(token);
        let answer = match &operation.body {
            Some(body) if operation.wire == Wire::V2 => call.json(body).send().await,
            Some(body) => call.bytes(body.to_string().as_bytes()).send().await,
            None => call.send().await,
        };
        assert_eq!(answer.status, operation.done, "{operation:?}");
    }
}
