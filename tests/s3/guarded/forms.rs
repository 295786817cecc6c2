//! Form uploads through the guard and an `s3s` service.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::Request;
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full};
use tower_credentials::{clock::Clock, s3::Anonymous, signature::request::S3ErrorCode};

use super::Guarded;
use crate::{
    forms::{Form, Never, version_2},
    gate::{ACCESS, SECRET, request},
};

fn form(guarded: &Guarded) -> Form {
    Form::signed(guarded.clock.now(), "us-east-1")
}

#[tokio::test]
async fn signed_form_reaches_the_store_as_the_guard_read_it() {
    let guarded = Guarded::now().await;
    for target in ["/photos", "/photos/"] {
        let stored = guarded.send(form(&guarded).to(target)).await.passed();
        assert_eq!(stored, ("photos".into(), "cats/tom.jpg".into(), "meow".into()));
    }
}

#[tokio::test]
async fn version_2_forms_pass_if_accepted() {
    let guarded = Guarded::now().await;
    let sent = || version_2(ACCESS, SECRET, guarded.clock.now());
    assert_eq!(guarded.send_unguarded(sent()).await.passed().1, "cat");
    guarded.send(sent()).await.refused(S3ErrorCode::InvalidRequest);
    let guarded = Guarded::now_with(|builder| builder.signature_v2(true)).await;
    assert_eq!(guarded.send(sent()).await.passed(), ("photos".into(), "cat".into(), "meow".into()));
    let wrong = version_2(ACCESS, "wrong", guarded.clock.now());
    guarded.send(wrong).await.refused_by_s3s("SignatureDoesNotMatch");
}

