//! Dates.
//!
//! Parsing never panics. A date in Amazon's format is formatted as it was sent, and parses to the
//! same time as ISO 8601.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tower_credentials::fuzzing;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let [amz, iso, _, _] = fuzzing::dates(text);
    if let Some(time) = amz {
        assert_eq!(fuzzing::amz_date(time), text);
        assert_eq!(iso, amz);
    }
});
