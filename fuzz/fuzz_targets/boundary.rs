//! Boundaries. The first line is the boundary, the second a bucket, the third a key.
//!
//! Parsing and deciding never panic. A read is allowed if the boundary reaches all keys of the
//! bucket, and denied if it reaches none.

#![no_main]

use http::{HeaderMap, Request};
use libfuzzer_sys::fuzz_target;
use tower_credentials::{
    boundary::{Boundary, Reach, RequestFacts},
    operation::{S3Action, S3OperationRules},
};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut lines = text.split('\n');
    let Ok(boundary) = Boundary::parse(lines.next().unwrap_or_default(), "alice") else { return };
    assert!(boundary.document().to_string().len() <= 2_048);
    let (bucket, key) = (lines.next().unwrap_or("data"), lines.next().unwrap_or("team/a"));
    let request = Request::get(format!("/{bucket}/{key}")).header("host", "s3.test").body(());
    let Ok(request) = request else { return };
    let Ok(operation) = S3OperationRules::new().classify((&request).into()) else { return };
    let headers = HeaderMap::new();
    let is_allowed = boundary.allows(&RequestFacts::new(&operation, &headers, "alice"));
    let actions: Vec<_> = operation.checks().map(|check| check.action).collect();
    if actions == [S3Action::GetObject] {
        match boundary.reach(&actions, operation.bucket().unwrap_or_default()) {
            Reach::All => assert!(is_allowed),
            Reach::None => assert!(!is_allowed),
            _ => {}
        }
    }
});
