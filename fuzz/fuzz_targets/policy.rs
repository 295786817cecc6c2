//! Forms and their policies. The first line is the bucket, the second the policy, the others are
//! fields.
//!
//! Checking never panics. A form that is allowed is rejected after the policy has expired, and
//! with a further field without a condition.

#![no_main]

use std::time::{Duration, UNIX_EPOCH};

use data_encoding::BASE64;
use libfuzzer_sys::fuzz_target;
use tower_credentials::fuzzing;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut lines = text.split('\n');
    let (bucket, policy) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let pairs = lines.filter_map(|line| line.split_once('='));
    let mut fields: Vec<_> = pairs.map(|(name, value)| (name.into(), value.into())).collect();
    fields.push(("Policy".into(), BASE64.encode(policy.as_bytes())));
    let form = |fields| fuzzing::form(fields, Some("cat.jpg".into()));
    // 2026-01-02T03:04:05Z, and after every year of four digits.
    let [now, end] = [1_767_323_045, 300_000_000_000].map(Duration::from_secs);
    let Some(whole) = form(fields.clone()) else { return };
    if fuzzing::policy(&whole, bucket, UNIX_EPOCH + now).is_some() {
        assert_eq!(fuzzing::policy(&whole, bucket, UNIX_EPOCH + end), None);
        let name = "x-a-field-that-nothing-allows";
        if !policy.contains('\\') && !policy.to_ascii_lowercase().contains(name) {
            fields.push((name.into(), String::new()));
            if let Some(more) = form(fields) {
                assert_eq!(fuzzing::policy(&more, bucket, UNIX_EPOCH + now), None);
            }
        }
    }
});
