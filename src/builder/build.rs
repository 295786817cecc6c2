//! Checks the settings, and builds the layer.

use std::sync::Arc;

use super::CredentialLayerBuilder;
use crate::{
    authority::{Authority, MintLimit},
    config::{self, ConfigError},
    dialect::{Initials, Served},
    layer::CredentialLayer,
    meter::Requests,
    origin::Origins,
    shared::Shared,
    wires::{BodyLimits, Wires},
};

impl CredentialLayerBuilder {
    /// Builds the layer.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if a setting is invalid, or two settings contradict each other.
    pub fn build(self) -> Result<CredentialLayer, ConfigError> {
        // Destructured in full so that a new setting cannot be forgotten here.
        let Self {
            validator,
            backend,
            dialects,
            prefixes,
            hosts,
            base_url,
            trust_forwarded,
            trusted_origins,
            policy,
            audit,
            owners,
            issuer,
            usage,
            hide_unknown_keys,
            max_skew,
            quota,
            max_key_life,
            show_secrets_once,
            accept_bounded,
            aws,
            body_limit,
            body_timeout,
            guessers,
            mint_limit,
            clock,
        } = self;
        let dialects = config::with_prefixes(dialects, prefixes);
        let wires = aws.map(Wires::new).transpose()?;
        let wires_path = wires.as_ref().and_then(Wires::path);
        config::check_prefixes(&dialects, wires_path)?;
        if body_limit == 0 {
            return Err(ConfigError::ZeroBodyLimit);
        }
        if body_timeout.is_zero() {
            return Err(ConfigError::ZeroBodyTimeout);
        }
        let base_url = base_url.map(|url| url.trim_end_matches('/').to_owned());
        let base = base_url.as_deref().map(config::origin_of_url).transpose()?;
        let origins =
            Origins { base, trusted: config::parsed_origins(&trusted_origins)?, trust_forwarded };
        let hosts = config::parsed_hosts(&hosts)?;
        let s3tokens = owners.directory().is_some();
        let served = Served { s3tokens, ec2tokens: s3tokens && issuer.is_some() };
        let authority = Authority {
            backend,
            owners,
            issuer,
            usage,
            policy,
            audit,
            turns: Arc::default(),
            clock,
            quota,
            max_key_life,
            show_secrets_once,
            accept_bounded,
            hide_unknown_keys,
            max_skew,
            mint_limit: mint_limit.map(MintLimit::new),
        };
        let prefixes = dialects.iter().map(|(_, prefix)| prefix.as_str());
        let initials = Initials::of(prefixes.chain(wires.as_ref().map(Wires::path_or_root)));
        let shared = Shared {
            authority,
            validator,
            dialects,
            initials,
            hosts,
            origins,
            base_url,
            trust_forwarded,
            served,
            wires,
            body_limits: BodyLimits { bytes: body_limit, time: body_timeout },
            guessers,
            requests: Requests::new(),
        };
        Ok(CredentialLayer { shared: Arc::new(shared) })
    }
}
