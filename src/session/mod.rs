//! Sessions: temporary credentials that are derived from a key, and end with it.
//!
//! Nothing is stored about a session. Its token contains its claims, and a code that only the
//! secret key of its parent can make. Whoever can look up the parent can verify the session, and
//! the session ends when the parent is disabled or deleted, expires, or gets another secret.
//! Everybody who has the parent's secret can make sessions, without asking a server:
//!
//! ```
//! use std::time::{Duration, UNIX_EPOCH};
//!
//! use tower_credentials::{
//!     domain::{AccessKey, SecretKey},
//!     session::{Holder, Session},
//! };
//!
//! let parent = AccessKey::new("181920")?;
//! let secret = SecretKey::new("0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a6978")?;
//! let now = UNIX_EPOCH + Duration::from_secs(1_767_323_045);
//! let policy = r#"{"Version": "2012-10-17", "Statement": [
//!     {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::lake/jobs/*"}
//! ]}"#;
//!
//! let session = Session::new(&parent, Holder::Role("nightly".into()), now, Duration::from_hours(1))?;
//! let credentials = session.with_policy(policy)?.mint(&secret)?;
//! assert!(credentials.access_key.as_str().starts_with("ASIA"));
//! assert!(credentials.session_token.expose().starts_with("tc1."));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The token
//!
//! `tc1.CLAIMS.CODE`, at most 4,096 characters. Without a policy it has less than 1,000.
//!
//! `CLAIMS` is an object of JSON in UTF-8, in base64 for URLs without padding (RFC 4648, section 5):
//!
//! | member | value |
//! |---|---|
//! | `access_key` | the session's access key: `ASIA` and 16 characters of `A-Z2-7` |
//! | `expires_at` | the end of the session, in milliseconds since 1970 |
//! | `federated` | the name of a federated user, if the session is one |
//! | `issued_at` | when the session was made, in milliseconds since 1970 |
//! | `parent` | the access key of the parent |
//! | `policies` | policy documents, each an object; the session may do what all of them allow |
//! | `role` | the name of a role session, if the session is one |
//!
//! A session without policies has no member `policies`. A session has at most one of `federated` and
//! `role`. Other members are rejected.
//!
//! `CODE` is HMAC-SHA256 of `tc1.CLAIMS` in the same base64. Its key, and the session's secret key,
//! are derived from the parent's secret with HKDF-SHA256 (RFC 5869), without a salt:
//!
//! | derived | `info` | length | text |
//! |---|---|---|---|
//! | key of the code | `tower-credentials session code` | 32 bytes | |
//! | secret key | `tower-credentials session secret`, a zero byte, `tc1.CLAIMS` | first 30 of 32 bytes | the same base64: 40 characters |
//!
//! # Rules
//!
//! A verifier accepts a session if its parent may sign now and has a secret of at least 32
//! characters, and if the session
//!
//! - was issued no later than now and the skew that clocks may have,
//! - was issued no earlier than the parent was last changed from inactive to active,
//! - lives at most 129,600 seconds (36 hours), and ends no later than its parent was to end when it
//!   was created or last changed: a rotation with overlap ends it with the old key,
//! - has not ended.
//!
//! The policies of a session limit it further than the boundary of its parent, and never less.
//! Together they have at most 2,048 bytes of compact JSON.

mod claims;
mod error;
mod token;

pub(crate) use self::token::Presented;
pub use self::{
    claims::{Holder, Session},
    error::{SessionError, SessionRefusal},
    token::{SessionCredentials, SessionToken},
};
