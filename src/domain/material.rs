//! [`Material`]: the content of a credential.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::{Blob, PasswordHash, SecretKey, SecretText};

/// The content of a credential, in the form in which the client sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Material {
    /// A v3 blob, byte for byte.
    Blob(Blob),
    /// A v2 grant of an EC2 or S3 credential.
    Grant {
        /// The name of the grant; also the access key, if that was free.
        username: String,
        /// The secret key.
        secret: SecretKey,
        /// The `signature` member, which has no documented meaning and is returned as it came.
        signature: SecretText,
    },
    /// A key pair whose access key is the record's.
    KeyPair {
        /// The secret key. A pair without one never verifies.
        secret: Option<SecretKey>,
    },
    /// A v2 password grant.
    Password {
        /// The name of the grant.
        username: String,
        /// The hash of the password.
        hash: PasswordHash,
    },
}

impl Material {
    /// Returns the secret for signatures, if there is one.
    #[must_use]
    pub fn secret_key(&self) -> Option<&SecretKey> {
        match self {
            Self::Blob(blob) => blob.secret_key(),
            Self::Grant { secret, .. } => Some(secret),
            Self::KeyPair { secret } => secret.as_ref(),
            Self::Password { .. } => None,
        }
    }

    /// Returns the text for stores: JSON of a stable form. The text contains the secrets.
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "strings always serialize")]
    pub fn encode(&self) -> SecretText {
        let stored = match self {
            Self::Blob(blob) => Stored::Blob { text: blob.expose().into() },
            Self::Grant { username, secret, signature } => Stored::Grant {
                username: username.into(),
                secret: secret.expose().into(),
                signature: signature.expose().into(),
            },
            Self::KeyPair { secret } => {
                Stored::Pair { secret: secret.as_ref().map(|secret| secret.expose().into()) }
            }
            Self::Password { username, hash } => {
                Stored::Password { username: username.into(), hash: hash.encode().into() }
            }
        };
        SecretText::new(serde_json::to_string(&stored).expect("strings always serialize"))
    }

    /// Parses the text that [`encode`](Self::encode) returns.
    ///
    /// # Errors
    ///
    /// [`InvalidMaterial`] for any other text.
    pub fn decode(text: &str) -> Result<Self, InvalidMaterial> {
        Self::of_members(text).ok_or(InvalidMaterial(()))
    }

    fn of_members(text: &str) -> Option<Self> {
        let Members { form, text, username, secret, signature, hash } =
            serde_json::from_str(text).ok()?;
        Some(match form {
            Form::Blob => Self::Blob(Blob::new(text?)),
            Form::Grant => Self::Grant {
                username: username?,
                secret: SecretKey::from_stored(secret?),
                signature: SecretText::new(signature?),
            },
            Form::Pair => Self::KeyPair { secret: secret.map(SecretKey::from_stored) },
            Form::Password => {
                Self::Password { username: username?, hash: PasswordHash::decode(&hash?)? }
            }
        })
    }
}

/// The stored form of [`Material`]. Its tags and members are on disk: add, never rename.
#[derive(Serialize)]
#[serde(tag = "form", rename_all = "lowercase")]
enum Stored<'a> {
    Blob { text: Cow<'a, str> },
    Grant { username: Cow<'a, str>, secret: Cow<'a, str>, signature: Cow<'a, str> },
    Pair { secret: Option<Cow<'a, str>> },
    Password { username: Cow<'a, str>, hash: Cow<'a, str> },
}

/// The same for parsing: flat, because serde buffers a tagged form.
#[derive(Deserialize)]
struct Members {
    form: Form,
    text: Option<String>,
    username: Option<String>,
    secret: Option<String>,
    signature: Option<String>,
    hash: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Form {
    Blob,
    Grant,
    Pair,
    Password,
}

/// A stored text that is not the material of a credential.
///
/// The error does not contain the text, which may contain secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidMaterial(());

fixed_error!(InvalidMaterial, "stored text is not the material of a credential");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_decoded_as_it_was_encoded() {
        let secret = SecretKey::new("s3cr3t \"quoted\" \\").unwrap();
        let forms = [
            Material::Blob(Blob::new(r#"{ "access" : "a",  "secret":"b", "x": [1.50] }"#)),
            Material::Blob(Blob::new("not json at all \u{1F511}")),
            Material::Grant {
                username: "test_user".into(),
                secret: secret.clone(),
                signature: SecretText::new("bbb"),
            },
            Material::KeyPair { secret: Some(secret) },
            Material::KeyPair { secret: None },
            Material::Password {
                username: "amy".into(),
                hash: PasswordHash::derive(&SecretText::new("pw")).unwrap(),
            },
        ];
        for material in forms {
            assert_eq!(Material::decode(material.encode().expose()).unwrap(), material);
        }
    }

    #[test]
    fn text_that_is_not_material_is_rejected() {
        for bad in ["", "{}", r#"{"form":"pair"#, r#"{"form":"password","username":"","hash":""}"#]
        {
            assert!(Material::decode(bad).is_err(), "{bad:?}");
        }
    }
}
