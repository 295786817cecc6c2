//! The options of a server against guessers, and against callers that create too many keys.

use std::num::NonZeroU32;

use clap::Args;
use tower_credentials::{CredentialLayerBuilder, guessers::Guessers};

/// How a server slows clients down that guess or create too much.
#[derive(Clone, Copy, Debug, Args)]
pub struct GuesserOptions {
    /// How many requests per minute with an invalid signature or an unknown token are answered at
    /// once. 0: all.
    ///
    /// The server counts them for each network (/24, /64) and access key. It answers further ones
    /// late, up to 8 seconds. Valid requests are never late.
    #[arg(long, value_name = "N", default_value = "100")]
    guesser_failures: u32,
    /// How many keys and sessions a user may create per minute [default: unlimited].
    ///
    /// Rotations with an overlap count too. Further requests are rejected with 429, in IBM's API
    /// with 503.
    #[arg(long, value_name = "N")]
    mint_limit: Option<NonZeroU32>,
}

impl GuesserOptions {
    /// What counts the guesses, for all layers of the server. `None` if it is off.
    ///
    /// Late responses occupy at most a quarter of the connections, so that they keep nobody out.
    pub fn guessers(self, max_connections: usize) -> Option<Guessers> {
        let failures = NonZeroU32::new(self.guesser_failures)?;
        let waiting = (max_connections / 4).min(1_024);
        Some(Guessers::builder().failures(failures).most_waiting(waiting).build())
    }

    /// Sets the options of a layer.
    pub fn apply(
        self,
        mut layer: CredentialLayerBuilder,
        guessers: Option<&Guessers>,
    ) -> CredentialLayerBuilder {
        if let Some(limit) = self.mint_limit {
            layer = layer.mint_limit(limit);
        }
        match guessers {
            Some(guessers) => layer.guessers(guessers.clone()),
            None => layer,
        }
    }
}
