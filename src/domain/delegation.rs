//! [`Delegation`]: how a caller came to act for a user.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// How a caller came to act for a user, if not by the user's own login.
///
/// The validator sets it, and the policy reads it. A record that a delegated caller creates
/// carries the delegation, so that redeeming the key grants no more than the delegation did.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Delegation {
    /// An `OAuth1` access token.
    AccessToken {
        /// Id of the access token.
        id: String,
    },
    /// An application credential.
    ApplicationCredential {
        /// Id of the application credential.
        id: String,
        /// Whether it may not manage credentials.
        restricted: bool,
    },
    /// A token that was obtained with an EC2 or S3 key.
    Ec2Credential,
    /// Another login method that is not the user's own.
    Other,
    /// A trust between two users.
    Trust {
        /// Id of the trust.
        id: String,
    },
}

impl Delegation {
    /// Returns the text for stores: JSON of a stable form.
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "strings always serialize")]
    pub fn encode(&self) -> String {
        let stored = match self {
            Self::AccessToken { id } => Stored::AccessToken { id: id.into() },
            Self::ApplicationCredential { id, restricted } => {
                Stored::ApplicationCredential { id: id.into(), restricted: *restricted }
            }
            Self::Ec2Credential => Stored::Ec2Credential,
            Self::Other => Stored::Other,
            Self::Trust { id } => Stored::Trust { id: id.into() },
        };
        serde_json::to_string(&stored).expect("strings always serialize")
    }

    /// Parses the text that [`encode`](Self::encode) returns, or returns `None`.
    #[must_use]
    pub fn decode(text: &str) -> Option<Self> {
        Some(match serde_json::from_str(text).ok()? {
            Stored::AccessToken { id } => Self::AccessToken { id: id.into() },
            Stored::ApplicationCredential { id, restricted } => {
                Self::ApplicationCredential { id: id.into(), restricted }
            }
            Stored::Ec2Credential => Self::Ec2Credential,
            Stored::Other => Self::Other,
            Stored::Trust { id } => Self::Trust { id: id.into() },
        })
    }
}

/// The stored form of [`Delegation`]. Its tags and members are on disk: add, never rename.
#[derive(Deserialize, Serialize)]
#[serde(tag = "form", rename_all = "snake_case")]
enum Stored<'a> {
    AccessToken { id: Cow<'a, str> },
    ApplicationCredential { id: Cow<'a, str>, restricted: bool },
    Ec2Credential,
    Other,
    Trust { id: Cow<'a, str> },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_decoded_as_it_was_encoded_and_other_text_is_not_decoded() {
        let id = || "a \"quoted\" id".to_owned();
        let forms = [
            Delegation::AccessToken { id: id() },
            Delegation::ApplicationCredential { id: id(), restricted: true },
            Delegation::Ec2Credential,
            Delegation::Other,
            Delegation::Trust { id: id() },
        ];
        for delegation in forms {
            assert_eq!(Delegation::decode(&delegation.encode()), Some(delegation));
        }
        for bad in ["", "{}", r#"{"form":"trust"}"#, r#"{"form":"Other"}"#] {
            assert_eq!(Delegation::decode(bad), None, "{bad:?}");
        }
    }
}
