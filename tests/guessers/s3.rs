//! `S3AuthLayer` with guessers: signatures in the header and the query, forms, and sessions.

use std::{convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use test_support::{aws_signer::Signer, clock::TestClock, records};
use tokio::time::Instant;
use tower::{Layer, ServiceExt, service_fn};
use tower_credentials::{
    backend::{CredentialBackend, Uncached, cached::Cached, memory::MemoryBackend},
    clock::Clock,
    domain::{AccessKey, Credential, Delegation, Quota, SecretKey, Status},
    guessers::Guessers,
    s3::{S3AuthLayer, S3AuthLayerBuilder, VerifiedBody},
    session::{Holder, Session},
};

use crate::late::{ALLOWED, at_once, from, guessers};

pub(crate) const ACCESS: &str = "AKIDEXAMPLE";
pub(crate) const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
pub(crate) const NAT: &str = "203.0.113.7";

/// The layer with one key of alice's.
pub(crate) struct Gate {
    pub(crate) clock: TestClock,
    pub(crate) guessers: Guessers,
    pub(crate) keys: MemoryBackend,
    layer: S3AuthLayer,
}

impl Gate {
    pub(crate) async fn new() -> Self {
        let clock = TestClock::default();
        Self::with(guessers(&clock), clock, |builder| builder).await
    }

    pub(crate) async fn with(
        guessers: Guessers,
        clock: TestClock,
        set: impl FnOnce(S3AuthLayerBuilder) -> S3AuthLayerBuilder,
    ) -> Self {
        let keys = MemoryBackend::default();
        let record = records::pair_in("demo", "alice", ACCESS, SECRET);
        keys.insert(&Arc::new(record), Quota::Unlimited).await.unwrap();
        let builder = S3AuthLayer::builder(Uncached(keys.clone())).clock(clock.clone());
        let layer = set(builder.guessers(guessers.clone())).build().unwrap();
        Self { clock, guessers, keys, layer }
    }

    /// The response to a request, and its body.
    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> (StatusCode, String) {
        let store = service_fn(|request: Request<VerifiedBody<Full<Bytes>>>| async {
            let _ = request.into_body().collect().await;
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("stored")))
        });
        let response = self.layer.layer(store).oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (head.status, String::from_utf8(body.to_vec()).unwrap())
    }

    /// Sends a request. `None` if its response is late.
    async fn status(&self, request: Request<Full<Bytes>>) -> Option<u16> {
        at_once(self.send(request)).await.map(|(status, _)| status.as_u16())
    }

    /// A GET from an address, signed with a secret.
    pub(crate) fn get(&self, address: &str, access: &str, secret: &str) -> Request<Full<Bytes>> {
        let signer = Signer::new(access, secret, self.clock.now());
        let mut request = signer.sign(get()).0;
        request.extensions_mut().insert(from(address));
        request
    }

    /// The status of a GET with a wrong secret.
    async fn guess(&self, address: &str) -> Option<u16> {
        self.status(self.get(address, ACCESS, "wrong")).await
    }

    /// The status of a GET with the right secret.
    pub(crate) async fn own(&self, address: &str) -> Option<u16> {
        self.status(self.get(address, ACCESS, SECRET)).await
    }

    async fn change(&self, change: impl FnOnce(&mut Credential)) {
        let access = AccessKey::from_stored(ACCESS);
        let found = self.keys.find_by_access_key(&access).await.unwrap().unwrap();
        let mut changed = (*found).clone().touched(found.updated_at);
        change(&mut changed);
        assert!(self.keys.update(&Arc::new(changed), found.version).await.unwrap());
    }

    /// Checks that these requests are refused, and never counted.
    async fn never_counts(
        &self,
        what: &str,
        status: u16,
        request: impl Fn() -> Request<Full<Bytes>>,
    ) {
        for _ in 0..2 * ALLOWED {
            assert_eq!(self.status(request()).await, Some(status), "{what}");
        }
        assert_eq!(self.guessers.stats().failures, 0, "{what}");
    }
}

