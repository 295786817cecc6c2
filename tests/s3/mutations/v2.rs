//! Mutants of the signed parts of version 2.

use std::time::{Duration, SystemTime};

use data_encoding::BASE64;
use hmac::{Hmac, KeyInit, Mac};
use http_body_util::Full;
use sha1::Sha1;
use tower_credentials::clock::Clock;

use super::{
    Fate::{self, Refused, Same},
    Mutants, Raw,
    codes::*,
};
use crate::gate::{ACCESS, Gate, SECRET, request};

const DATE: &str = "Fri, 02 Jan 2026 03:04:05 GMT";

fn sign(text: &str) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(text.as_bytes());
    BASE64.encode(&mac.finalize().into_bytes())
}

fn in_the_header() -> Raw {
    let text = format!(
        "GET\nbWQ1\ntext/plain\n{DATE}\nx-amz-acl:private\nx-amz-meta-a:one,two\n\
         /photos/a%20cat.jpg?partNumber=1&uploadId=x/y"
    );
    let request = request("GET", "/photos/a%20cat.jpg?uploadId=x%2Fy&partNumber=1")
        .header("content-md5", "bWQ1")
        .header("content-type", "text/plain")
        .header("date", DATE)
        .header("x-amz-acl", "private")
        .header("x-amz-meta-a", "one,two")
        .header("authorization", format!("AWS {ACCESS}:{}", sign(&text)))
        .body(Full::default())
        .unwrap();
    Raw::of(&request, b"")
}

async fn gate() -> Gate {
    Gate::with(|builder| builder.signature_v2(true)).await
}

/// A request signed in its header on 2026-01-02, and its mutants.
pub(crate) fn of_a_signed_header() -> (Raw, Mutants) {
    let base = in_the_header();
    let mut mutants = Mutants::default();
    let mut add = |what: String, fate: Fate, change: &dyn Fn(&mut Raw)| {
        mutants.add(what, &base, fate, change);
    };
    for method in ["HEAD", "PUT", "POST", "DELETE", "get"] {
        add(format!("method {method}"), Refused(Mismatch), &|raw| raw.method = method.into());
    }
    for path in [
        "/photos/a%20cat.jp",
        "/Photos/a%20cat.jpg",
        "/photos/a+cat.jpg",
        "/photos/%61%20cat.jpg",
        "//photos/a%20cat.jpg",
        "/photos%2Fa%20cat.jpg",
        "/",
    ] {
        add(format!("path {path}"), Refused(Mismatch), &|raw| raw.path = path.into());
    }
    for name in ["content-md5", "content-type", "date", "x-amz-acl", "x-amz-meta-a"] {
        let missing = if name == "date" { AccessDenied } else { Mismatch };
        add(format!("{name} dropped"), Refused(missing), &|raw| {
            raw.headers.retain(|(header, _)| header != name);
        });
        add(format!("{name} emptied"), Refused(missing), &|raw| raw.header(name).clear());
        add(format!("{name} changed"), Refused(missing), &|raw| raw.header(name).push('x'));
        add(format!("{name} doubled"), Refused(InvalidArgument), &|raw| {
            let value = raw.header(name).clone();
            raw.headers.push((name.into(), value));
        });
    }
    for (date, fate) in [
        ("Fri, 02 Jan 2026 03:04:06 GMT", Refused(Mismatch)),
        ("Fri, 02 Jan 2026 02:49:04 GMT", Refused(RequestTimeTooSkewed)),
        ("Fri, 02 Jan 2026 03:19:06 GMT", Refused(RequestTimeTooSkewed)),
        ("1767323045", Refused(AccessDenied)),
        ("today", Refused(AccessDenied)),
    ] {
        add(format!("date {date}"), fate, &|raw| *raw.header("date") = date.into());
    }
    add("another date of Amazon's".into(), Refused(Mismatch), &|raw| {
        raw.headers.push(("x-amz-date".into(), DATE.into()));
    });
    add("a header of Amazon's more".into(), Refused(Mismatch), &|raw| {
        raw.headers.push(("x-amz-meta-b".into(), "x".into()));
    });
    add("a header in two".into(), Refused(InvalidArgument), &|raw| {
        *raw.header("x-amz-meta-a") = "one".into();
        raw.headers.push(("x-amz-meta-a".into(), "two".into()));
    });
    add("a session token".into(), Refused(InvalidToken), &|raw| {
        raw.headers.push(("x-amz-security-token".into(), "x".into()));
    });
    add("subresources in another order".into(), Same, &|raw| raw.query.reverse());
    add("a subresource more".into(), Refused(Mismatch), &|raw| {
        raw.query.push(("acl".into(), String::new()));
    });
    for name in ["%61cl", "%64elete", "acl%", "ac%6C", "version%49d"] {
        let fate = if name == "acl%" { Same } else { Refused(InvalidArgument) };
        add(format!("a subresource more, as {name}"), fate, &|raw| {
            raw.query.push((name.into(), String::new()));
        });
    }
    add("a subresource in another's value".into(), Refused(InvalidArgument), &|raw| {
        raw.query = vec![("partNumber".into(), "1%26uploadId%3Dx/y".into())];
    });
    for index in 0..2 {
        add(format!("subresource {index} dropped"), Refused(Mismatch), &|raw| {
            raw.query.remove(index);
        });
        add(format!("subresource {index} changed"), Refused(Mismatch), &|raw| {
            raw.query[index].1.push('2');
        });
        add(format!("subresource {index} doubled"), Refused(InvalidArgument), &|raw| {
            raw.query.push(raw.query[index].clone());
        });
    }
    let value = base.clone().header("authorization").clone();
    let signature = value.rsplit(':').next().unwrap();
    for (what, changed, fate) in [
        ("of nobody", format!("AWS NOBODY:{signature}"), Refused(InvalidAccessKeyId)),
        ("without a key", format!("AWS :{signature}"), Refused(InvalidArgument)),
        ("without a signature", format!("AWS {ACCESS}:"), Refused(InvalidArgument)),
        ("without a colon", format!("AWS {ACCESS}"), Refused(InvalidArgument)),
        ("with two signatures", format!("{value},{signature}"), Refused(Mismatch)),
        ("of another length", format!("{value}="), Refused(Mismatch)),
        ("without padding", value.trim_end_matches('=').into(), Refused(Mismatch)),
        ("of another", format!("AWS {ACCESS}:{}", sign("text")), Refused(Mismatch)),
        ("in lower case", value.replace("AWS ", "aws "), Refused(InvalidRequest)),
        ("of version 4", value.replace("AWS ", "AWS4-HMAC-SHA256 "), Refused(HeaderMalformed)),
    ] {
        add(format!("authorization {what}"), fate, &|raw| {
            raw.header("authorization").clone_from(&changed);
        });
    }
    (base, mutants)
}

