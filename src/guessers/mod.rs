//! Slows clients down that guess secrets and tokens.
//!
//! [`Guessers`] counts the requests with an invalid signature or an unknown token. After
//! [100](GuessersBuilder::failures) in a minute from the same network for the same access key,
//! further such requests get the same response later, and each later than the one before. A valid
//! request is never delayed, also from the same network with the same access key. So nobody can
//! lock out the owner of a key, or the other clients behind a NAT.
//!
//! ```
//! use tower_credentials::{
//!     CredentialLayer, auth::StaticTokens, backend::memory::MemoryBackend, guessers::Guessers,
//! };
//!
//! let guessers = Guessers::new();
//! let layer = CredentialLayer::builder(StaticTokens::new(), MemoryBackend::default())
//!     .guessers(guessers.clone())
//!     .build()?;
//! assert_eq!(guessers.stats().failures, 0);
//! # Ok::<(), tower_credentials::ConfigError>(())
//! ```
//!
//! Give clones of one `Guessers` to all layers of a server: they share the counts.
//!
//! # What is counted
//!
//! - A request with an invalid signature, also for an access key that does not exist, and a session
//!   token that was not made with the secret of its key. The count is that of the access key; for a
//!   session, that of the key from which it is derived. The signatures that
//!   `s3tokens` and `ec2tokens` verify for a gateway are in [`GuesserStats`], and never answered
//!   late: that would delay the other clients of the gateway.
//! - A token that the [`TokenValidator`](crate::auth::TokenValidator) reports as
//!   [invalid](crate::auth::AuthError::Invalid). Tokens count together in 16 groups, by the first
//!   four bits of their SHA-256, because each guess is another token.
//! - Basic credentials that it reports as invalid. The count is that of the user name.
//!
//! Nothing else is counted: not a request without a token or signature, not a malformed or expired
//! one, not a request that is refused although its token or signature is valid, and not a failure
//! of a store. Requests with a key that may not sign (disabled, expired, without a secret, or bound
//! to a delegation) are refused whatever their signature is, so there is nothing to guess. A chunk
//! of a body with an invalid signature is not counted either: the signature of its head is valid.
//!
//! # The source of a request
//!
//! Counts are per network: the first 24 bits of an IPv4 address, and 64 bits of an IPv6 address.
//! The address is the [`ClientAddress`](crate::ClientAddress) among the extensions of the request.
//! All requests without one count as one network. No header of a request is read. A server behind
//! a proxy must find the address with [`TrustedProxies`](crate::TrustedProxies).
//!
//! # Bounds
//!
//! The counts take a [fixed amount](GuessersBuilder::memory) of memory. If more networks and keys
//! fail in a minute than have room, those with the fewest failures are forgotten. A late response
//! takes the memory of the rendered response, and at most
//! [1,024](GuessersBuilder::most_waiting) wait at the same time. Further ones are sent at once, and
//! counted. The body of the request is not kept.
//!
//! Late responses need a tokio runtime with time enabled.

mod guess;
mod limiter;
mod notices;
mod pause;
#[cfg(feature = "metrics")]
mod publish;

pub use self::limiter::{GuesserStats, Guessers, GuessersBuilder};
#[cfg(feature = "s3")]
pub(crate) use self::pause::Late;
#[cfg(feature = "s3s")]
pub(crate) use self::pause::Pause;
pub(crate) use self::{guess::Guess, pause::Held};
