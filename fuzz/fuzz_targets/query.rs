//! The parameters of requests to IAM and STS.
//!
//! Parsing never panics. No request is one of both APIs.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tower_credentials::fuzzing;

fuzz_target!(|data: &[u8]| {
    if let Some([iam, sts]) = fuzzing::query(data) {
        assert!(!(iam && sts));
    }
});
