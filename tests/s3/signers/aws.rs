//! Amazon's own code for Rust, the crate `aws-sigv4`: in the header and presigned.

use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderValue, Method, Request};
use http_body_util::Full;
use proptest::{prelude::*, sample::Index};

use super::{
    full, gate_with,
    meaning::Meaning,
    random::{Plain, key_pair, plain},
};
use crate::{
    aws_signer::Signer,
    gate::{Gate, request},
};

/// A signed request, and the gate that should accept it.
struct Signed {
    gate: Gate,
    request: Request<Full<Bytes>>,
    body: Vec<u8>,
}

/// The region and time of a signature, and whether it is in the query.
#[derive(Clone, Debug)]
struct SigningContext {
    region: String,
    /// Seconds since 1970.
    time: u64,
    presigned: bool,
}

fn context() -> impl Strategy<Value = SigningContext> {
    // Until the year 2100.
    ("[a-z]{2}-[a-z]{4}-[1-9]|[!-.0-9;-~]{1,12}", 0..4_102_444_800_u64, any::<bool>())
        .prop_map(|(region, time, presigned)| SigningContext { region, time, presigned })
}

async fn sign(
    plain: &Plain,
    context: &SigningContext,
    (access, secret): &(String, String),
) -> Signed {
    let gate = gate_with(access, secret).await;
    gate.clock.set(UNIX_EPOCH + Duration::from_secs(context.time));
    let mut signer = Signer { access: access.clone(), secret: secret.clone(), ..gate.signer() };
    signer.region.clone_from(&context.region);
    signer = signer.body(plain.body.clone());
    if context.presigned {
        signer = signer.presigning(Duration::from_mins(5));
    }
    let mut unsigned = request(plain.method, &plain.target());
    for (name, value) in &plain.headers {
        unsigned = unsigned.header(*name, value);
    }
    let (request, _) = signer.sign(unsigned.body(full(plain.body.clone())).unwrap());
    Signed { gate, request, body: plain.body.clone() }
}

/// A part of a request in which a byte is changed.
#[derive(Clone, Copy, Debug)]
enum Part {
    Body,
    Header,
    Method,
    Target,
}

/// One byte of a request becomes another.
#[derive(Clone, Debug)]
struct Change {
    part: Part,
    header: Index,
    at: Index,
    to: u8,
}

fn change() -> impl Strategy<Value = Change> {
    let part = prop_oneof![
        1 => Just(Part::Body),
        3 => Just(Part::Header),
        1 => Just(Part::Method),
        6 => Just(Part::Target),
    ];
    let to = prop_oneof![b' '..=b'~', proptest::sample::select(&b"/+%=&aAfF20"[..])];
    (part, any::<Index>(), any::<Index>(), to).prop_map(|(part, header, at, to)| Change {
        part,
        header,
        at,
        to,
    })
}

impl Change {
    /// Returns the changed request, if the byte exists and HTTP can represent the result.
    fn of(&self, signed: &Signed) -> Option<Request<Full<Bytes>>> {
        let mut request = signed.request.clone();
        match self.part {
            Part::Body => *request.body_mut() = full(self.replace(&signed.body)?),
            Part::Header => {
                let mut values: Vec<_> = request.headers_mut().iter_mut().collect();
                let number = self.header.index(values.len());
                let (_, value) = values.swap_remove(number);
                *value = HeaderValue::from_bytes(&self.replace(value.as_bytes())?).ok()?;
            }
            Part::Method => {
                let method = self.replace(request.method().as_str().as_bytes())?;
                *request.method_mut() = Method::from_bytes(&method).ok()?;
            }
            Part::Target => {
                let target = self.replace(request.uri().to_string().as_bytes())?;
                let target = String::from_utf8(target).ok().filter(|to| to.starts_with('/'))?;
                *request.uri_mut() = target.parse().ok()?;
            }
        }
        Some(request)
    }

    fn replace(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut bytes = bytes.to_vec();
        let at = self.at.index(bytes.len().max(1));
        *bytes.get_mut(at).filter(|byte| **byte != self.to)? = self.to;
        Some(bytes)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn verifies(plain: &Plain, context: &SigningContext, key: &(String, String)) {
    let signed = sign(plain, context, key).await;
    let reached = signed.gate.send(signed.request).await.verified();
    let verified = reached.key.unwrap();
    assert_eq!((verified.access_key().as_str(), verified.region()), (&*key.0, &*context.region));
    assert_eq!(reached.body.unwrap(), plain.body);
}

#[tokio::main(flavor = "current_thread")]
async fn notices(
    plain: &Plain,
    context: &SigningContext,
    key: &(String, String),
    changes: &[Change],
) {
    let signed = sign(plain, context, key).await;
    let meant = Meaning::of(&signed.request).expect("the signed request has a meaning");
    for change in changes {
        let Some(other) = change.of(&signed) else { continue };
        let same = match change.part {
            // Not signed if the request is presigned.
            Part::Body => context.presigned,
            _ => Meaning::of(&other).as_ref() == Some(&meant),
        };
        let answer = signed.gate.send(other.clone()).await;
        let verified = answer.status.is_success();
        assert_eq!(verified, same, "{change:?} made {other:?}, answered {:?}", answer.code);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn aws_sdk_requests_verify(plain in plain(), context in context(), key in key_pair()) {
        verifies(&plain, &context, &key);
    }

    #[test]
    fn changed_byte_of_an_aws_sdk_request_is_refused_unless_it_is_another_spelling(
        plain in plain(),
        context in context(),
        key in key_pair(),
        changes in proptest::collection::vec(change(), 20),
    ) {
        notices(&plain, &context, &key, &changes);
    }
}
