//! The ways to host the layer: nested axum routers, a `ServiceBuilder`, other prefixes and
//! configured hosts. Also the settings that the builder rejects.

use std::{convert::Infallible, time::Duration};

use axum::{Router, body::Body, routing::get};
use http::{Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_credentials::{
    ConfigError, CredentialLayer, CredentialLayerBuilder, Dialect,
    auth::StaticTokens,
    backend::memory::MemoryBackend,
    domain::{Caller, ProjectId, Scope, UserId},
};

const GRANTS: &str = "/v2.0/users/u/OS-KSADM/credentials";

fn builder() -> CredentialLayerBuilder {
    let scope = Scope::Project(ProjectId::new("p").unwrap());
    let admin = Caller::new(UserId::new("u").unwrap(), scope).with_roles(["admin"]);
    let tokens = StaticTokens::new().with_token("token", "u", admin);
    CredentialLayer::builder(tokens, MemoryBackend::default())
}

fn layer() -> CredentialLayer {
    builder().build().unwrap()
}

fn router() -> Router {
    Router::new().route("/mine", get(|| async { "mine" }))
}

async fn status<S, B>(app: &S, uri: &str) -> StatusCode
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible> + Clone,
{
    let request = Request::get(uri).header("x-auth-token", "token").body(Body::empty()).unwrap();
    app.clone().oneshot(request).await.unwrap().status()
}

#[tokio::test]
async fn layer_on_the_outermost_router_responds_and_keeps_all_routes() {
    let app = Router::new().nest("/sub", router()).merge(router()).layer(layer());
    assert_eq!(status(&app, "/mine").await, StatusCode::OK);
    assert_eq!(status(&app, "/sub/mine").await, StatusCode::OK);
    assert_eq!(status(&app, "/credentials").await, StatusCode::OK);
    assert_eq!(status(&app, GRANTS).await, StatusCode::OK);
    assert_eq!(status(&app, "/sub/credentials").await, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn wrapped_router_responds_below_a_nest_service() {
    let app = Router::new().nest_service("/sub", layer().layer(router()));
    assert_eq!(status(&app, "/sub/mine").await, StatusCode::OK);
    assert_eq!(status(&app, "/sub/credentials/").await, StatusCode::OK);
    assert_eq!(status(&app, &format!("/sub{GRANTS}")).await, StatusCode::OK);
    assert_eq!(status(&app, "/credentials").await, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn prefix_reaches_into_a_nested_router_from_the_top() {
    let layer = builder().prefix(Dialect::IbmCos, "/sub/credentials").build().unwrap();
    let app = Router::new().nest("/sub", router()).layer(layer);
    assert_eq!(status(&app, "/sub/mine").await, StatusCode::OK);
    assert_eq!(status(&app, "/sub/credentials").await, StatusCode::OK);
    assert_eq!(status(&app, "/credentials").await, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn wrapped_router_responds_as_a_fallback_service() {
    let app = router().fallback_service(layer().layer(Router::new()));
    assert_eq!(status(&app, "/mine").await, StatusCode::OK);
    assert_eq!(status(&app, "/credentials").await, StatusCode::OK);
    assert_eq!(status(&app, "/missing").await, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn route_layer_never_sees_a_credential_path() {
    let app = router().route_layer(layer());
    assert_eq!(status(&app, "/mine").await, StatusCode::OK);
    assert_eq!(status(&app, "/credentials").await, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn service_builder_works_without_axum() {
    let app = service_fn(|_: Request<Body>| async {
        Ok::<_, Infallible>(Response::new(Body::from("the app")))
    });
    let app = ServiceBuilder::new().layer(layer()).service(app);
    assert_eq!(status(&app, "/credentials").await, StatusCode::OK);
    let request = Request::get("/other").body(Body::empty()).unwrap();
    let body = app.oneshot(request).await.unwrap().into_body();
    assert_eq!(body.collect().await.unwrap().to_bytes(), "the app");
}

#[tokio::test]
async fn only_configured_dialects_are_served() {
    let app = router().layer(builder().dialects([Dialect::KeystoneV2]).build().unwrap());
    assert_eq!(status(&app, GRANTS).await, StatusCode::OK);
    assert_eq!(status(&app, "/credentials").await, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn only_configured_hosts_are_served() {
    let hosts = ["Keys.example.com", "[::1]", "other.example.com:8338"];
    let app = router().layer(builder().hosts(hosts).build().unwrap());
    let to = |hosts: &[&'static str]| {
        let request = Request::get("/credentials").header("x-auth-token", "token");
        let request =
            hosts.iter().fold(request, |request, host| request.header(header::HOST, *host));
        let (request, app) = (request.body(Body::empty()).unwrap(), app.clone());
        async { app.oneshot(request).await.unwrap().status() }
    };
    let on = |host: &'static str| to(&[host]);
    for ours in [
        "keys.example.com",
        "KEYS.example.com:9000",
        "keys.example.com.",
        "Keys.Example.Com.:9000",
        "keys.example.com:",
        "[::1]:8338",
        "[::1]",
        "[0:0:0:0:0:0:0:1]",
        "other.example.com:8338",
        "other.example.com.:8338",
    ] {
        assert_eq!(on(ours).await, StatusCode::OK, "{ours}");
    }
    for foreign in [
        "",
        "example.com",
        "other.example.com",
        "other.example.com:1",
        "[::2]:8338",
        "keys.example.com..",
        "keys.example.com/",
        "keys.example.com:x",
        "keys.example.com, keys.example.com",
    ] {
        assert_eq!(on(foreign).await, StatusCode::NOT_FOUND, "{foreign}");
    }
    // With two hosts, other software may use the other one.
    let twice = to(&["keys.example.com", "keys.example.com"]).await;
    assert_eq!(twice, StatusCode::NOT_FOUND);
    // In HTTP/2 the host is in the URI.
    assert_eq!(status(&app, "http://keys.example.com/credentials").await, StatusCode::OK);
    assert_eq!(status(&app, "http://example.com/credentials").await, StatusCode::NOT_FOUND);
}

#[test]
fn layer_reports_which_requests_it_responds_to() {
    let layer = builder().hosts(["keys.example.com"]).build().unwrap();
    let answers = |method: &str, uri: &str, header: (&str, &str)| {
        let request = Request::builder().method(method).uri(uri).header(header.0, header.1);
        layer.answers(&request.body(()).unwrap())
    };
    let plain = ("host", "keys.example.com");
    let signed = ("authorization", "AWS4-HMAC-SHA256 Credential=a");
    let host = "http://keys.example.com";
    for path in ["/credentials", "/credentials/k", GRANTS, "/v3/credentials"] {
        for method in ["GET", "POST", "PUT", "OPTIONS"] {
            assert!(answers(method, path, plain), "{method} {path}");
            assert!(!answers(method, path, ("host", "example.com")), "{method} {path}");
            assert!(!answers(method, &format!("{host}{path}"), signed), "{method} {path}");
        }
    }
    for path in ["/", "/credential", "/credentials/k/deeper", "/v3/auth/tokens"] {
        assert!(!answers("GET", path, plain), "{path}");
    }
}

#[test]
fn invalid_settings_fail_when_the_layer_is_built() {
    let refused = |builder: CredentialLayerBuilder| builder.build().unwrap_err();
    assert_eq!(refused(builder().dialects([])), ConfigError::NoDialect);
    assert_eq!(refused(builder().body_limit(0)), ConfigError::ZeroBodyLimit);
    assert_eq!(refused(builder().body_timeout(Duration::ZERO)), ConfigError::ZeroBodyTimeout);
    assert_eq!(refused(builder().base_url("keys.example.com")), ConfigError::InvalidBaseUrl);
    for bad in ["https://", "https:///keys", "ftp://keys.test", "https://a b", "https://h?q"] {
        assert_eq!(refused(builder().base_url(bad)), ConfigError::InvalidBaseUrl, "{bad}");
    }
    for good in ["http://keys.test", "https://keys.test:8338/base/", "https://[::1]/"] {
        assert!(builder().base_url(good).build().is_ok(), "{good}");
    }
    for bad in [
        "null",
        "",
        "*",
        "keys.test",
        "https://",
        "https://keys.test/",
        "https://keys.test/path",
        "https://*.keys.test",
        "https://me@keys.test",
        "https://keys.test:x",
        "https://a.test https://b.test",
    ] {
        let origins = ["https://console.test", bad];
        let invalid = refused(builder().trusted_origins(origins));
        assert_eq!(invalid, ConfigError::InvalidOrigin(bad.into()), "{bad}");
        assert!(invalid.to_string().contains("scheme://host"), "{invalid}");
    }
    let origins = ["https://console.test", "HTTP://Console.test.:8080", "app://localhost"];
    assert!(builder().trusted_origins(origins).build().is_ok());
    for bad in ["", "keys test", "https://keys.test", "keys.test/", "::1", "keys.test:x"] {
        let invalid = refused(builder().hosts([bad]));
        assert_eq!(invalid, ConfigError::InvalidHost(bad.into()), "{bad}");
    }
    for bad in ["", "/", "keys", "/keys/"] {
        let invalid = refused(builder().prefix(Dialect::IbmCos, bad));
        assert_eq!(invalid, ConfigError::InvalidPrefix(bad.into()));
    }
    for (one, other) in [("/a", "/a"), ("/a", "/a/b"), ("/a/b", "/a")] {
        let overlap = builder().prefix(Dialect::IbmCos, one).prefix(Dialect::KeystoneV2, other);
        assert!(matches!(refused(overlap), ConfigError::OverlappingPrefixes(..)), "{one} {other}");
    }
    assert!(builder().prefix(Dialect::IbmCos, "/v2.0x").build().is_ok());
}

#[test]
fn service_gives_access_to_the_inner_service() {
    let mut service = layer().layer("inner");
    assert_eq!(*service.get_ref(), "inner");
    *service.get_mut() = "changed";
    assert_eq!(service.into_inner(), "changed");
}
