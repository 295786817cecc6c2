//! Form uploads, through the layer.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use data_encoding::{BASE64, HEXLOWER};
use hmac::{Hmac, KeyInit, Mac};
use http::Request;
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full};
use sha1::Sha1;
use test_support::clock::TestClock;
use time::{OffsetDateTime, macros::format_description};
use tower_credentials::{
    clock::Clock,
    domain::SecretKey,
    s3::{Anonymous, Mechanism, S3AuthLayerBuilder},
    session::SessionCredentials,
    signature::{CredentialScope, SigningKey, request::S3ErrorCode},
};

use crate::gate::{ACCESS, Gate, SECRET, request};

/// The fields of a signed form, which precede the file.
#[derive(Clone)]
pub(crate) struct Form {
    pub(crate) access: String,
    pub(crate) secret: String,
    pub(crate) policy: String,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) file: String,
    pub(crate) scope: String,
    pub(crate) date: String,
}

impl Form {
    /// The same form, signed with the credentials of a session.
    pub(crate) fn of_session(mut self, credentials: &SessionCredentials) -> Self {
        let (access, token) = (&credentials.access_key, credentials.session_token.expose());
        let condition = format!(r#"{{"x-amz-security-token": "{token}"}}, {{"x-amz-algorithm""#);
        self.policy = self.policy.replace(ACCESS, access.as_str());
        self.policy = self.policy.replace(r#"{"x-amz-algorithm""#, &condition);
        self.fields.push(("x-amz-security-token".into(), token.into()));
        self.access = access.as_str().into();
        self.secret = credentials.secret_key.expose().into();
        self
    }

    pub(crate) fn new() -> Self {
        Self::signed(TestClock::default().now(), "us-east-1")
    }

    /// A form that is signed at this time for this region, and valid for an hour.
    pub(crate) fn signed(time: SystemTime, region: &str) -> Self {
        let date = stamp(time);
        let scope = format!("{}/{region}/s3/aws4_request", &date[..8]);
        let policy = format!(
            r#"{{"expiration": "{}", "conditions": [
            {{"bucket": "photos"}}, ["starts-with", "$key", "cats/"], ["eq", "$x-amz-meta-by", "alice"],
            ["content-length-range", 1, 10], {{"x-amz-algorithm": "AWS4-HMAC-SHA256"}},
            {{"x-amz-credential": "{ACCESS}/{scope}"}}, {{"x-amz-date": "{date}"}}]}}"#,
            in_an_hour(time)
        );
        let fields = [("key", "cats/${filename}"), ("x-amz-meta-by", "alice")];
        Self {
            access: ACCESS.into(),
            secret: SECRET.into(),
            policy,
            fields: fields.map(|(name, value)| (name.into(), value.into())).to_vec(),
            file: "meow".into(),
            scope,
            date,
        }
    }

    fn body(&self) -> String {
        let policy = BASE64.encode(self.policy.as_bytes());
        let scope = CredentialScope::parse(&self.scope).unwrap();
        let key = SigningKey::derive(&SecretKey::from_stored(self.secret.as_str()), &scope);
        let credential = format!("{}/{}", self.access, self.scope);
        let signature = HEXLOWER.encode(&key.sign(policy.as_bytes()));
        let signed = [
            ("policy", policy.as_str()),
            ("x-amz-algorithm", "AWS4-HMAC-SHA256"),
            ("x-amz-credential", &credential),
            ("x-amz-date", &self.date),
            ("x-amz-signature", &signature),
        ];
        let fields = self.fields.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let part = |(name, value)| {
            format!("--XX\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
        };
        let fields: String = fields.chain(signed).map(part).collect();
        format!(
            "{fields}--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"tom.jpg\"\r\n\
             Content-Type: image/jpeg\r\n\r\n{}\r\n--XX--\r\n",
            self.file
        )
    }

    pub(crate) fn to(&self, target: &str) -> Request<Full<Bytes>> {
        let body = self.body();
        let request = request("POST", target).header("content-length", body.len());
        let request = request.header("content-type", "multipart/form-data; boundary=XX");
        request.body(Full::from(body)).unwrap()
    }
}

/// The format of `x-amz-date`.
fn stamp(time: SystemTime) -> String {
    let format = format_description!("[year][month][day]T[hour][minute][second]Z");
    OffsetDateTime::from(time).format(format).unwrap()
}

