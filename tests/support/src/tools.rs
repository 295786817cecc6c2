//! Runs S3 tools.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::keys::Key;

pub use crate::installed::{has, python};

/// Removes all AWS settings from a command, and disables proxies.
pub fn bare(command: &mut Command) -> &mut Command {
    let names = env::vars_os().map(|(name, _)| name);
    for name in names.filter(|name| name.to_string_lossy().starts_with("AWS_")) {
        command.env_remove(name);
    }
    // The tools of a virtual environment are beside its Python.
    let python = PathBuf::from(python());
    let beside = python.parent().filter(|folder| *folder != Path::new("")).map(Path::to_owned);
    let path = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths(beside.into_iter().chain(env::split_paths(&path))).unwrap();
    command
        .env("PATH", path)
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_PAGER", "")
        .env("AWS_DEFAULT_REGION", "us-east-1")
        .env("NO_PROXY", "127.0.0.1")
        .env("no_proxy", "127.0.0.1")
        .stdin(Stdio::null())
}

/// Like [`bare`], with a key.
pub fn with_key<'a>(command: &'a mut Command, key: &Key) -> &'a mut Command {
    bare(command).env("AWS_ACCESS_KEY_ID", &key.access).env("AWS_SECRET_ACCESS_KEY", &key.secret)
}

/// Runs a command; returns its output, as an error if it failed.
pub async fn run(mut command: Command) -> Result<String, String> {
    tokio::task::spawn_blocking(move || {
        let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        if output.status.success() { Ok(text) } else { Err(text) }
    })
    .await
    .unwrap()
}
