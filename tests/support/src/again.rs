//! Tests that need a second process: the test program runs itself again for one test, with a role.

use std::{env, ffi::OsString};

/// The environment variable with the role.
pub const PART: &str = "PART_IN_THE_TEST";

/// The role of this process, if it was started for one.
pub fn part() -> Option<String> {
    env::var(PART).ok()
}

/// The command that runs this program again for one test.
pub fn again(test: &str) -> [OsString; 4] {
    let program = env::current_exe().unwrap().into_os_string();
    [program, "--exact".into(), test.into(), "--nocapture".into()]
}
