//! The command that makes temporary credentials, without a store and without a server.

use std::env;

use serde_json::json;
use tower_credentials::{
    clock::{Clock, SystemClock},
    domain::{AccessKey, SecretKey},
    session::{Holder, Session, SessionError},
};

use crate::{
    files::read_text,
    options::SessionOptions,
    report::{Exit, Failure, Report},
    times::show,
};

/// The variables with the key that the session is derived from.
const ACCESS: &str = "AWS_ACCESS_KEY_ID";
const SECRET: &str = "AWS_SECRET_ACCESS_KEY";

pub(crate) fn run(options: SessionOptions) -> Result<Report, Failure> {
    let SessionOptions { name, life, policy, credential_process } = options;
    let (parent, secret) = (variable(ACCESS)?, SecretKey::from_stored(variable(SECRET)?));
    let (parent, holder) = (AccessKey::from_stored(parent), Holder::Role(name));
    let session =
        Session::new(&parent, holder, SystemClock.now(), life).map_err(|error| failed(&error))?;
    let session = match policy {
        Some(file) => {
            session.with_policy(&read_text("policy", &file)?).map_err(|error| failed(&error))?
        }
        None => session,
    };
    let credentials = session.mint(&secret).map_err(|error| failed(&error))?;
    let expires_at = show(credentials.expires_at);
    if credential_process {
        let output = json!({
            "Version": 1,
            "AccessKeyId": credentials.access_key.as_str(),
            "SecretAccessKey": credentials.secret_key.expose(),
            "SessionToken": credentials.session_token.expose(),
            "Expiration": expires_at,
        });
        println!("{output}");
        return Ok(Report::default());
    }
    Ok(Report::default()
        .with("access_key", credentials.access_key.as_str())
        .with("secret_key", credentials.secret_key.expose())
        .with("session_token", credentials.session_token.expose())
        .with("expires_at", expires_at))
}

fn variable(name: &str) -> Result<String, Failure> {
    env::var(name).ok().filter(|value| !value.is_empty()).ok_or_else(|| {
        Failure::new(Exit::Usage, format!("{name} must be set to the key of the session"))
    })
}

fn failed(error: &SessionError) -> Failure {
    let exit = if matches!(error, SessionError::Random(_)) { Exit::Problem } else { Exit::Usage };
    Failure::of(exit, error)
}