/// The format of a policy's expiration.
fn in_an_hour(time: SystemTime) -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
    OffsetDateTime::from(time + Duration::from_hours(1)).format(format).unwrap()
}

#[tokio::test]
async fn store_receives_file_and_key_of_a_signed_form() {
    let gate = Gate::new().await;
    for target in ["/photos", "/photos/"] {
        let reached = gate.send(Form::new().to(target)).await.verified();
        assert_eq!(reached.body.unwrap(), "meow");
        assert!(!reached.headers.contains_key("content-length"));
        let key = reached.key.unwrap();
        assert_eq!((key.mechanism(), key.region()), (Mechanism::FormV4, "us-east-1"));
        let form = reached.form.unwrap();
        assert_eq!(form.key(), "cats/tom.jpg");
        assert_eq!(form.field("X-Amz-Meta-By"), Some("alice"));
        assert_eq!(form.content_type(), Some("image/jpeg"));
    }
}

#[tokio::test]
async fn form_is_refused_for_its_signature_policy_or_bucket() {
    let gate = Gate::new().await;
    let with = |change: &dyn Fn(&mut Form)| {
        let mut form = Form::new();
        change(&mut form);
        form.to("/photos")
    };
    for (what, request, code) in [
        ("a wrong secret", with(&|form| form.secret.push('x')), S3ErrorCode::SignatureDoesNotMatch),
        ("an unknown key", with(&|form| form.access.push('x')), S3ErrorCode::InvalidAccessKeyId),
        ("another bucket", Form::new().to("/videos"), S3ErrorCode::AccessDenied),
        (
            "another key",
            with(&|form| form.fields[0].1 = "dogs/x".into()),
            S3ErrorCode::AccessDenied,
        ),
        (
            "another field",
            with(&|form| form.fields.push(("acl".into(), "public".into()))),
            S3ErrorCode::AccessDenied,
        ),
        (
            "an expired policy",
            with(&|form| form.policy = form.policy.replace("T04:04:05", "T03:04:04")),
            S3ErrorCode::AccessDenied,
        ),
        ("no policy", with(&|form| form.policy = "{}".into()), S3ErrorCode::InvalidPolicyDocument),
        (
            "a field twice",
            with(&|form| form.fields.push(("key".into(), "cats/x".into()))),
            S3ErrorCode::MalformedPostRequest,
        ),
        (
            "a session token",
            with(&|form| form.fields.push(("x-amz-security-token".into(), "x".into()))),
            S3ErrorCode::InvalidToken,
        ),
    ] {
        let answer = gate.send(request).await;
        assert_eq!(answer.code, Some(code), "{what}: {}", answer.body);
        answer.refused(code);
    }
}

