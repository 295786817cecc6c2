//! What a request does. The first line is the method and the target, the second the body of
//! `DeleteObjects`, the others are headers.
//!
//! Reading never panics. A key has no empty and no dot segment, and a copy of an operation is the
//! same.

#![no_main]

use http::{HeaderName, HeaderValue, Request};
use libfuzzer_sys::fuzz_target;
use tower_credentials::operation::{S3OperationName, S3OperationRules};

fuzz_target!(|data: &[u8]| {
    let mut lines = data.split(|byte| *byte == b'\n');
    let first = lines.next().unwrap_or_default();
    let Some(space) = first.iter().position(|byte| *byte == b' ') else { return };
    let request = Request::builder().method(&first[..space]).uri(&first[space + 1..]).body(());
    let Ok(mut request) = request else { return };
    let rules = S3OperationRules::new()
        .base_domains(["s3.test", "deep.s3.test"])
        .serve(S3OperationName::ALL.iter().copied());
    for object in rules.objects_to_delete(lines.next().unwrap_or_default()).unwrap_or_default() {
        assert!(is_plain(&object.key));
    }
    for line in lines {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            request.headers_mut().append(name, value);
        }
    }
    let Ok(operation) = rules.classify((&request).into()) else { return };
    assert!(operation.key().is_none_or(is_plain));
    assert!(operation.source().is_none_or(|(_, key)| is_plain(key)));
    let owned = operation.clone().into_owned();
    assert_eq!(
        (owned.name(), owned.bucket(), owned.key()),
        (operation.name(), operation.bucket(), operation.key())
    );
    assert!(owned.checks().eq(operation.checks()));
});

fn is_plain(key: &str) -> bool {
    let mut segments = key.split('/').rev();
    // Only the last segment may be empty.
    let last = segments.next().unwrap_or_default();
    last != "." && last != ".." && segments.all(|it| !matches!(it, "" | "." | ".."))
}
