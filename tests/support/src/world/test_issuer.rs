//! An issuer of tokens that tests can make unavailable.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, UNIX_EPOCH},
};

use serde_json::json;
use tower_credentials::{
    async_trait,
    domain::SecretText,
    issuer::{IssueError, IssuedToken, Signer, TokenIssuer},
};

use super::{failing::CAUSE, v3::SIGNED};

/// Issues numbered tokens.
#[derive(Debug, Default)]
pub struct TestIssuer {
    issued: AtomicUsize,
    down: AtomicBool,
    ignores_expiry: AtomicBool,
    signers: Mutex<Vec<Signer>>,
}

impl TestIssuer {
    pub fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }

    /// Issues tokens that outlive their keys.
    pub fn ignore_expiry(&self) {
        self.ignores_expiry.store(true, Ordering::SeqCst);
    }

    /// The signers to whom tokens were issued.
    pub fn signers(&self) -> Vec<Signer> {
        self.signers.lock().unwrap().clone()
    }
}

#[async_trait]
impl TokenIssuer for TestIssuer {
    async fn issue(&self, signer: &Signer) -> Result<IssuedToken, IssueError> {
        if self.down.load(Ordering::SeqCst) {
            return Err(IssueError::new(CAUSE));
        }
        self.signers.lock().unwrap().push(signer.clone());
        let number = self.issued.fetch_add(1, Ordering::SeqCst) + 1;
        let issued_at = UNIX_EPOCH + SIGNED;
        let id = SecretText::new(format!("issued-token-{number}"));
        let end = issued_at + Duration::from_hours(2);
        let ends_with_key = !self.ignores_expiry.load(Ordering::SeqCst);
        let end = signer.expires_at.filter(|_| ends_with_key).map_or(end, |key| key.min(end));
        let mut token = IssuedToken::new(id, issued_at, end);
        token.audit_ids.push(format!("audit-{number}"));
        token.catalog = json!([{"type": "identity", "endpoints": []}]);
        Ok(token)
    }
}
