//! A fixed set of tokens.

use std::sync::Arc;

use async_trait::async_trait;
use data_encoding::HEXLOWER_PERMISSIVE;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use super::{AuthError, Presented, TokenValidator};
use crate::domain::{Caller, SecretText};

/// A fixed set of tokens and the callers they stand for.
///
/// Keeps only the SHA-256 of each token. Every lookup compares with all of them in constant
/// time. Tokens must be hard to guess, because the hashes have no salt. With HTTP Basic the
/// password is the token, and the user name must be the caller's user id or the name given
/// with the token.
///
/// ```
/// use tower_credentials::{auth::StaticTokens, domain::{Caller, ProjectId, Scope, UserId}};
///
/// let alice = Caller::new(UserId::new("alice")?, Scope::Project(ProjectId::new("demo")?))
///     .with_roles(["key_management_user"]);
/// let tokens = StaticTokens::new().with_token("a-long-random-token", "alice", alice);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct StaticTokens {
    entries: Vec<Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    digest: TokenDigest,
    username: String,
    caller: Arc<Caller>,
}

#[derive(Clone)]
struct TokenDigest([u8; 32]);

impl StaticTokens {
    /// Creates an empty set, which authenticates no caller.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a token. If the set has the token already, the first caller keeps it.
    #[must_use]
    pub fn with_token(self, token: &str, username: impl Into<String>, caller: Caller) -> Self {
        self.with(TokenDigest::of(token), username.into(), caller)
    }

    /// Adds a token by the hex SHA-256 of its text, so that a configuration need not contain
    /// the token.
    ///
    /// # Errors
    ///
    /// [`InvalidToken`] if the text is not 64 hex digits.
    pub fn with_token_sha256(
        self,
        hex: &str,
        username: impl Into<String>,
        caller: Caller,
    ) -> Result<Self, InvalidToken> {
        let digest = HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).map_err(|_| InvalidToken(()))?;
        let digest = TokenDigest(digest.try_into().map_err(|_| InvalidToken(()))?);
        Ok(self.with(digest, username.into(), caller))
    }

    fn with(mut self, digest: TokenDigest, username: String, caller: Caller) -> Self {
        self.entries.push(Entry { digest, username, caller: Arc::new(caller) });
        self
    }

    /// The first entry with this token. Compares with all entries, whichever matches.
    fn find(&self, token: &SecretText) -> Option<&Entry> {
        let digest = TokenDigest::of(token.expose());
        let (mut found, mut at) = (Choice::from(0), 0_u64);
        for (index, entry) in (0_u64..).zip(&self.entries) {
            let equal = entry.digest.0.ct_eq(&digest.0) & !found;
            at.conditional_assign(&index, equal);
            found |= equal;
        }
        let at = usize::try_from(at).ok()?;
        if found.into() { self.entries.get(at) } else { None }
    }
}

#[async_trait]
impl TokenValidator for StaticTokens {
    async fn validate(&self, presented: &Presented) -> Result<Arc<Caller>, AuthError> {
        let (token, username) = match presented {
            Presented::Basic { username, password } => (password, Some(username)),
            Presented::Token(token) => (token, None),
        };
        let entry = self.find(token).ok_or(AuthError::Invalid)?;
        let own = |name: &String| name == entry.caller.user_id.as_str() || *name == entry.username;
        if username.is_none_or(own) {
            Ok(Arc::clone(&entry.caller))
        } else {
            Err(AuthError::Invalid)
        }
    }
}

impl TokenDigest {
    fn of(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
    }
}

opaque_debug!(TokenDigest);

/// A text that is not the hex SHA-256 of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidToken(());

fixed_error!(InvalidToken, "the SHA-256 of a token must be 64 hex digits");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Scope, UserId};

    fn caller(id: &str) -> Caller {
        Caller::new(UserId::new(id).unwrap(), Scope::Unscoped)
    }

    fn token(text: &str) -> Presented {
        Presented::Token(SecretText::new(text))
    }

    fn basic(username: &str, password: &str) -> Presented {
        Presented::Basic { username: username.into(), password: SecretText::new(password) }
    }

    #[tokio::test]
    async fn token_authenticates_its_caller_and_no_other_text_does() {
        let tokens = StaticTokens::new()
            .with_token("one", "a", caller("u-a"))
            .with_token("two", "b", caller("u-b"))
            .with_token("two", "c", caller("u-c"));
        assert_eq!(tokens.validate(&token("one")).await.unwrap().user_id.as_str(), "u-a");
        assert_eq!(tokens.validate(&token("two")).await.unwrap().user_id.as_str(), "u-b");
        for wrong in ["", "on", "onee", "ONE", "three"] {
            let refused = tokens.validate(&token(wrong)).await;
            assert!(matches!(refused, Err(AuthError::Invalid)), "{wrong:?}");
        }
        assert!(StaticTokens::new().validate(&token("")).await.is_err());
    }

    #[tokio::test]
    async fn basic_password_authenticates_its_own_user_only() {
        let tokens = StaticTokens::new().with_token("one", "amy", caller("u-a"));
        assert!(tokens.validate(&basic("amy", "one")).await.is_ok());
        assert!(tokens.validate(&basic("u-a", "one")).await.is_ok());
        assert!(tokens.validate(&basic("bob", "one")).await.is_err());
        assert!(tokens.validate(&basic("", "one")).await.is_err());
    }

    #[tokio::test]
    async fn hashed_token_authenticates_like_its_text() {
        let digest = "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed";
        let tokens = StaticTokens::new().with_token_sha256(digest, "a", caller("u")).unwrap();
        assert!(tokens.validate(&token("one")).await.is_ok());
        assert!(StaticTokens::new().with_token_sha256("7692", "a", caller("u")).is_err());
        assert!(!format!("{tokens:?}").contains("118, 146"));
    }
}
