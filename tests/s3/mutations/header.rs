//! Mutants of the signature in the head.

use super::{
    Fate::{self, Refused, Same},
    Mutants, Raw,
    codes::*,
    parts::{credentials, lists, signatures},
};

pub(super) fn of_the_authorization_header(base: &Raw, mutants: &mut Mutants) {
    let value = base.clone().header("authorization").clone();
    let (algorithm, rest) = value.split_once(' ').unwrap();
    let parts: Vec<_> = rest.split(", ").collect();
    let [credential, names, signature] = &parts[..] else { panic!("{value}") };
    let inner = |part: &str| part.split_once('=').unwrap().1.to_owned();
    let whole = |credential: &str, names: &str, signature: &str| {
        format!("{algorithm} Credential={credential}, SignedHeaders={names}, Signature={signature}")
    };
    let (c, n, s) = (inner(credential), inner(names), inner(signature));
    assert_eq!(whole(&c, &n, &s), value);
    let mut add = |what: String, changed: String, fate: Fate| {
        mutants.add(format!("authorization {what}"), base, fate, |raw| {
            *raw.header("authorization") = changed;
        });
    };
    for (what, changed, fate) in credentials(&c, HeaderMalformed) {
        add(format!("credential {what}"), whole(&changed, &n, &s), fate);
    }
    for (what, changed, fate) in lists(&n, HeaderMalformed) {
        add(format!("signed headers {what}"), whole(&c, &changed, &s), fate);
    }
    for (what, changed) in signatures(&s) {
        add(format!("signature {what}"), whole(&c, &n, &changed), Refused(Mismatch));
    }
    for (what, changed, fate) in [
        ("signature emptied", whole(&c, &n, ""), Refused(HeaderMalformed)),
        (
            "without credential",
            format!("{algorithm} {names}, {signature}"),
            Refused(HeaderMalformed),
        ),
        (
            "without signed headers",
            format!("{algorithm} {credential}, {signature}"),
            Refused(HeaderMalformed),
        ),
        (
            "without signature",
            format!("{algorithm} {credential}, {names}"),
            Refused(HeaderMalformed),
        ),
        (
            "reordered",
            format!("{algorithm} {names}, {credential}, {signature}"),
            Refused(HeaderMalformed),
        ),
        ("with the signature twice", format!("{value}, {signature}"), Refused(HeaderMalformed)),
        (
            "with names in another case",
            value.replace("Credential=", "credential="),
            Refused(HeaderMalformed),
        ),
        ("with spaces for commas", value.replace(", ", " "), Refused(HeaderMalformed)),
        ("with no space behind commas", value.replace(", ", ","), Same),
        ("escaped", value.replace("Credential=", "Credential%3D"), Refused(HeaderMalformed)),
        ("of the algorithm alone", algorithm.into(), Refused(HeaderMalformed)),
        ("with another algorithm", value.replace("SHA256 ", "SHA512 "), Refused(InvalidRequest)),
        (
            "with the algorithm in another case",
            value.replace("AWS4", "aws4"),
            Refused(InvalidRequest),
        ),
        (
            "with the algorithm of version 4a",
            value.replace("AWS4-HMAC", "AWS4-ECDSA-P256"),
            Refused(InvalidRequest),
        ),
        ("of version 2", value.replace("AWS4-HMAC-SHA256", "AWS"), Refused(InvalidArgument)),
        ("of another scheme", value.replace("AWS4-HMAC-SHA256", "Bearer"), Refused(AccessDenied)),
        ("emptied", String::new(), Refused(AccessDenied)),
    ] {
        add(what.into(), changed, fate);
    }
    moved(base, mutants, algorithm, [&c, &n, &s]);
}

/// Mutants of the header as a whole.
fn moved(base: &Raw, mutants: &mut Mutants, algorithm: &str, [c, n, s]: [&str; 3]) {
    let value = base.clone().header("authorization").clone();
    mutants.add("authorization dropped", base, Refused(AccessDenied), |raw| {
        raw.headers.retain(|(name, _)| name != "authorization");
    });
    mutants.add("authorization doubled", base, Refused(InvalidArgument), |raw| {
        raw.headers.push(("authorization".into(), value.clone()));
    });
    mutants.add("authorization moved into the query", base, Refused(AccessDenied), |raw| {
        raw.headers.retain(|(name, _)| name != "authorization");
        raw.query.push(("authorization".into(), value.replace([' ', ','], "+")));
    });
    mutants.add("authorization moved into a presigned query", base, Refused(Mismatch), |raw| {
        raw.headers.retain(|(name, _)| name != "authorization");
        let date = raw.header("x-amz-date").clone();
        for (name, value) in [
            ("X-Amz-Algorithm", algorithm),
            ("X-Amz-Credential", &c.replace('/', "%2F")),
            ("X-Amz-Date", &date),
            ("X-Amz-Expires", "600"),
            ("X-Amz-SignedHeaders", &n.replace(';', "%3B")),
            ("X-Amz-Signature", s),
        ] {
            raw.query.push((name.into(), value.into()));
        }
    });
    mutants.add("presigned too", base, Refused(InvalidArgument), |raw| {
        raw.query.push(("X-Amz-Signature".into(), s.to_owned()));
    });
}
