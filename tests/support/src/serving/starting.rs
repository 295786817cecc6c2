//! What a server prints when it is started.

use std::{path::Path, process::Command};

use crate::process::Program;

#[expect(clippy::unused_async, reason = "like the other tests of servers")]
pub async fn version_is_that_of_the_library(program: Program) {
    let output = Command::new(program.path).arg("--version").output().unwrap();
    let name = Path::new(program.path).file_name().unwrap().to_str().unwrap();
    // All packages have the version of the workspace.
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("{name} {version}\n"));
}
