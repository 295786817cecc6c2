//! The operations of S3, from the model that botocore ships.

use std::{path::Path, process::Command};

use serde_json::Value;

use crate::{
    installed::{has, python},
    tools::bare,
};

/// The operations; `None` if botocore is not installed. The script describes their members.
pub fn operations() -> Option<Vec<Value>> {
    let mut probe = Command::new(python());
    if !has("Python with botocore", probe.args(["-c", "import botocore"])) {
        return None;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/s3_model.py");
    let output = bare(&mut Command::new(python())).arg(script).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).unwrap())
}
