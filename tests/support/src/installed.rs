//! Checks whether the machine has what a test needs.

use std::{
    env,
    ffi::OsString,
    io::Write as _,
    process::{Command, Stdio},
};

/// The Python to use: `TOWER_CREDENTIALS_PYTHON`, or `python3`.
pub fn python() -> OsString {
    env::var_os("TOWER_CREDENTIALS_PYTHON").unwrap_or_else(|| "python3".into())
}

/// Whether a command succeeds. If not, prints to stderr that the test is skipped.
pub fn has(what: &str, command: &mut Command) -> bool {
    let result = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    let found = result.is_ok_and(|status| status.success());
    if !found {
        let required = env::var("REQUIRE_LIVE_BACKENDS").is_ok_and(|value| value == "1");
        assert!(!required, "REQUIRE_LIVE_BACKENDS=1, but {what} is not installed");
        let test = std::thread::current().name().unwrap_or("?").to_owned();
        // Not `eprintln!`, which is captured when the test passes.
        let _ = writeln!(std::io::stderr(), "\nSKIPPED: {test}: {what} is not installed");
    }
    found
}
