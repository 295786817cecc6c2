//! Mutants of the request line, the other headers, and the body.

use super::{
    Fate::{Refused, Same},
    Mutants, Raw,
    codes::*,
    escaped, flip_case,
};

/// Mutants of the request line.
pub(super) fn of_the_target(base: &Raw, mutants: &mut Mutants) {
    for method in ["GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "PATCH", "TRACE", "get", "X"]
    {
        if method != base.method {
            mutants.add(format!("method {method}"), base, Refused(Mismatch), |raw| {
                raw.method = method.into();
            });
        }
    }
    let path = base.path.clone();
    for (index, c) in path.char_indices().filter(|(_, c)| c.is_ascii_alphanumeric()) {
        if path[..index].ends_with('%') || path[..index.max(1) - 1].ends_with('%') {
            continue;
        }
        let other = if c == 'x' { 'y' } else { 'x' };
        let mut changed = path.clone();
        changed.replace_range(index..=index, other.encode_utf8(&mut [0; 4]));
        mutants.add(format!("path {index} to {other}"), base, Refused(Mismatch), |raw| {
            raw.path = changed;
        });
        let mut respelled = path.clone();
        respelled.replace_range(index..=index, &format!("%{:02x}", c as u32));
        mutants.add(format!("path {index} escaped"), base, Same, |raw| raw.path = respelled);
    }
    for (what, changed, fate) in [
        ("in another case", flip_case(&path), Refused(Mismatch)),
        ("with a slash more at the end", format!("{path}/"), Refused(Mismatch)),
        ("with a slash more in front", format!("/{path}"), Refused(Mismatch)),
        ("with a dot segment", format!("/.{path}"), Refused(Mismatch)),
        ("with a way back", format!("/x/..{path}"), Refused(Mismatch)),
        (
            "with its slash escaped",
            format!("/{}", path[1..].replacen('/', "%2F", 1)),
            Refused(Mismatch),
        ),
        ("with a space as a plus", path.replacen("%20", "+", 1), Refused(Mismatch)),
        ("escaped twice", path.replacen("%20", "%2520", 1), Refused(Mismatch)),
        ("with a lonely percent sign", path.replacen("%20", "%2z", 1), Refused(InvalidUri)),
        ("emptied", "/".into(), Refused(Mismatch)),
    ] {
        mutants.add(format!("path {what}"), base, fate, |raw| raw.path = changed);
    }
    mutants.add("another parameter", base, Refused(Mismatch), |raw| {
        raw.query.push(("acl".into(), String::new()));
    });
}

/// Mutants of each parameter that is not part of the signature.
pub(super) fn of_parameters(base: &Raw, mutants: &mut Mutants) {
    for (index, (name, value)) in base.query.clone().into_iter().enumerate() {
        if name.starts_with("X-Amz-") {
            continue;
        }
        let what = |what: &str| format!("parameter {name} {what}");
        let mut refused = |how: &str, change: &dyn Fn(&mut Raw)| {
            mutants.add(what(how), base, Refused(Mismatch), change);
        };
        refused("dropped", &|raw| drop(raw.query.remove(index)));
        refused("named otherwise", &|raw| raw.query[index].0.push('x'));
        refused("named in another case", &|raw| raw.query[index].0 = flip_case(&name));
        refused("escaped twice", &|raw| raw.query[index].0 = name.replace('-', "%252D") + "%2520");
        if !value.is_empty() {
            refused("emptied", &|raw| raw.query[index].1.clear());
        }
        refused("longer", &|raw| raw.query[index].1.push('0'));
        refused("moved into a header", &|raw| {
            let (name, value) = raw.query.remove(index);
            raw.headers.push((name, value));
        });
        let twice = |raw: &mut Raw, value: &str| raw.query.push((name.clone(), value.into()));
        mutants.add(what("doubled"), base, Refused(InvalidArgument), |raw| twice(raw, &value));
        mutants.add(what("doubled with another value"), base, Refused(InvalidArgument), |raw| {
            twice(raw, "other");
        });
        mutants
            .add(what("broken"), base, Refused(InvalidUri), |raw| raw.query[index].1 = "%".into());
        if let Some(value) = escaped(&value) {
            mutants.add(what("escaped"), base, Same, |raw| raw.query[index].1 = value);
        }
        mutants.add(what("sent elsewhere"), base, Same, |raw| {
            let parameter = raw.query.remove(index);
            let at = if index == 0 { raw.query.len() } else { 0 };
            raw.query.insert(at, parameter);
        });
    }
}

/// Mutants of each header except the signature's own.
pub(super) fn of_headers(base: &Raw, mutants: &mut Mutants) {
    for (index, (name, value)) in base.headers.clone().into_iter().enumerate() {
        if name == "authorization" {
            continue;
        }
        // Some headers are read before anything is compared.
        let is_date = name == "x-amz-date";
        let is_hash = name == "x-amz-content-sha256";
        let is_host = name == "host";
        let missing = match name.as_str() {
            "host" | "x-amz-content-sha256" => InvalidRequest,
            "x-amz-date" => AccessDenied,
            _ => Mismatch,
        };
        let emptied = if is_hash { InvalidArgument } else { missing };
        let changed = match name.as_str() {
            "x-amz-content-sha256" => InvalidArgument,
            "x-amz-date" => AccessDenied,
            _ => Mismatch,
        };
        let what = |what: &str| format!("header {name} {what}");
        mutants.add(what("dropped"), base, Refused(missing), |raw| drop(raw.headers.remove(index)));
        mutants.add(what("emptied"), base, Refused(emptied), |raw| raw.headers[index].1.clear());
        mutants.add(what("doubled"), base, Refused(InvalidArgument), |raw| {
            raw.headers.push((name.clone(), value.clone()));
        });
        mutants.add(what("longer"), base, Refused(changed), |raw| raw.headers[index].1.push('0'));
        if flip_case(&value) != value {
            mutants.add(what("in another case"), base, Refused(changed), |raw| {
                raw.headers[index].1 = flip_case(&value);
            });
        }
        mutants.add(what("escaped"), base, Refused(changed), |raw| {
            raw.headers[index].1 = escaped(&value).unwrap();
        });
        if !is_host {
            let parameter = if is_hash || is_date { QueryError } else { missing };
            mutants.add(what("moved into the query"), base, Refused(parameter), |raw| {
                let (name, value) = raw.headers.remove(index);
                raw.query.push((name, value));
            });
        }
        mutants.add(what("named otherwise"), base, Refused(missing), |raw| {
            raw.headers[index].0 = format!("my-{name}");
        });
        if !is_host && !is_date && !is_hash {
            mutants.add(what("with spaces around it"), base, Same, |raw| {
                raw.headers[index].1 = format!("  {value} ");
            });
        }
    }
    mutants.add("a header of Amazon's more", base, Refused(AccessDenied), |raw| {
        raw.headers.push(("x-amz-acl".into(), "public-read".into()));
    });
    let is_presigned = base.query.iter().any(|(name, _)| name == "X-Amz-Signature");
    let unsigned = if is_presigned { InvalidToken } else { AccessDenied };
    mutants.add("a session token", base, Refused(unsigned), |raw| {
        raw.headers.push(("x-amz-security-token".into(), "token".into()));
    });
    mutants.add("an empty session token", base, Refused(InvalidToken), |raw| {
        raw.headers.push(("x-amz-security-token".into(), String::new()));
    });
    mutants.add("a session token in the query", base, Refused(InvalidToken), |raw| {
        raw.query.push(("X-Amz-Security-Token".into(), "token".into()));
    });
}

pub(super) fn of_the_date(base: &Raw, mutants: &mut Mutants) {
    for (date, fate) in [
        ("20260102T030406Z", Refused(Mismatch)),
        ("20260102T024904Z", Refused(RequestTimeTooSkewed)),
        ("20260102T031906Z", Refused(RequestTimeTooSkewed)),
        ("20260103T030405Z", Refused(HeaderMalformed)),
        ("20160102T030405Z", Refused(HeaderMalformed)),
        ("20260132T030405Z", Refused(AccessDenied)),
        ("20260102T250405Z", Refused(AccessDenied)),
        ("20260102T030405", Refused(AccessDenied)),
        ("20260102", Refused(AccessDenied)),
        ("2026-01-02T03:04:05Z", Refused(AccessDenied)),
        ("Fri, 02 Jan 2026 03:04:05 GMT", Refused(AccessDenied)),
        ("1767323045", Refused(AccessDenied)),
        ("now", Refused(AccessDenied)),
    ] {
        mutants.add(format!("date {date}"), base, fate, |raw| {
            *raw.header("x-amz-date") = date.into();
        });
    }
    mutants.add("date instead of x-amz-date", base, Refused(Mismatch), |raw| {
        raw.headers.retain(|(name, _)| name != "x-amz-date");
        raw.headers.push(("date".into(), "Fri, 02 Jan 2026 03:04:05 GMT".into()));
    });
}

pub(super) fn of_the_payload(base: &Raw, mutants: &mut Mutants) {
    let sent = base.body.clone();
    let mut body = |what: &str, body: Vec<u8>| {
        mutants.add(format!("body {what}"), base, Refused(WrongHash), |raw| raw.body = body);
    };
    body("longer", [&sent[..], b"x"].concat());
    if !sent.is_empty() {
        body("shorter", sent[..sent.len() - 1].to_vec());
        body("emptied", Vec::new());
        body("changed", vec![b'x'; sent.len()]);
    }
    let other = "0".repeat(64);
    for (declared, fate) in [
        (other.as_str(), Refused(Mismatch)),
        ("UNSIGNED-PAYLOAD", Refused(Mismatch)),
        ("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", Refused(Mismatch)),
        ("STREAMING-UNSIGNED-PAYLOAD-TRAILER", Refused(Mismatch)),
        ("STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", Refused(InvalidArgument)),
        ("unsigned-payload", Refused(InvalidArgument)),
    ] {
        mutants.add(format!("payload {declared}"), base, fate, |raw| {
            *raw.header("x-amz-content-sha256") = declared.into();
        });
    }
}
