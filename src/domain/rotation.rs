//! Rotation: another key pair in place of a key pair.

use std::{
    error::Error as StdError,
    fmt,
    time::{Duration, SystemTime},
};

use super::{AccessKey, Credential, CredentialId, Life, Material, RotatedFrom, SecretKey, Version};

/// The result of a rotation.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "callers match it at once")]
pub enum Rotation {
    /// The record has another key pair, and the old one ends.
    InPlace(Credential),
    /// A new record replaces the old one, which remains usable for a while.
    Overlapping {
        /// The new record.
        credential: Credential,
        /// The old record with its expiry.
        retired: Credential,
    },
}

/// Why a credential cannot be rotated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotRotatable {
    /// It has expired.
    Expired,
    /// It is a v2 grant, whose name is its access key.
    Grant,
    /// It is not a key pair with a secret.
    NoSecret,
    /// It is a project's root key.
    RootKey,
}

impl Credential {
    /// Returns this record with another key pair.
    ///
    /// With an overlap the old pair remains valid for that time, unless it ends sooner, and the
    /// new pair is a record of its own with the same owner, project, terms, delegation and
    /// attributes. It ends as long from now as the old one did from its creation, and not after
    /// `max_life`. Without an overlap the record keeps its id and its expiry.
    ///
    /// # Errors
    ///
    /// [`NotRotatable`] if the record is not a key pair with a secret, has expired, or is a root key
    /// or a grant.
    pub fn rotated(
        &self,
        (access_key, secret): (AccessKey, SecretKey),
        overlap: Duration,
        max_life: Option<Duration>,
        now: SystemTime,
    ) -> Result<Rotation, NotRotatable> {
        if self.is_root_key() {
            return Err(NotRotatable::RootKey);
        }
        if self.slot.is_some() {
            return Err(NotRotatable::Grant);
        }
        if self.is_expired(now) {
            return Err(NotRotatable::Expired);
        }
        let old_key = self.access_key.as_ref().filter(|_| self.kind.is_ec2());
        let (Some(old_key), Some(_)) = (old_key, self.secret_key()) else {
            return Err(NotRotatable::NoSecret);
        };
        let material = match &self.material {
            Material::Blob(blob) => Material::Blob(blob.with_pair(&access_key, &secret)),
            _ => Material::KeyPair { secret: Some(secret) },
        };
        if overlap.is_zero() {
            let mut credential = self.clone().touched(now);
            (credential.access_key, credential.material) = (Some(access_key), material);
            return Ok(Rotation::InPlace(credential));
        }
        let mut retired = self.clone().touched(now);
        // A time that the clock cannot represent is after every other one.
        let end = now.checked_add(overlap).or(self.terms.expires_at()).unwrap_or(now);
        let expires_at = retired.terms.shorten_to(end, self.life());

        let (id, kind) = (CredentialId::of(&access_key), self.kind.clone());
        let owner = self.user_id.clone();
        let mut credential = Self::new(id, kind, owner, material, now, Version::fresh());
        credential.project_id.clone_from(&self.project_id);
        credential.access_key = Some(access_key);
        credential.status = self.status;
        credential.delegation.clone_from(&self.delegation);
        credential.attributes.clone_from(&self.attributes);
        credential.terms = self.terms.clone();
        let life = match (self.life(), max_life) {
            (Life::Unlimited, max) => max,
            (Life::For(life), max) => Some(max.map_or(life, |max| max.min(life))),
        };
        credential.terms.set_expires_at(life.and_then(|life| now.checked_add(life)));
        credential.terms.set_rotated_from(Some(RotatedFrom {
            id: self.id.clone(),
            access_key: old_key.clone(),
            expires_at,
        }));
        Ok(Rotation::Overlapping { credential, retired })
    }
}

impl fmt::Display for NotRotatable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Expired => "it has expired: change its expiry first",
            Self::Grant => "the name of a grant is its access key",
            Self::NoSecret => "it is not a key pair with a secret",
            Self::RootKey => "it is a root key",
        })
    }
}

