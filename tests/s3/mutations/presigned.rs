//! Mutants of the signature in the query.

use super::{
    Fate::{Refused, Same},
    Mutants, Raw,
    codes::*,
    escaped,
    parts::{credentials, lists, signatures},
    percent_decode,
};

pub(super) fn of_the_presigned_parameters(base: &Raw, mutants: &mut Mutants) {
    let plain = |name: &str| {
        let value = base.clone().parameter(name).clone();
        percent_decode(&value)
    };
    let encode = |text: &str| text.replace('/', "%2F").replace(';', "%3B").replace(' ', "%20");
    for name in ["Algorithm", "Credential", "Date", "Expires", "SignedHeaders", "Signature"] {
        let name = format!("X-Amz-{name}");
        let value = base.clone().parameter(&name).clone();
        let mut add = |what: &str, fate, change: &dyn Fn(&mut Raw)| {
            mutants.add(format!("{name} {what}"), base, fate, change);
        };
        add("dropped", Refused(QueryError), &|raw| raw.query.retain(|(n, _)| *n != name));
        let emptied = if name == "X-Amz-Signature" { Mismatch } else { QueryError };
        add("emptied", Refused(emptied), &|raw| raw.parameter(&name).clear());
        add("doubled", Refused(InvalidArgument), &|raw| {
            raw.query.push((name.clone(), value.clone()));
        });
        add("named in another case", Refused(QueryError), &|raw| {
            let parameter = raw.query.iter_mut().find(|(n, _)| *n == name).unwrap();
            parameter.0 = name.to_ascii_lowercase();
        });
        add("with its name escaped", Refused(QueryError), &|raw| {
            let parameter = raw.query.iter_mut().find(|(n, _)| *n == name).unwrap();
            parameter.0 = name.replace('-', "%2D");
        });
        add("escaped", Same, &|raw| *raw.parameter(&name) = escaped(&value).unwrap());
        add(
            "escaped twice",
            Refused(match name.as_str() {
                "X-Amz-Credential" => InvalidAccessKeyId,
                "X-Amz-Signature" | "X-Amz-SignedHeaders" => Mismatch,
                _ => QueryError,
            }),
            &|raw| *raw.parameter(&name) = escaped(&value).unwrap().replacen('%', "%25", 1),
        );
        add("moved into a header", Refused(QueryError), &|raw| {
            let at = raw.query.iter().position(|(n, _)| *n == name).unwrap();
            let (name, value) = raw.query.remove(at);
            raw.headers.push((name, percent_decode(&value)));
        });
    }
    let mut set = |name: &str, what: &str, value: &str, fate| {
        let name = format!("X-Amz-{name}");
        mutants.add(format!("{name} {what}"), base, fate, |raw| {
            *raw.parameter(&name) = encode(value);
        });
    };
    for (what, changed, fate) in credentials(&plain("X-Amz-Credential"), QueryError) {
        if what != "emptied" {
            set("Credential", &what, &changed, fate);
        }
    }
    for (what, changed, fate) in lists(&plain("X-Amz-SignedHeaders"), QueryError) {
        if what != "emptied" {
            set("SignedHeaders", &what, &changed, fate);
        }
    }
    for (what, changed) in signatures(&plain("X-Amz-Signature")) {
        set("Signature", &what, &changed, Refused(Mismatch));
    }
    for (name, value, fate) in [
        ("Algorithm", "AWS4-HMAC-SHA512", Refused(QueryError)),
        ("Algorithm", "aws4-hmac-sha256", Refused(QueryError)),
        ("Date", "20260102T030406Z", Refused(Mismatch)),
        ("Date", "20260103T030405Z", Refused(QueryError)),
        ("Date", "2026-01-02T03:04:05Z", Refused(QueryError)),
        ("Date", "20260102", Refused(QueryError)),
        ("Date", "20260132T030405Z", Refused(QueryError)),
        ("Date", "tomorrow", Refused(QueryError)),
        ("Expires", "599", Refused(Mismatch)),
        ("Expires", "604800", Refused(Mismatch)),
        ("Expires", "604801", Refused(QueryError)),
        ("Expires", "0", Refused(QueryError)),
        ("Expires", "-600", Refused(QueryError)),
        ("Expires", "0600", Refused(Mismatch)),
        ("Expires", "600.0", Refused(QueryError)),
        ("Expires", "18446744073709551616", Refused(QueryError)),
    ] {
        set(name, value, value, fate);
    }
    mutants.add("a parameter of version 2 more", base, Refused(InvalidArgument), |raw| {
        raw.query.push(("AWSAccessKeyId".into(), "x".into()));
    });
    mutants.add("a hash that was not signed", base, Refused(Mismatch), |raw| {
        raw.query.push(("X-Amz-Content-Sha256".into(), "UNSIGNED-PAYLOAD".into()));
    });
    mutants.add("signed in the header too", base, Refused(InvalidArgument), |raw| {
        raw.headers.push(("authorization".into(), "AWS4-HMAC-SHA256 x".into()));
    });
    mutants.add("signed in the header with version 2 too", base, Refused(InvalidArgument), |raw| {
        raw.headers.push(("authorization".into(), "AWS AK:x".into()));
    });
}
