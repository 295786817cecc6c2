//! How a caller came to act for a user.

/// How a caller came to act for a user, when not by the user's own login.
///
/// The validator says who is delegated; the policy only looks at that. A record
/// made by a delegated caller carries the delegation, so that redeeming the key
/// grants no more than the delegation did.
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
        /// Whether it is barred from managing credentials of its own.
        restricted: bool,
    },
    /// A token that was itself obtained with an EC2 or S3 key.
    Ec2Credential,
    /// A login method that is not the user's own and has no id here.
    Other,
    /// A trust between two users.
    Trust {
        /// Id of the trust.
        id: String,
    },
}
