//! A credential as v2 reads and shows it, in either format.

use crate::{
    authority::{Grant, Proof, View, listed_as},
    domain::{AccessKey, Material, SecretKey, SecretText, Slot},
    error::Error,
};

/// Longest user name of a password grant, password and signature, in bytes.
const MAX_TEXT: usize = 1_024;

/// A credential as v2 shows it.
pub(super) struct Entry<'a> {
    pub(super) slot: Slot,
    pub(super) username: &'a str,
    pub(super) secret: Option<&'a str>,
    pub(super) signature: Option<&'a str>,
}

impl<'a> Entry<'a> {
    /// The entry of a record. A key pair that is not a grant has no signature, and its access
    /// key is the name.
    pub(super) fn of(view: &'a View) -> Self {
        let credential = &*view.credential;
        let slot = listed_as(credential).unwrap_or(Slot::Ec2);
        let visible = |secret| Some(secret).filter(|_| view.shows_secret());
        match &credential.material {
            Material::Grant { username, secret, signature } => Self {
                slot,
                username,
                secret: visible(secret.expose()),
                signature: visible(signature.expose()),
            },
            Material::Password { username, .. } => {
                Self { slot, username, secret: None, signature: None }
            }
            _ => Self {
                slot,
                username: credential.access_key.as_ref().map_or("", AccessKey::as_str),
                secret: credential.secret_key().map(SecretKey::expose).and_then(visible),
                signature: Some(""),
            },
        }
    }
}

/// The members of a body, as the client wrote them.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) slot: Slot,
    pub(super) username: Option<String>,
    /// `password`; or `secret` (JSON) or `key` (XML), whose names both formats accept.
    pub(super) secret: Option<SecretText>,
    pub(super) signature: Option<SecretText>,
}

impl Parsed {
    /// Checks that every member is present, as the schema requires, and can be stored.
    pub(super) fn into_grant(self) -> Result<Grant, Error> {
        let Self { slot, username, secret, signature } = self;
        let username = username.ok_or_else(|| Error::bad_request("username is required."))?;
        let proof = match slot {
            Slot::Password => {
                check_text(&username, 1)?;
                let password = secret.ok_or_else(|| Error::bad_request("password is required."))?;
                check_text(password.expose(), 1)?;
                Proof::Password(password)
            }
            Slot::Ec2 | Slot::S3 => {
                // The name becomes the access key if that is free.
                AccessKey::new(&*username)?;
                let secret = secret.ok_or_else(|| Error::bad_request("secret is required."))?;
                let secret = SecretKey::new(secret.expose())?;
                let signature =
                    signature.ok_or_else(|| Error::bad_request("signature is required."))?;
                check_text(signature.expose(), 0)?;
                if slot == Slot::Ec2 {
                    Proof::Ec2 { secret, signature }
                } else {
                    Proof::S3 { secret, signature }
                }
            }
        };
        Ok(Grant { username, proof })
    }
}

/// The value of a member with two names: both may be present only if they agree.
pub(super) fn one_of<'a>(
    one: Option<&'a str>,
    other: Option<&'a str>,
) -> Result<Option<&'a str>, Error> {
    match (one, other) {
        (Some(one), Some(other)) if one != other => {
            Err(Error::bad_request("secret and key are given and differ."))
        }
        (one, other) => Ok(one.or(other)),
    }
}

/// Checks that a text is bounded, and can be written in XML.
fn check_text(text: &str, least: usize) -> Result<(), Error> {
    let unfit = |c: char| c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}');
    if (least..=MAX_TEXT).contains(&text.len()) && !text.contains(unfit) {
        Ok(())
    } else {
        Err(Error::bad_request("A member is empty, too long, or not printable."))
    }
}