fn get() -> Request<Full<Bytes>> {
    let request = Request::get("/photos/a-cat.jpg").header("host", "s3.example.org");
    request.body(Full::default()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn guesser_is_answered_late_and_the_owner_behind_the_same_nat_at_once() {
    let gate = Gate::new().await;
    for _ in 0..ALLOWED {
        assert_eq!(gate.guess(NAT).await, Some(403));
    }
    for _ in 0..5 {
        assert_eq!(gate.guess(NAT).await, None);
        assert_eq!(gate.own(NAT).await, Some(200));
    }
    // Another network, and another key.
    assert_eq!(gate.guess("203.0.114.7").await, Some(403));
    assert_eq!(gate.status(gate.get(NAT, "another", "wrong")).await, Some(403));
    let stats = gate.guessers.stats();
    assert_eq!((stats.failures, stats.delayed, stats.waiting), (10, 5, 0));
}

#[tokio::test(start_paused = true)]
async fn late_response_is_the_ordinary_one_after_a_pause_that_doubles() {
    let gate = Gate::new().await;
    let without_id = |body: String| {
        let end = body.find("<RequestId>").expect("an error of S3");
        body[..end].to_owned()
    };
    let request = gate.get(NAT, ACCESS, "wrong");
    let (status, ordinary) = gate.send(request.clone()).await;
    for _ in 1..ALLOWED {
        gate.send(request.clone()).await;
    }
    for millis in [250, 500, 1_000, 2_000, 4_000, 8_000, 8_000] {
        let start = Instant::now();
        let (late_status, late) = gate.send(request.clone()).await;
        // The timer of tokio has a resolution of a millisecond.
        assert_eq!(start.elapsed().as_millis() / 10, millis / 10);
        assert_eq!(late_status, status);
        assert_eq!(without_id(late), without_id(ordinary.clone()));
    }
}

#[tokio::test(start_paused = true)]
async fn next_minute_starts_at_zero_and_a_clock_that_goes_back_does_not() {
    let gate = Gate::new().await;
    for _ in 0..ALLOWED {
        assert_eq!(gate.guess(NAT).await, Some(403));
    }
    gate.clock.put_back(Duration::from_mins(10));
    assert_eq!(gate.guess(NAT).await, None);
    gate.clock.advance(Duration::from_mins(1));
    for _ in 0..ALLOWED {
        assert_eq!(gate.guess(NAT).await, Some(403));
    }
    assert_eq!(gate.guess(NAT).await, None);
    gate.clock.advance(Duration::from_hours(10));
    assert_eq!(gate.guess(NAT).await, Some(403));
}

#[tokio::test(start_paused = true)]
async fn presigned_requests_forms_and_unknown_keys_are_counted() {
    let gate = Gate::new().await;
    let late = async |requests: &dyn Fn() -> Request<Full<Bytes>>| {
        for _ in 0..ALLOWED {
            assert_eq!(gate.status(requests()).await, Some(403));
        }
        gate.status(requests()).await.is_none()
    };
    let sign = |access: &str| {
        let signer = Signer::new(access, "wrong", gate.clock.now());
        signer.presigning(Duration::from_mins(5)).sign(get()).0
    };
    assert!(late(&|| sign(ACCESS)).await);
    assert!(late(&|| sign("unknown")).await);
    assert!(late(&form).await);
    assert_eq!(gate.guessers.stats().delayed, 3);
}

/// A form whose signature is invalid.
fn form() -> Request<Full<Bytes>> {
    let (policy, credential) = (
        "eyJleHBpcmF0aW9uIjoiMjAzMC0wMS0wMVQwMDowMDowMFoiLCJjb25kaXRpb25zIjpbXX0=",
        "AKIDEXAMPLE/20260102/us-east-1/s3/aws4_request",
    );
    let signature = "0".repeat(64);
    let fields = [
        ("key", "a"),
        ("policy", policy),
        ("x-amz-algorithm", "AWS4-HMAC-SHA256"),
        ("x-amz-credential", credential),
        ("x-amz-date", "20260102T030405Z"),
        ("x-amz-signature", &signature),
        ("file", "content"),
    ];
    let part = |(name, value): (&str, &str)| {
        format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let body = fields.map(part).concat() + "--b--\r\n";
    let request = Request::post("/photos")
        .header("host", "s3.example.org")
        .header("content-type", "multipart/form-data; boundary=b")
        .extension(from(NAT));
    request.body(Full::from(body)).unwrap()
}

#[tokio::test(start_paused = true)]
async fn forged_session_tokens_count_for_the_key_they_name_and_valid_ones_do_not() {
    let gate = Gate::new().await;
    let mint = |secret: &str| {
        let (parent, holder) = (AccessKey::from_stored(ACCESS), Holder::Role("nightly".into()));
        let session = Session::new(&parent, holder, gate.clock.now(), Duration::from_hours(1));
        session.unwrap().mint(&SecretKey::from_stored(secret)).unwrap()
    };
    let request = |secret: &str| {
        let session = mint(secret);
        let signer =
            Signer::new(session.access_key.as_str(), session.secret_key.expose(), gate.clock.now());
        let mut request = get();
        let token = session.session_token.expose().parse().unwrap();
        request.headers_mut().insert("x-amz-security-token", token);
        let mut request = signer.sign(request).0;
        request.extensions_mut().insert(from(NAT));
        request
    };
    let other = "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a6978";
    // Each has an access key of its own.
    for _ in 0..ALLOWED {
        assert_eq!(gate.status(request(other)).await, Some(400));
    }
    assert_eq!(gate.status(request(other)).await, None);
    assert_eq!(gate.guess(NAT).await, None);
    assert_eq!(gate.status(request(SECRET)).await, Some(200));
}

#[tokio::test(start_paused = true)]
async fn refusals_that_say_nothing_about_a_secret_are_not_counted() {
    let gate = Gate::new().await;
    gate.never_counts("no signature", 403, get).await;
    let old = gate.get(NAT, ACCESS, "wrong");
    let malformed = || {
        let mut request = gate.get(NAT, ACCESS, "wrong");
        request.headers_mut().insert("authorization", "AWS4-HMAC-SHA256 ?".parse().unwrap());
        request
    };
    gate.never_counts("malformed", 400, malformed).await;
    gate.clock.advance(Duration::from_hours(1));
    gate.never_counts("too old", 403, || old.clone()).await;

    gate.change(|key| key.status = Status::Inactive).await;
    let disabled = |secret: &str| gate.get(NAT, ACCESS, secret);
    gate.never_counts("a disabled key", 403, || disabled(SECRET)).await;
    gate.never_counts("a wrong secret of a disabled key", 403, || disabled("wrong")).await;
    let end = gate.clock.now();
    gate.change(|key| {
        key.status = Status::Active;
        key.terms.set_expires_at(Some(end));
    })
    .await;
    gate.never_counts("an expired key", 403, || disabled("wrong")).await;
    gate.change(|key| {
        key.terms.set_expires_at(None);
        key.delegation = Some(Delegation::Trust { id: "t".into() });
    })
    .await;
    gate.never_counts("a delegated key", 403, || disabled("wrong")).await;
    gate.change(|key| {
        key.delegation = None;
        key.terms.set_boundary(Some(r#"{"permission":"read","buckets":["other"]}"#.into()));
    })
    .await;
    gate.never_counts("a request outside the boundary", 403, || disabled(SECRET)).await;
    assert_eq!(gate.guess(NAT).await, Some(403));
    assert_eq!(gate.guessers.stats().failures, 1);
}

#[tokio::test(start_paused = true)]
async fn headers_of_the_request_do_not_change_its_source() {
    let gate = Gate::new().await;
    for at in 0..=ALLOWED {
        let mut request = gate.get(NAT, ACCESS, "wrong");
        let headers = request.headers_mut();
        headers.insert("x-forwarded-for", format!("198.51.{at}.1").parse().unwrap());
        headers.insert("forwarded", format!("for=198.51.{at}.1").parse().unwrap());
        assert_eq!(gate.status(request).await.is_none(), at == ALLOWED);
    }
}

#[tokio::test(start_paused = true)]
async fn cached_key_is_guessed_as_late_as_one_that_is_looked_up() {
    let clock = TestClock::default();
    let keys = Cached::builder(MemoryBackend::default()).clock(clock.clone()).build();
    let record = records::pair_in("demo", "alice", ACCESS, SECRET);
    keys.insert(&Arc::new(record), Quota::Unlimited).await.unwrap();
    let guessers = guessers(&clock);
    let layer = S3AuthLayer::builder(keys).clock(clock.clone()).guessers(guessers.clone());
    let layer = layer.build().unwrap();
    let gate = Gate { clock, guessers, keys: MemoryBackend::default(), layer };
    assert_eq!(gate.own(NAT).await, Some(200));
    for _ in 0..ALLOWED {
        assert_eq!(gate.guess(NAT).await, Some(403));
    }
    assert_eq!(gate.guess(NAT).await, None);
    assert_eq!(gate.own(NAT).await, Some(200));
}
