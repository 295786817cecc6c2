//! Verifies signatures that clients made for another service.

use std::time::{Duration, SystemTime};

use super::checks::Authority;
use crate::{
    domain::{AccessKey, Caller, SecretKey},
    error::{Error, ErrorKind},
    guessers::Guess,
    issuer::{IssuedToken, Signer},
    policy::{Action, Owner, Standing, Target},
    signature::{Ec2Signed, Freshness, S3TokensRequest, decoy, is_fresh},
};

/// How long a response about a signer is valid if no token is issued.
const VALIDITY: Duration = Duration::from_hours(1);

/// A signed request to verify. An error stands for a request that could not be parsed. Only
/// callers who may verify signatures get it.
#[derive(Debug)]
pub(crate) enum SignatureCommand {
    /// Returns the signer, with a token.
    Ec2(Result<Box<Ec2Signed>, Error>),
    /// Returns the signer.
    S3(Result<S3TokensRequest, Error>),
}

/// The signer of a request with a valid signature.
#[derive(Debug)]
pub(crate) struct Verified {
    pub(crate) signer: Signer,
    pub(crate) issued_at: SystemTime,
    pub(crate) expires_at: SystemTime,
    /// The token, for `ec2tokens`.
    pub(crate) token: Option<IssuedToken>,
}

/// The interface that the two kinds of signed requests share.
trait Signed {
    fn access_key(&self) -> &AccessKey;
    fn freshness(&self) -> Freshness;
    fn verify(&self, secret: &SecretKey) -> bool;
}

impl Authority {
    /// Verifies a signature on behalf of a caller.
    pub(crate) async fn verify(
        &self,
        caller: &Caller,
        command: SignatureCommand,
    ) -> Result<Verified, Error> {
        self.permit(caller, Action::ValidateSignature, Target::default())?;
        let now = self.clock.now();
        Ok(match command {
            SignatureCommand::Ec2(request) => {
                let signer = self.signer(&*request?, now).await?;
                let issuer = self.issuer.as_deref().ok_or_else(not_offered)?;
                let token = issuer.issue(&signer).await?;
                if !token.id.expose().bytes().all(|b| b.is_ascii_graphic()) {
                    // The token goes into a header, here and whenever it is used.
                    return Err(Error::unavailable(
                        "the issued token is not printable ASCII without spaces",
                    ));
                }
                if signer.expires_at.is_some_and(|end| token.expires_at > end) {
                    return Err(Error::unavailable("the issued token outlives the key"));
                }
                let (issued_at, expires_at) = (token.issued_at, token.expires_at);
                Verified { signer, issued_at, expires_at, token: Some(token) }
            }
            SignatureCommand::S3(request) => {
                let signer = self.signer(&request?, now).await?;
                let expires_at = now + VALIDITY;
                let expires_at = signer.expires_at.map_or(expires_at, |end| end.min(expires_at));
                Verified { signer, issued_at: now, expires_at, token: None }
            }
        })
    }

    /// The owner of the key that signed this.
    async fn signer(
        &self,
        signed: &(impl Signed + Sync),
        now: SystemTime,
    ) -> Result<Signer, Error> {
        let found = self.backend().find_by_access_key(signed.access_key()).await?;
        let found = found.filter(|found| found.kind.is_ec2());
        let usable = found.as_ref().filter(|found| found.is_usable(now));
        let secret = usable.and_then(|found| found.secret_key());
        // A missing key costs as much hashing as a key that exists.
        let genuine = signed.verify(secret.unwrap_or(decoy())) && secret.is_some();
        // Checked last: an old request does not reveal whether the key may be used.
        let is_fresh = is_fresh(signed.freshness(), now, self.max_skew);
        // The secret of a key that may not sign cannot be guessed here.
        let is_guess = !genuine && is_fresh && (found.is_none() || secret.is_some());
        let guess =
            || is_guess.then(|| Guess::access_key(signed.access_key().as_str()).by_gateway());
        let Some(credential) = found else {
            let error = if self.hide_unknown_keys {
                Error::unauthenticated()
            } else {
                Error::new(ErrorKind::NotFound, "EC2 access key not found.")
            };
            return Err(error.with_guess(guess()));
        };
        if !genuine || !is_fresh {
            return Err(Error::unauthenticated().with_guess(guess()));
        }

        let boundary = credential.terms.boundary();
        if credential.project_id.is_none() || boundary.is_some() && !self.accept_bounded {
            return Err(Error::unauthenticated());
        }
        let standing = self.owners.standing(&credential, now).await?.ok_or_else(not_offered)?;
        let Owner { user, project, roles } = match &*standing {
            Standing::Good(owner) => &**owner,
            Standing::Gone => return Err(gone()),
            Standing::Barred => return Err(Error::unauthenticated()),
        };
        let project = project.clone().ok_or_else(Error::unauthenticated)?;
        let (user, roles) = (user.clone(), roles.clone());
        Ok(Signer {
            user,
            project,
            roles,
            delegation: credential.delegation.clone(),
            expires_at: credential.terms.expires_at(),
            boundary: boundary.map(str::to_owned),
        })
    }
}

/// The user or project of a key does not exist, which Keystone does not hide.
fn gone() -> Error {
    Error::new(ErrorKind::NotFound, "The user or project of the key does not exist.")
}

/// The operation lacks the directory or the issuer that it needs.
fn not_offered() -> Error {
    Error::new(ErrorKind::NotFound, "Not offered here.")
}

impl Signed for Ec2Signed {
    fn access_key(&self) -> &AccessKey {
        self.access()
    }

    fn freshness(&self) -> Freshness {
        self.freshness()
    }

    fn verify(&self, secret: &SecretKey) -> bool {
        self.verify(secret)
    }
}

impl Signed for S3TokensRequest {
    fn access_key(&self) -> &AccessKey {
        self.access()
    }

    fn freshness(&self) -> Freshness {
        self.freshness()
    }

    fn verify(&self, secret: &SecretKey) -> bool {
        self.verify(secret)
    }
}

#[cfg(test)]
mod tests;
