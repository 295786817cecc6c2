//! Requests outside the API reach the app unchanged and cost no allocation.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    task::{Context, Poll},
};

use axum::{Router, body::Body as AxumBody, routing::get};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use test_support::counting;
use tokio_test::{assert_pending, assert_ready, assert_ready_err, assert_ready_ok, task};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_credentials::{
    CredentialLayer, CredentialService, ResponseBody, ResponseFuture, auth::StaticTokens,
    backend::memory::MemoryBackend,
};
use tower_test::mock;

use crate::counting::allocations;

#[global_allocator]
static COUNTING: counting::Counting = counting::Counting;

fn layer() -> CredentialLayer {
    CredentialLayer::new(StaticTokens::new(), MemoryBackend::default())
}

/// An app that allocates nothing and returns 418.
#[derive(Clone)]
struct App;

impl Service<Request<Full<Bytes>>> for App {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Full<Bytes>>) -> Self::Future {
        let mut response = Response::new(Full::default());
        *response.status_mut() = StatusCode::IM_A_TEAPOT;
        ready(Ok(response))
    }
}

fn request(method: &Method, target: &str, headers: &[(&str, &str)]) -> Request<Full<Bytes>> {
    let mut request = Request::builder().method(method).uri(target);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Full::default()).unwrap()
}

/// Paths of the app, some of which resemble those of the API.
const APP_PATHS: &[&str] = &[
    "/",
    "/hello?credentials",
    "/credentialsx",
    "/Credentials",
    "//credentials",
    "/%63redentials",
    "/credentials//",
    "/credentials//x",
    "/credentials/key/deeper",
    "/credentials/key//",
    "/v2.0",
    "/v2.0/users",
    "/v2.0/users/u",
    "/v2.0/users/u/OS-KSADM",
    "/v2.0/users//OS-KSADM/credentials",
    "/v2.0/users/u/OS-KSADM/credentials//",
    "/v2.0/users/u/OS-KSADM/credentials/a/b/c",
    "/v2.0/users/u/OS-KSADM/roles",
    "/v2.0/users/u/OS-KSEC2/credentials",
    "/v2.0x/users/u/OS-KSADM/credentials",
    "/v3",
    "/v3/auth/tokens",
    "/v3/credentials/id/deeper",
    "/v3/credentialsx",
    "/v3/ec2tokens",
    "/v3/s3tokens",
    "/v3/s3tokens/deeper",
    "/v3/users/u",
    "/v3/users/u/credentials",
    "/v3/users/u/credentials/OS-EC3",
    "/v3/users/u/credentials/OS-EC2/key/deeper",
    "/v3/users//credentials/OS-EC2",
];

/// Checks that the request reaches the app, and that the layer allocates nothing.
fn assert_passes_without_allocating(request: Request<Full<Bytes>>) {
    let target = request.uri().clone();
    let mut service = layer().layer(App);
    let mut cx = Context::from_waker(std::task::Waker::noop());
    let (response, allocated) = allocations(|| {
        let mut future = std::pin::pin!(service.call(request));
        future.as_mut().poll(&mut cx)
    });
    let Poll::Ready(Ok(response)) = response else { panic!("{target} did not reach the app") };
    assert_eq!(response.status(), StatusCode::IM_A_TEAPOT, "{target}");
    assert_eq!(allocated, 0, "{target}");
}

#[test]
fn requests_outside_the_api_pass_through_without_allocating() {
    for target in APP_PATHS {
        let request = request(&Method::POST, target, &[("x-auth-token", "t")]);
        assert_passes_without_allocating(request);
    }
}

#[test]
fn signed_s3_requests_on_paths_of_the_api_pass_through_without_allocating() {
    for (target, headers) in [
        ("/credentials", &[("authorization", "AWS4-HMAC-SHA256 Credential=a/b")][..]),
        ("/credentials/object", &[("authorization", "AWS key:signature")]),
        ("/credentials/?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=00", &[]),
        ("/credentials/object?AWSAccessKeyId=a&Expires=1&Signature=b", &[]),
    ] {
        let request = request(&Method::GET, target, headers);
        assert_passes_without_allocating(request);
    }
}

#[tokio::test]
async fn layer_responds_to_a_signed_request_with_a_token() {
    let service = layer().layer(App);
    for (target, headers) in [
        ("/credentials", &[("authorization", "AWS4-HMAC-SHA256 x"), ("x-auth-token", "t")][..]),
        ("/credentials?X-Amz-Signature=0", &[("x-auth-token", "t")]),
        ("/credentials?X-Amz-Signature=0", &[("authorization", "Bearer t")]),
        ("/credentials?Signature=0", &[]),
    ] {
        let request = request(&Method::GET, target, headers);
        let response = service.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{target}");
    }
}

