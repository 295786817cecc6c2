//! Mutants of signed requests: each changes one thing.
//!
//! Each mutant must be refused with S3's code for it. The exceptions are on a short list of other
//! spellings of the same request, which must mean the same to the store.

mod header;
mod parts;
mod presigned;
mod target;
pub(crate) mod v2;

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use tower_credentials::{clock::Clock, signature::request::S3ErrorCode};

use self::codes::{HeaderMalformed, InvalidAccessKeyId, Mismatch, RequestTimeTooSkewed, WrongHash};
use crate::{
    aws_signer::Signer,
    gate::{Gate, HOST},
};

/// A request as lists of its parts, each of which can be changed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Raw {
    method: String,
    path: String,
    query: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// The expected result of a mutant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fate {
    /// Another spelling of the same request.
    Same,
    Refused(S3ErrorCode),
}

/// S3's codes by shorter names.
mod codes {
    pub(super) use tower_credentials::signature::request::S3ErrorCode::{
        AccessDenied, AuthorizationHeaderMalformed as HeaderMalformed,
        AuthorizationQueryParametersError as QueryError, InvalidAccessKeyId, InvalidArgument,
        InvalidRequest, InvalidToken, InvalidUri, RequestTimeTooSkewed,
        SignatureDoesNotMatch as Mismatch, XAmzContentSha256Mismatch as WrongHash,
    };
}

impl Raw {
    fn of(request: &Request<Full<Bytes>>, body: &[u8]) -> Self {
        let query = request.uri().query().unwrap_or_default();
        let pairs = query.split('&').filter(|part| !part.is_empty());
        let pair = |part: &str| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            (name.to_owned(), value.to_owned())
        };
        let header = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
            (name.to_string(), value.to_str().unwrap().to_owned())
        };
        Self {
            method: request.method().to_string(),
            path: request.uri().path().to_owned(),
            query: pairs.map(pair).collect(),
            headers: request.headers().iter().map(header).collect(),
            body: body.to_vec(),
        }
    }

    /// Returns the request, if HTTP can represent it.
    pub(crate) fn build(&self) -> Option<Request<Full<Bytes>>> {
        let query: Vec<_> =
            self.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let target = match query.as_slice() {
            [] => self.path.clone(),
            _ => format!("{}?{}", self.path, query.join("&")),
        };
        let method = Method::from_bytes(self.method.as_bytes()).ok()?;
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request.body(Full::from(self.body.clone())).ok()
    }

    fn header(&mut self, name: &str) -> &mut String {
        let header = self.headers.iter_mut().find(|(header, _)| header == name);
        &mut header.unwrap_or_else(|| panic!("no {name}")).1
    }

    fn parameter(&mut self, name: &str) -> &mut String {
        let parameter = self.query.iter_mut().find(|(parameter, _)| parameter == name);
        &mut parameter.unwrap_or_else(|| panic!("no {name}")).1
    }
}

/// Mutants of a request, by their change.
#[derive(Debug, Default)]
pub(crate) struct Mutants(BTreeMap<String, (Raw, Fate)>);

impl Mutants {
    fn add(
        &mut self,
        what: impl Into<String>,
        base: &Raw,
        fate: Fate,
        change: impl FnOnce(&mut Raw),
    ) {
        let (what, mut mutant) = (what.into(), base.clone());
        change(&mut mutant);
        assert_ne!(&mutant, base, "{what} changes nothing");
        assert!(self.0.insert(what.clone(), (mutant, fate)).is_none(), "duplicate mutant: {what}");
    }

    /// Removes some mutants.
    pub(crate) fn without(mut self, left_out: impl Fn(&str) -> bool) -> Self {
        self.0.retain(|what, _| !left_out(what));
        self
    }

    /// Returns all mutants that HTTP can represent.
    pub(crate) fn requests(self) -> impl Iterator<Item = (String, Request<Full<Bytes>>, Fate)> {
        let all = self.0.into_iter();
        all.filter_map(|(what, (mutant, fate))| Some((what, mutant.build()?, fate)))
    }

    /// Sends each mutant and checks the response. Returns the number of mutants.
    async fn check_all(self, gate: &Gate) -> usize {
        let (mut sent, mut wrong) = (0, Vec::new());
        for (what, request, fate) in self.requests() {
            sent += 1;
            let answer = gate.send(request).await;
            let verified = answer.status.is_success();
            let met = match fate {
                Fate::Same => verified,
                Fate::Refused(code) => !verified && answer.code == Some(code),
            };
            if !met {
                wrong.push(format!("{what}: {:?} instead of {fate:?}", answer.code));
            }
        }
        assert!(wrong.is_empty(), "{} of {sent}:\n{}", wrong.len(), wrong.join("\n"));
        sent
    }
}

