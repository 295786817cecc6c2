//! Ids of users, projects and credentials.

use std::{borrow::Cow, fmt};

use data_encoding::HEXLOWER;
use rand::{TryRng, rngs::SysRng};
use sha2::{Digest, Sha256};

use super::{AccessKey, RandomError};

/// The longest id of a user or project, in bytes.
const MAX_ID: usize = 256;

/// The longest credential type, in characters (Keystone's column width).
const MAX_KIND: usize = 255;

macro_rules! owner_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// 1 to 256 bytes of UTF-8 without control characters and slashes.
        /// Ordered bytewise.
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Box<str>);

        impl $name {
            /// Parses an id.
            ///
            /// # Errors
            ///
            /// [`InvalidId`] if the text is empty, longer than 256 bytes, or has a
            /// control character or a slash.
            pub fn new(id: impl Into<String>) -> Result<Self, InvalidId> {
                let id = id.into();
                let fits = (1..=MAX_ID).contains(&id.len());
                if fits && !id.contains(|c: char| c.is_control() || c == '/') {
                    Ok(Self(id.into_boxed_str()))
                } else {
                    Err(InvalidId(()))
                }
            }

            /// Creates an id from text that was parsed before, such as that of a store.
            #[must_use]
            pub fn from_stored(id: impl Into<String>) -> Self {
                Self(id.into().into_boxed_str())
            }
        }

        text!($name);
    };
}

macro_rules! text {
    ($name:ident) => {
        impl $name {
            /// Returns the id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

owner_id! {
    /// The id of a user.
    UserId
}

owner_id! {
    /// The id of a project (Keystone), storage account (IBM COS) or tenant (v2).
    ProjectId
}

impl UserId {
    /// Returns true if this id is the project's: the owner of its root keys, which belong to
    /// an IBM storage account and to no user.
    #[must_use]
    pub fn is_root_of(&self, project_id: &ProjectId) -> bool {
        self.0 == project_id.0
    }

    /// Returns the owner of a project's root keys.
    #[must_use]
    pub fn root_of(project_id: &ProjectId) -> Self {
        Self(project_id.0.clone())
    }
}

/// The id of a stored credential, which never changes.
///
/// For key pairs, the lowercase hex SHA-256 of the first access key, as in Keystone; otherwise
/// 32 random hex digits. Ordered bytewise.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CredentialId(Box<str>);

text!(CredentialId);

impl CredentialId {
    /// Returns the id of a key pair that is created with this access key.
    ///
    /// ```
    /// use tower_credentials::domain::{AccessKey, CredentialId};
    ///
    /// let key = AccessKey::new("a1b2c3d4e5f60718293a4b5c6d7e8f90").unwrap();
    /// assert_eq!(
    ///     CredentialId::of(&key).as_str(),
    ///     "ff25d2389ab7917a77cc0c3546331401054d53cb7b2edeedb7b4e7742bb5286d",
    /// );
    /// ```
    #[must_use]
    pub fn of(access_key: &AccessKey) -> Self {
        let digest = Sha256::digest(access_key.as_str().as_bytes());
        Self(HEXLOWER.encode(&digest).into_boxed_str())
    }

    /// Generates an id for a credential without an access key.
    ///
    /// # Errors
    ///
    /// [`RandomError`] if the operating system returns no random bytes.
    pub fn random() -> Result<Self, RandomError> {
        let mut bytes = [0; 16];
        SysRng.try_fill_bytes(&mut bytes).map_err(RandomError::new)?;
        Ok(Self(HEXLOWER.encode(&bytes).into_boxed_str()))
    }

    /// Creates an id from the text of a store or a client. An id that was never issued finds
    /// no credential.
    #[must_use]
    pub fn from_stored(id: impl Into<String>) -> Self {
        Self(id.into().into_boxed_str())
    }
}

/// The type of a credential: `ec2` for key pairs, or any other Keystone type.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind(Cow<'static, str>);

text!(Kind);

impl Kind {
    /// The type of all key pairs.
    pub const EC2: &'static str = "ec2";
    /// The type of v2 password grants.
    pub const PASSWORD: &'static str = "password";

    /// Parses a type.
    ///
    /// # Errors
    ///
    /// [`InvalidId`] if the text is empty, longer than 255 characters, has a control
    /// character, or is `ec2` in another case: such a record would escape every rule for key
    /// pairs.
    pub fn new(kind: impl Into<String>) -> Result<Self, InvalidId> {
        let kind = kind.into();
        let fits = !kind.is_empty() && kind.chars().count() <= MAX_KIND;
        let misspelt = kind.eq_ignore_ascii_case(Self::EC2) && kind != Self::EC2;
        if fits && !misspelt && !kind.contains(char::is_control) {
            Ok(Self::from_stored(kind))
        } else {
            Err(InvalidId(()))
        }
    }

    /// Returns the type of key pairs.
    #[must_use]
    pub fn ec2() -> Self {
        Self(Cow::Borrowed(Self::EC2))
    }

    /// Returns the type of v2 password grants.
    #[must_use]
    pub fn password() -> Self {
        Self(Cow::Borrowed(Self::PASSWORD))
    }

    /// Creates a type from text that was parsed before, such as that of a store.
    #[must_use]
    pub fn from_stored<'a>(kind: impl Into<Cow<'a, str>>) -> Self {
        let kind = kind.into();
        if kind == Self::EC2 { Self::ec2() } else { Self(Cow::Owned(kind.into_owned())) }
    }

    /// Returns true if this is the type of key pairs.
    #[must_use]
    pub fn is_ec2(&self) -> bool {
        self.0 == Self::EC2
    }
}

/// An error for text that is not a valid id.
///
/// The error does not contain the text, which came from a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidId(());

fixed_error!(InvalidId, "invalid id: empty, too long, or with a control character or slash");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owner_ids_are_bounded_and_have_no_slash_or_control_character() {
        assert!(UserId::new("a".repeat(256)).is_ok());
        for bad in [String::new(), "a".repeat(257), "a/b".into(), "a\nb".into(), "\u{85}".into()] {
            assert!(UserId::new(bad.clone()).is_err(), "{bad:?}");
            assert!(ProjectId::new(bad.clone()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn ec2_in_another_case_is_not_a_type() {
        assert!(Kind::new("ec2").unwrap().is_ec2());
        assert!(Kind::new("EC2").is_err());
        assert!(Kind::new("eC2").is_err());
        assert!(!Kind::new("totp").unwrap().is_ec2());
    }

    #[test]
    fn id_of_a_key_pair_is_the_same_as_in_keystone() {
        let key = AccessKey::new("181920").unwrap();
        assert!(CredentialId::of(&key).as_str().starts_with("3d3367228f9c"));
        assert!(CredentialId::of(&key).as_str().ends_with("2510"));
    }
}
