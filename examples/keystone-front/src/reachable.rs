//! The check whether Keystone can be reached.

use example_support::health::Status;
use http::Method;
use tower_credentials::keystone::{KeystoneClient, KeystoneErrorKind};

/// Asks Keystone for its version, with the service user's token.
pub(crate) async fn check(keystone: KeystoneClient) -> Status {
    let reason = match keystone.call(Method::GET, "/", None).await {
        Ok(answer) if answer.status.is_server_error() => {
            return Status::Failed(format!("Keystone returns status {}", answer.status.as_u16()));
        }
        Ok(_) => return Status::Ok,
        Err(error) => match error.kind() {
            KeystoneErrorKind::Refused => "Keystone rejects the service user",
            KeystoneErrorKind::TimedOut => "Keystone does not answer in time",
            KeystoneErrorKind::Unreachable => "Keystone cannot be reached",
            _ => "Keystone does not answer as expected",
        },
    };
    Status::Failed(reason.to_owned())
}
