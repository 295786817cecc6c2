//! Mutants of the parts of a signature, in the header or in the query.

use tower_credentials::signature::request::S3ErrorCode;

use super::{
    Fate::{self, Refused},
    codes::*,
    flip_case,
};

/// Mutants of a `Credential`: each part changed, removed, emptied.
pub(super) fn credentials(credential: &str, malformed: S3ErrorCode) -> Vec<(String, String, Fate)> {
    let parts: Vec<_> = credential.split('/').map(String::from).collect();
    let [access, date, region, service, terminator] = &parts[..] else { panic!("{credential}") };
    let with = |index: usize, part: &str| {
        let mut parts = parts.clone();
        parts[index] = part.into();
        parts.join("/")
    };
    let malformed = Refused(malformed);
    let mut all = vec![
        ("of nobody".into(), with(0, "NOBODY"), Refused(InvalidAccessKeyId)),
        ("in another case".into(), with(0, &flip_case(access)), Refused(InvalidAccessKeyId)),
        ("for the day before".into(), with(1, "20260101"), malformed),
        ("for no day".into(), with(1, "2026010x"), malformed),
        ("for another region".into(), with(2, "eu-west-1"), Refused(Mismatch)),
        ("for the region in another case".into(), with(2, &flip_case(region)), Refused(Mismatch)),
        ("for another service".into(), with(3, "iam"), malformed),
        ("for the service in another case".into(), with(3, &flip_case(service)), malformed),
        ("with another end".into(), with(4, "aws5_request"), malformed),
        ("with the end in another case".into(), with(4, &flip_case(terminator)), malformed),
        ("with more behind".into(), format!("{credential}/x"), malformed),
        ("with a slash in front".into(), format!("/{credential}"), malformed),
        ("with dashes for slashes".into(), credential.replace('/', "-"), malformed),
        (
            "with day and region exchanged".into(),
            [access, region, date, service, terminator].map(String::as_str).join("/"),
            malformed,
        ),
        ("emptied".into(), String::new(), malformed),
    ];
    for index in 0..parts.len() {
        let mut without = parts.clone();
        without.remove(index);
        all.push((format!("without part {index}"), without.join("/"), malformed));
        all.push((format!("with part {index} empty"), with(index, ""), malformed));
    }
    all
}

/// Mutants of a list of signed headers.
pub(super) fn lists(names: &str, malformed: S3ErrorCode) -> Vec<(String, String, Fate)> {
    let list: Vec<_> = names.split(';').collect();
    let malformed = Refused(malformed);
    let mut all = vec![
        ("with another name".into(), format!("{names};zz"), Refused(Mismatch)),
        ("in another case".into(), flip_case(names), malformed),
        ("with an empty name".into(), format!("{names};"), malformed),
        ("with a name twice".into(), format!("{};{names}", list[0]), malformed),
        ("with commas".into(), names.replace(';', ":"), malformed),
        ("emptied".into(), String::new(), malformed),
    ];
    if list.len() > 1 {
        let reversed: Vec<_> = list.iter().rev().copied().collect();
        all.push(("backwards".into(), reversed.join(";"), malformed));
        for index in 0..list.len() {
            let mut without = list.clone();
            let name = without.remove(index);
            let fate = match name {
                "host" => malformed,
                _ if name.starts_with("x-amz-") => Refused(AccessDenied),
                _ => Refused(Mismatch),
            };
            all.push((format!("without {name}"), without.join(";"), fate));
        }
    }
    all
}

/// Mutants of a signature in hex.
pub(super) fn signatures(signature: &str) -> Vec<(String, String)> {
    let mut all = vec![
        ("in another case".into(), flip_case(signature)),
        ("longer".into(), format!("{signature}0")),
        ("of zeros".into(), "0".repeat(64)),
        ("that is no hex".into(), "g".repeat(64)),
    ];
    for index in 0..signature.len() {
        let mut changed = signature.to_owned();
        let other = if &signature[index..=index] == "0" { "1" } else { "0" };
        changed.replace_range(index..=index, other);
        all.push((format!("with digit {index} changed"), changed));
        all.push((format!("cut at {index}"), signature[..index.max(1)].into()));
    }
    all.dedup();
    all
}