/// A form of version 2, which signs its policy with the secret. Valid for an hour.
pub(crate) fn version_2(access: &str, secret: &str, time: SystemTime) -> Request<Full<Bytes>> {
    let policy = format!(
        r#"{{"expiration": "{}", "conditions": [{{"bucket": "photos"}}, {{"key": "cat"}}]}}"#,
        in_an_hour(time)
    );
    let policy = BASE64.encode(policy.as_bytes());
    let mut mac = Hmac::<Sha1>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(policy.as_bytes());
    let signature = BASE64.encode(&mac.finalize().into_bytes());
    let fields = [
        ("key", "cat"),
        ("AWSAccessKeyId", access),
        ("policy", &policy),
        ("signature", &signature),
    ];
    let part = |(name, value)| {
        format!("--XX\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let fields: String = fields.into_iter().map(part).collect();
    let file = "--XX\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nmeow\r\n--XX--\r\n";
    let request = request("POST", "/photos");
    let request = request.header("content-type", "multipart/form-data; boundary=XX");
    request.body(Full::from(fields + file)).unwrap()
}

#[tokio::test]
async fn version_2_forms_are_verified_if_accepted() {
    let gate = Gate::new().await;
    gate.send(version_2(ACCESS, SECRET, gate.clock.now()))
        .await
        .refused(S3ErrorCode::InvalidRequest);
    let gate = Gate::with(|builder| builder.signature_v2(true)).await;
    let reached = gate.send(version_2(ACCESS, SECRET, gate.clock.now())).await.verified();
    assert_eq!(reached.key.unwrap().mechanism(), Mechanism::FormV2);
    assert_eq!(reached.body.unwrap(), "meow");
    gate.send(version_2(ACCESS, "x", gate.clock.now()))
        .await
        .refused(S3ErrorCode::SignatureDoesNotMatch);
    gate.send(version_2("NOBODY", SECRET, gate.clock.now()))
        .await
        .refused(S3ErrorCode::InvalidAccessKeyId);
}

#[tokio::test]
async fn hidden_unknown_key_of_a_form_looks_like_a_wrong_signature() {
    let strict = |builder: S3AuthLayerBuilder| builder.signature_v2(true).hide_unknown_keys(true);
    let gate = Gate::with(strict).await;
    let unknown = Form { access: "NOBODY".into(), ..Form::new() };
    gate.send(unknown.to("/photos")).await.refused(S3ErrorCode::SignatureDoesNotMatch);
    gate.send(version_2("NOBODY", SECRET, gate.clock.now()))
        .await
        .refused(S3ErrorCode::SignatureDoesNotMatch);
}

#[tokio::test]
async fn unsigned_amz_headers_of_a_form_are_refused() {
    let gate = Gate::new().await;
    let mut request = Form::new().to("/photos");
    request.headers_mut().insert("x-amz-acl", "public-read".parse().unwrap());
    gate.send(request).await.refused(S3ErrorCode::AccessDenied);
}

#[tokio::test]
async fn form_expiry_is_checked_after_its_fields_have_arrived() {
    let gate = Gate::new().await;
    let (head, body) = Form::new().to("/photos").into_parts();
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let late = Late(Some(receiver), Some(body.collect().await.unwrap().to_bytes()));
    let (waiting, clock) = (gate.clone(), gate.clock.clone());
    let answer = tokio::spawn(async move {
        let answer = waiting.send(Request::from_parts(head, late)).await;
        (answer.code, answer.reached.is_some())
    });
    tokio::task::yield_now().await;
    // The policy expires an hour after it was signed.
    clock.advance(Duration::from_secs(3601));
    sender.send(()).unwrap();
    assert_eq!(answer.await.unwrap(), (Some(S3ErrorCode::AccessDenied), false));
}

/// A body that arrives on demand.
struct Late(Option<tokio::sync::oneshot::Receiver<()>>, Option<Bytes>);

impl Body for Late {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(receiver) = &mut self.0 {
            std::task::ready!(Pin::new(receiver).poll(cx)).unwrap();
            self.0 = None;
        }
        Poll::Ready(self.1.take().map(|data| Ok(Frame::data(data))))
    }
}

#[tokio::test]
async fn file_length_is_checked_while_the_file_is_read() {
    let gate = Gate::new().await;
    for (file, code) in
        [("", S3ErrorCode::EntityTooSmall), ("eleven byte", S3ErrorCode::EntityTooLarge)]
    {
        let form = Form { file: file.into(), ..Form::new() };
        let answer = gate.send(form.to("/photos")).await;
        answer.has_code(code);
        assert!(answer.reached.unwrap().body.is_err());
    }
}

#[tokio::test]
async fn unsigned_forms_are_refused_or_pass_by_setting() {
    let body = "--XX\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\nk\r\n--XX\r\n\
                Content-Disposition: form-data; name=\"file\"\r\n\r\nmeow\r\n--XX--\r\n";
    let unsigned = || {
        let request = request("POST", "/photos");
        let request = request.header("content-type", "multipart/form-data; boundary=XX");
        request.body(Full::<Bytes>::from(body)).unwrap()
    };
    Gate::new().await.send(unsigned()).await.refused(S3ErrorCode::AccessDenied);
    let open = Gate::with(|builder| builder.anonymous(Anonymous::Pass)).await;
    let reached = open.send(unsigned()).await.reached.unwrap();
    assert!(reached.key.is_none());
    assert_eq!(reached.body.unwrap(), "meow");
}

#[tokio::test(start_paused = true)]
async fn form_times_out_if_its_fields_do_not_arrive() {
    let gate = Gate::with(|builder| builder.form_timeout(Duration::from_secs(5))).await;
    let request = request("POST", "/photos");
    let request = request.header("content-type", "multipart/form-data; boundary=XX");
    gate.send(request.body(Never).unwrap()).await.refused(S3ErrorCode::RequestTimeout);
}

/// A body that never yields data.
pub(crate) struct Never;

impl Body for Never {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Pending
    }
}