#[test]
fn response_future_is_no_larger_than_that_of_the_app() {
    fn sizes<S: Service<Request<AxumBody>>>(_: &S) -> (usize, usize) {
        (size_of::<S::Future>(), size_of::<ResponseFuture<S::Future>>())
    }
    let (inner, outer) = sizes(&Router::<()>::new().into_service::<AxumBody>());
    assert_eq!(outer, inner, "around axum's route future");
    let ready = size_of::<<App as Service<Request<Full<Bytes>>>>::Future>();
    let wrapped = size_of::<<CredentialService<App> as Service<Request<Full<Bytes>>>>::Future>();
    assert_eq!(wrapped, ready, "around a ready future");
}

#[test]
fn layer_service_and_future_implement_the_traits_that_hosts_require() {
    fn assert_shareable<T: Clone + Send + Sync + 'static>(_: &T) {}
    fn assert_send<T: Send>(_: &T) {}
    let layer = layer();
    assert_shareable(&layer);
    let mut service = layer.layer(App);
    assert_shareable(&service);
    assert_send(&service.call(request(&Method::GET, "/credentials", &[])));
    let _: Option<CredentialService<App>> = Some(service);
}

#[test]
fn readiness_and_errors_of_the_inner_service_are_forwarded() {
    let (mut service, mut inner) =
        mock::spawn_layer::<Request<Full<Bytes>>, Response<Full<Bytes>>, _>(layer());
    inner.allow(0);
    assert_pending!(service.poll_ready());
    inner.allow(1);
    assert_ready_ok!(service.poll_ready());

    let mut response = task::spawn(service.call(request(&Method::GET, "/mine", &[])));
    let (passed, answer) = assert_ready!(inner.poll_request()).unwrap();
    assert_eq!(passed.uri().path(), "/mine");
    assert_pending!(response.poll());
    answer.send_response(Response::new(Full::default()));
    assert_ready_ok!(response.poll());

    inner.allow(1);
    assert_ready_ok!(service.poll_ready());
    inner.send_error("the app's own error");
    assert_ready_err!(service.poll_ready());
}

#[test]
fn request_with_a_rejected_token_never_reaches_the_inner_service() {
    let (mut service, mut inner) =
        mock::spawn_layer::<Request<Full<Bytes>>, Response<Full<Bytes>>, _>(layer());
    assert_ready_ok!(service.poll_ready());
    let refused = request(&Method::POST, "/credentials", &[("x-auth-token", "wrong")]);
    let mut response = task::spawn(service.call(refused));
    let response = assert_ready!(response.poll()).unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_pending!(inner.poll_request(), "the request reached the app");
}

#[tokio::test]
async fn body_of_the_app_keeps_its_size_its_end_and_its_error() {
    let app = service_fn(|request: Request<Full<Bytes>>| async move {
        let body = if request.uri().path() == "/empty" { Full::default() } else { "hello".into() };
        Ok::<_, Infallible>(Response::new(body))
    });
    let service = layer().layer(app);
    let body = |path: &'static str| {
        let response = service.clone().oneshot(request(&Method::GET, path, &[]));
        async { response.await.unwrap().into_body() }
    };
    assert_eq!(body("/hello").await.size_hint().exact(), Some(5));
    assert!(body("/empty").await.is_end_stream());
    assert_eq!(body("/hello").await.collect().await.unwrap().to_bytes(), "hello");
    let ours = body("/credentials").await;
    assert!(ours.size_hint().exact().is_some_and(|size| size > 0));
    assert!(ResponseBody::<Full<Bytes>>::default().is_end_stream());
}

#[tokio::test]
async fn axum_app_keeps_its_own_routes() {
    let app = Router::new().route("/mine", get(|| async { "mine" })).layer(layer());
    let get = |path: &str| {
        let request = Request::get(path).body(AxumBody::empty()).unwrap();
        let app = app.clone();
        async { app.oneshot(request).await.unwrap().status() }
    };
    assert_eq!(get("/mine").await, StatusCode::OK);
    assert_eq!(get("/missing").await, StatusCode::NOT_FOUND);
    assert_eq!(get("/credentials").await, StatusCode::UNAUTHORIZED);
}
