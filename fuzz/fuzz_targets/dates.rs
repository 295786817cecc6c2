//! Dates.
//!
//! Nothing panics; a date of Amazon's own form is written as it was read, and is the
//! same in ISO 8601, of which it is a form.

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