impl StdError for NotRotatable {}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::domain::{Blob, Kind, ProjectId, Slot, UserId};

    const HOUR: Duration = Duration::from_hours(1);

    fn at(hours: u32) -> SystemTime {
        UNIX_EPOCH + HOUR * hours
    }

    fn key() -> Credential {
        let (access, material) = (
            AccessKey::from_stored("old"),
            Material::KeyPair { secret: Some(SecretKey::from_stored("old secret")) },
        );
        let (id, owner) = (CredentialId::of(&access), UserId::from_stored("amy"));
        let mut key = Credential::new(id, Kind::ec2(), owner, material, at(0), Version::fresh());
        key.access_key = Some(access);
        key.project_id = Some(ProjectId::from_stored("demo"));
        key.terms.set_name(Some("backup".into())).unwrap();
        key
    }

    fn pair() -> (AccessKey, SecretKey) {
        (AccessKey::from_stored("new"), SecretKey::from_stored("new secret"))
    }

    fn overlapping(key: &Credential, max_life: Option<Duration>) -> (Credential, Credential) {
        match key.rotated(pair(), HOUR, max_life, at(10)).unwrap() {
            Rotation::Overlapping { credential, retired } => (credential, retired),
            Rotation::InPlace(_) => panic!("in place"),
        }
    }

    #[test]
    fn new_key_gets_the_life_that_the_old_one_had_before_rotations() {
        let mut old = key();
        old.terms.set_expires_at(Some(at(30)));
        let (new, retired) = overlapping(&old, None);
        assert_eq!(retired.terms.expires_at(), Some(at(11)));
        assert_eq!(new.terms.expires_at(), Some(at(40)));
        assert_eq!(new.terms.name(), Some("backup"));
        let from = new.terms.rotated_from().unwrap();
        assert_eq!((&from.id, from.expires_at), (&old.id, at(11)));
        let (again, still) = overlapping(&retired, None);
        assert_eq!(
            (again.terms.expires_at(), still.terms.expires_at()),
            (Some(at(40)), Some(at(11)))
        );
        assert_eq!(overlapping(&old, Some(HOUR)).0.terms.expires_at(), Some(at(11)));
    }

    #[test]
    fn key_without_an_expiry_gets_a_successor_without_one() {
        let (new, retired) = overlapping(&key(), None);
        assert_eq!((new.terms.expires_at(), retired.terms.expires_at()), (None, Some(at(11))));
        assert_eq!(overlapping(&retired, None).0.terms.expires_at(), None);
        assert_eq!(overlapping(&retired, Some(HOUR)).0.terms.expires_at(), Some(at(11)));
    }

    #[test]
    fn rotation_in_place_keeps_the_id_and_the_expiry() {
        let mut old = key();
        old.terms.set_expires_at(Some(at(30)));
        old.material = Material::Blob(Blob::new(r#"{"access":"old","secret":"s","x":1}"#));
        let rotated = old.rotated(pair(), Duration::ZERO, None, at(10)).unwrap();
        let Rotation::InPlace(new) = rotated else { panic!("overlapping") };
        assert_eq!((&new.id, &new.terms), (&old.id, &old.terms));
        assert_eq!(new.blob().unwrap().access_key(), Ok(pair().0));
        assert_eq!(new.secret_key().unwrap().expose(), "new secret");
        assert!(new.blob().unwrap().expose().contains(r#""x":1"#));
    }

    #[test]
    fn root_key_grant_and_pair_without_secret_are_not_rotated() {
        let rotate = |key: &Credential| key.rotated(pair(), HOUR, None, at(10)).unwrap_err();
        let mut root = key();
        (root.user_id, root.root_key) = (UserId::from_stored("demo"), Some(true));
        assert_eq!(rotate(&root), NotRotatable::RootKey);
        let mut grant = key();
        grant.slot = Some(Slot::Ec2);
        assert_eq!(rotate(&grant), NotRotatable::Grant);
        let mut bare = key();
        bare.material = Material::KeyPair { secret: None };
        assert_eq!(rotate(&bare), NotRotatable::NoSecret);
        let mut other = key();
        other.kind = Kind::from_stored("cert");
        assert_eq!(rotate(&other), NotRotatable::NoSecret);
    }
}