fn flip_case(text: &str) -> String {
    let flip =
        |c: char| if c.is_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() };
    text.chars().map(flip).collect()
}

/// Escapes the first letter or digit.
fn escaped(text: &str) -> Option<String> {
    let at = text.find(|c: char| c.is_ascii_alphanumeric())?;
    // Outside an escape.
    let at = if text[..at].ends_with('%') {
        at + 2 + text[at + 2..].find(|c: char| c.is_ascii_alphanumeric())?
    } else {
        at
    };
    Some(format!("{}%{:02X}{}", &text[..at], text.as_bytes()[at], &text[at + 1..]))
}

fn percent_decode(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8().unwrap().into_owned()
}

fn unsigned(method: &str, body: &[u8]) -> Request<Full<Bytes>> {
    Request::builder()
        .method(method)
        .uri("/photos/a%20cat/Paw-1.jpg?list-type=2&prefix=a%2Fb%20c&max-keys=7&Empty=")
        .header("host", HOST)
        .header("range", "bytes=0-99")
        .header("content-type", "image/jpeg")
        .header("x-amz-meta-owner", "Alice  and Bob")
        .body(Full::from(body.to_vec()))
        .unwrap()
}

/// A request signed in its header on 2026-01-02, and its mutants.
pub(crate) fn of_a_signed_header(signer: &Signer, method: &str, body: &[u8]) -> (Raw, Mutants) {
    let request = signer.clone().body(body).sign(unsigned(method, body)).0;
    let (base, mut mutants) = (Raw::of(&request, body), Mutants::default());
    target::of_the_target(&base, &mut mutants);
    target::of_parameters(&base, &mut mutants);
    target::of_headers(&base, &mut mutants);
    header::of_the_authorization_header(&base, &mut mutants);
    target::of_the_date(&base, &mut mutants);
    target::of_the_payload(&base, &mut mutants);
    (base, mutants)
}

/// A URL presigned for ten minutes, and its mutants.
pub(crate) fn of_a_presigned_url(signer: &Signer) -> (Raw, Mutants) {
    let presigning = signer.clone().presigning(Duration::from_mins(10));
    let request = presigning.sign(unsigned("GET", b"")).0;
    let (base, mut mutants) = (Raw::of(&request, b""), Mutants::default());
    target::of_the_target(&base, &mut mutants);
    target::of_parameters(&base, &mut mutants);
    target::of_headers(&base, &mut mutants);
    presigned::of_the_presigned_parameters(&base, &mut mutants);
    (base, mutants)
}

#[tokio::test]
async fn every_mutant_of_a_header_signed_request_is_refused() {
    let gate = Gate::new().await;
    for (method, body) in [("GET", &b""[..]), ("PUT", b"content")] {
        let (base, mutants) = of_a_signed_header(&gate.signer(), method, body);
        gate.send(base.build().unwrap()).await.verified();
        let sent = mutants.check_all(&gate).await;
        assert!(sent > 250, "only {sent}");
    }
}

#[tokio::test]
async fn every_mutant_of_a_presigned_request_is_refused() {
    let gate = Gate::new().await;
    let (base, mutants) = of_a_presigned_url(&gate.signer());
    gate.send(base.build().unwrap()).await.verified();
    let sent = mutants.check_all(&gate).await;
    assert!(sent > 250, "only {sent}");
}

#[tokio::test]
async fn request_signed_for_another_target_is_refused() {
    let gate = Gate::new().await;
    let sign = |change: &dyn Fn(&mut Signer)| {
        let mut signer = gate.signer();
        change(&mut signer);
        signer.sign(unsigned("GET", b"")).0
    };
    gate.send(sign(&|_| {})).await.verified();
    for (signed, code) in [
        (sign(&|signer| signer.secret.push('x')), Mismatch),
        (sign(&|signer| signer.secret.clear()), Mismatch),
        (sign(&|signer| signer.access.push('x')), InvalidAccessKeyId),
        (sign(&|signer| signer.service = "s3express".into()), HeaderMalformed),
        (sign(&|signer| signer.time += Duration::from_hours(24)), RequestTimeTooSkewed),
        (sign(&|signer| *signer = signer.clone().body("x")), WrongHash),
    ] {
        gate.send(signed).await.refused(code);
    }
    assert_eq!(gate.clock.now(), gate.signer().time);
}
