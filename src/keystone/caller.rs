//! From what Keystone says of a token to the caller.

use std::collections::BTreeSet;

use super::{KeystoneError, wire::TokenInfo};
use crate::domain::{Caller, Delegation, ProjectId, Scope, UserId};

/// The method of tokens that were obtained with a key.
const BY_KEY: &str = "ec2credential";

/// Keystone's own methods by which a user logs in as itself.
const LOGIN_METHODS: [&str; 9] =
    ["external", "kerberos", "mapped", "openid", "password", "saml2", "token", "totp", "x509"];

/// The methods by which a user logs in as itself: Keystone's, and a site's own.
#[derive(Clone, Debug, Default)]
pub(super) struct LoginMethods(BTreeSet<String>);

impl LoginMethods {
    /// Adds all but `ec2credential`.
    pub(super) fn extend(&mut self, extra: impl Iterator<Item = String>) {
        self.0.extend(extra.filter(|method| method != BY_KEY));
    }

    fn all_of(&self, methods: &[String]) -> bool {
        let known = |method: &String| LOGIN_METHODS.contains(&&**method) || self.0.contains(method);
        !methods.is_empty() && methods.iter().all(known)
    }
}

/// Who a token stands for.
pub(super) fn caller(token: TokenInfo, own: &LoginMethods) -> Result<Caller, KeystoneError> {
    let unusable = || KeystoneError::unexpected("Keystone named a user or project without an id");
    let delegation = delegation(&token, own);
    let user_id = UserId::new(token.user.id).map_err(|_| unusable())?;
    let scope = match (token.project, token.domain, token.system) {
        (Some(project), ..) => Scope::Project(ProjectId::new(project.id).map_err(|_| unusable())?),
        (None, Some(domain), _) => Scope::Domain(domain.id),
        (None, None, Some(_)) => Scope::System,
        (None, None, None) => Scope::Unscoped,
    };
    let mut caller = Caller::new(user_id, scope)
        .with_roles(token.roles.into_iter().map(|role| role.name))
        .with_expiry(token.expires_at.0);
    caller.delegation = delegation;
    Ok(caller)
}

fn delegation(token: &TokenInfo, own: &LoginMethods) -> Option<Delegation> {
    if token.methods.iter().any(|method| method == BY_KEY) {
        return Some(Delegation::Ec2Credential);
    }
    if let Some(trust) = &token.trust {
        return Some(Delegation::Trust { id: trust.id.clone() });
    }
    if let Some(credential) = &token.application_credential {
        let (id, restricted) = (credential.id.clone(), credential.restricted);
        return Some(Delegation::ApplicationCredential { id, restricted });
    }
    if let Some(oauth1) = &token.oauth1 {
        return Some(Delegation::AccessToken { id: oauth1.access_token_id.clone() });
    }
    (!own.all_of(&token.methods)).then_some(Delegation::Other)
}
