//! Tests that need another process: the program of the tests, run again for one of them,
//! which then plays another part.

use std::{env, ffi::OsString};

/// Names the part to whoever is run again; its value is the caller's.
pub const PART: &str = "PART_IN_THE_TEST";

/// The part that this process is to play in the test, if it was run again for that.
pub fn part() -> Option<String> {
    env::var(PART).ok()
}

/// The words that run this program again, for this test alone.
pub fn again(test: &str) -> [OsString; 4] {
    let program = env::current_exe().unwrap().into_os_string();
    [program, "--exact".into(), test.into(), "--nocapture".into()]
}
