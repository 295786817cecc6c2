//! What a test needs of the machine.

use std::{
    env,
    ffi::OsString,
    io::Write as _,
    process::{Command, Stdio},
};

/// The Python to ask for boto3: that of `TOWER_CREDENTIALS_PYTHON`, if set.
pub fn python() -> OsString {
    env::var_os("TOWER_CREDENTIALS_PYTHON").unwrap_or_else(|| "python3".into())
}

/// Whether the machine has what a test needs; says so on stderr when it has not.
pub fn has(what: &str, command: &mut Command) -> bool {
    let result = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    let found = result.is_ok_and(|status| status.success());
    if !found {
        let required = env::var("REQUIRE_LIVE_BACKENDS").is_ok_and(|value| value == "1");
        assert!(!required, "REQUIRE_LIVE_BACKENDS=1, and there is no {what}");
        let test = std::thread::current().name().unwrap_or("?").to_owned();
        // Not `eprintln!`, which is captured when the test passes.
        let _ = writeln!(std::io::stderr(), "\nSKIPPED: {test}: there is no {what}");
    }
    found
}
