//! Tests with a second process: the test program runs itself for one test, with a role.

use std::{env, ffi::OsString};

/// The environment variable with the role of a child process.
pub const ROLE: &str = "ROLE_IN_THE_TEST";

/// The role of this process, if it is a child process.
pub fn role() -> Option<String> {
    env::var(ROLE).ok()
}

/// The command line that runs this program for one test.
pub fn command_line(test: &str) -> [OsString; 4] {
    let program = env::current_exe().unwrap().into_os_string();
    [program, "--exact".into(), test.into(), "--nocapture".into()]
}