#[tokio::test]
async fn every_mutant_of_a_version_2_request_is_refused() {
    let (gate, (base, mutants)) = (gate().await, of_a_signed_header());
    gate.send(base.build().unwrap()).await.verified();
    let sent = mutants.check_all(&gate).await;
    assert!(sent > 50, "only {sent}");
}

/// A URL presigned for ten minutes from now, and its mutants.
pub(crate) fn of_a_presigned_url(now: SystemTime) -> (Raw, Mutants) {
    let end = now + Duration::from_mins(10);
    let end = end.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let signature = sign(&format!("GET\n\n\n{end}\n/photos/cat.jpg"));
    let signature = signature.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
    let target =
        format!("/photos/cat.jpg?AWSAccessKeyId={ACCESS}&Expires={end}&Signature={signature}");
    let base = Raw::of(&request("GET", &target).body(Full::default()).unwrap(), b"");
    let mut mutants = Mutants::default();
    for name in ["AWSAccessKeyId", "Expires", "Signature"] {
        let mut add = |what: &str, fate, change: &dyn Fn(&mut Raw)| {
            mutants.add(format!("{name} {what}"), &base, Refused(fate), change);
        };
        add("dropped", AccessDenied, &|raw| raw.query.retain(|(n, _)| n != name));
        let (emptied, changed) = match name {
            "Signature" => (Mismatch, Mismatch),
            "Expires" => (AccessDenied, AccessDenied),
            _ => (AccessDenied, InvalidAccessKeyId),
        };
        add("emptied", emptied, &|raw| raw.parameter(name).clear());
        add("longer", changed, &|raw| raw.parameter(name).push('x'));
        add("doubled", InvalidArgument, &|raw| {
            let value = raw.parameter(name).clone();
            raw.query.push((name.into(), value));
        });
        add("with its name escaped", QueryError, &|raw| {
            let parameter = raw.query.iter_mut().find(|(n, _)| n == name).unwrap();
            parameter.0 = format!("%{:02X}{}", name.as_bytes()[0], &name[1..]);
        });
    }
    for (what, expires, fate) in [
        ("a second later", end + 1, Mismatch),
        ("in the past", end - 601, AccessDenied),
        ("a year ahead", end + 31_536_000, AccessDenied),
    ] {
        mutants.add(format!("expires {what}"), &base, Refused(fate), |raw| {
            *raw.parameter("Expires") = expires.to_string();
        });
    }
    mutants.add("a parameter of version 4 more", &base, Refused(InvalidArgument), |raw| {
        raw.query.push(("X-Amz-Date".into(), "20260102T030405Z".into()));
    });
    mutants.add("a header of Amazon's more", &base, Refused(Mismatch), |raw| {
        raw.headers.push(("x-amz-acl".into(), "public-read".into()));
    });
    (base, mutants)
}

#[tokio::test]
async fn every_mutant_of_a_version_2_presigned_url_is_refused() {
    let gate = gate().await;
    let (base, mutants) = of_a_presigned_url(gate.clock.now());
    gate.send(base.build().unwrap()).await.verified();
    mutants.check_all(&gate).await;
}

#[tokio::test]
async fn version_2_is_refused_unless_accepted() {
    let gate = Gate::new().await;
    gate.send(in_the_header().build().unwrap()).await.refused(InvalidRequest);
}