#[tokio::test]
async fn form_is_refused_by_the_rules_of_the_layer() {
    let guarded = Guarded::now_with(|builder| builder.regions(["us-east-1"])).await;
    let with = |change: &dyn Fn(&mut Form)| {
        let mut form = form(&guarded);
        change(&mut form);
        form.to("/photos")
    };
    let token = r#"["eq", "$x-amz-security-token", "x"], "#;
    let unbound = |policy: &str| policy.replace(r#"{"bucket": "photos"}, "#, "");
    for (what, request, code) in [
        (
            "another region",
            Form::signed(guarded.clock.now(), "eu-1").to("/photos"),
            S3ErrorCode::InvalidArgument,
        ),
        (
            "a session token",
            with(&|form| {
                form.fields.push(("x-amz-security-token".into(), "x".into()));
                form.policy = form.policy.replace("[\"starts", &format!("{token}[\"starts"));
            }),
            S3ErrorCode::InvalidToken,
        ),
        (
            "a policy for every bucket",
            with(&|form| form.policy = unbound(&form.policy)),
            S3ErrorCode::AccessDenied,
        ),
        (
            "a field that the policy does not name",
            with(&|form| {
                form.fields.push(("x-amz-server-side-encryption".into(), "AES256".into()));
            }),
            S3ErrorCode::AccessDenied,
        ),
        (
            "a header that nobody signed",
            {
                let mut request = form(&guarded).to("/photos");
                request.headers_mut().insert("x-amz-acl", "public-read".parse().unwrap());
                request
            },
            S3ErrorCode::AccessDenied,
        ),
        (
            "a field twice",
            with(&|form| form.fields.push(("key".into(), "cats/x".into()))),
            S3ErrorCode::MalformedPostRequest,
        ),
    ] {
        let bytes = request.body().clone().collect().await.unwrap().to_bytes();
        let copy = Request::from_parts(request.into_parts().0, Full::new(bytes));
        if what != "a field twice" {
            let unguarded = guarded.send_unguarded(copy.clone()).await;
            assert!(unguarded.stored.is_some(), "{what} is refused by s3s: {unguarded:?}");
        }
        let answer = guarded.send(copy).await;
        assert_eq!(answer.guard, Some(code), "{what}: {answer:?}");
        answer.refused(code);
    }
}

#[tokio::test]
async fn form_is_refused_for_its_bucket_key_length_or_age() {
    let guarded = Guarded::now().await;
    guarded.send(form(&guarded).to("/videos")).await.refused(S3ErrorCode::AccessDenied);
    let mut other = form(&guarded);
    other.fields[0].1 = "dogs/x".into();
    guarded.send(other.to("/photos")).await.refused(S3ErrorCode::AccessDenied);
    for (file, code) in
        [("", S3ErrorCode::EntityTooSmall), ("eleven byte", S3ErrorCode::EntityTooLarge)]
    {
        let sent = Form { file: file.into(), ..form(&guarded) };
        guarded.send(sent.to("/photos")).await.refused(code);
    }
    let sent = form(&guarded);
    guarded.clock.advance(Duration::from_secs(3601));
    guarded.send(sent.to("/photos")).await.refused(S3ErrorCode::AccessDenied);
}

#[tokio::test]
async fn form_with_wrong_secret_or_unknown_key_is_refused_by_s3s() {
    let guarded = Guarded::now().await;
    let wrong = Form { secret: "wrong".into(), ..form(&guarded) };
    guarded.send(wrong.to("/photos")).await.refused_by_s3s("SignatureDoesNotMatch");
    let mut unknown = form(&guarded);
    unknown.access = "NOBODY".into();
    unknown.policy = unknown.policy.replace(ACCESS, "NOBODY");
    guarded.send(unknown.to("/photos")).await.refused_by_s3s("InvalidAccessKeyId");
}

#[tokio::test]
async fn form_must_have_one_signature_and_be_posted_to_a_bucket() {
    let guarded = Guarded::now().await;
    let misplaced = S3ErrorCode::InvalidRequest;
    for target in ["/photos/cats", "/photos?delete", "/photos?uploads"] {
        guarded.send(form(&guarded).to(target)).await.refused(misplaced);
    }
    // With a signed head as well, the guard would not check the fields.
    let (signed, _) =
        guarded.signer().payload("UNSIGNED-PAYLOAD").sign(form(&guarded).to("/photos"));
    guarded.send(signed).await.refused(misplaced);
    let mut foreign = form(&guarded).to("/photos");
    foreign.headers_mut().insert("authorization", "Bearer x".parse().unwrap());
    guarded.send(foreign).await.refused(S3ErrorCode::AccessDenied);
    for content_type in [" multipart/form-data; boundary=XX", "MultiPart/Form-Data;boundary=XX"] {
        let mut spelled = form(&guarded).to("/photos/cats");
        spelled.headers_mut().insert("content-type", content_type.parse().unwrap());
        guarded.send(spelled).await.refused(misplaced);
    }
}

#[tokio::test]
async fn s3s_reads_the_fields_that_the_guard_read() {
    let guarded = Guarded::now().await;
    // Names that `s3s` could parse differently.
    for name in ["x y", "x\u{e4}", "x\\"] {
        let mut sent = form(&guarded);
        sent.fields.push((name.into(), "dogs/x".into()));
        let condition = format!("[{{{name:?}: \"dogs/x\"}},");
        sent.policy = sent.policy.replacen('[', &condition, 1);
        guarded.send(sent.to("/photos")).await.refused(S3ErrorCode::MalformedPostRequest);
    }
    // A spelling that `s3s` does not support. The guard rewrites it.
    let (head, body) = form(&guarded).to("/photos").into_parts();
    let body = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
    let body = body.replace("form-data; name=\"key\"", "form-data;name=key");
    let sent = Request::from_parts(head, Full::new(Bytes::from(body)));
    guarded.send_unguarded(sent.clone()).await.refused_by_s3s("MalformedPOSTRequest");
    assert_eq!(guarded.send(sent).await.passed().1, "cats/tom.jpg");
}

#[tokio::test]
async fn large_file_that_looks_like_a_boundary_reaches_the_store_whole() {
    let guarded = Guarded::now().await;
    let mut sent = form(&guarded);
    sent.policy = sent.policy.replace("1, 10]", "1, 1000000]");
    for file in ["\r".repeat(300_000), "\r\n--".repeat(75_000)] {
        let sent = Form { file: file.clone(), ..sent.clone() };
        let (head, body) = sent.to("/photos").into_parts();
        let body = Pieces(body.collect().await.unwrap().to_bytes());
        let stored = guarded.send(Request::from_parts(head, body)).await.passed().2;
        assert!(stored == file, "{} bytes of {}", stored.len(), file.len());
    }
}

/// A body in pieces of 100 KB.
struct Pieces(Bytes);

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let length = self.0.len().min(100_000);
        let piece = self.0.split_to(length);
        Poll::Ready((length > 0).then(|| Ok(Frame::data(piece))))
    }
}

#[tokio::test]
async fn unsigned_forms_are_up_to_s3s_unless_refused() {
    let body = "--XX\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\nk\r\n--XX\r\n\
                Content-Disposition: form-data; name=\"file\"\r\n\r\nmeow\r\n--XX--\r\n";
    let unsigned = || {
        let request = request("POST", "/photos");
        let request = request.header("content-type", "multipart/form-data; boundary=XX");
        request.body(Full::<Bytes>::from(body)).unwrap()
    };
    Guarded::now().await.send(unsigned()).await.refused_by_s3s("AccessDenied");
    let strict = Guarded::now_with(|builder| builder.anonymous(Anonymous::Refuse)).await;
    strict.send(unsigned()).await.refused(S3ErrorCode::AccessDenied);
}

#[tokio::test(start_paused = true)]
async fn form_times_out_if_its_fields_do_not_arrive() {
    let guarded = Guarded::with(|builder| builder.form_timeout(Duration::from_secs(5))).await;
    let request = request("POST", "/photos");
    let request = request.header("content-type", "multipart/form-data; boundary=XX");
    guarded.send(request.body(Never).unwrap()).await.refused(S3ErrorCode::RequestTimeout);
}
