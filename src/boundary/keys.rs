//! The condition keys that a document may name, and the actions that have them.
//!
//! Sources: Service Authorization Reference, "Actions, resources, and condition keys for Amazon
//! S3"; Amazon S3 API Reference, "Signature Version 4 authentication-specific policy keys"; IAM
//! User Guide, "AWS global condition context keys".

use crate::operation::S3Action as Action;

/// A condition key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Key {
    AuthType,
    ContentSha256,
    CopySource,
    CurrentTime,
    Delimiter,
    EpochTime,
    /// A header whose value is the key's.
    Header(&'static str),
    MaxKeys,
    ObjectCreationOperation,
    Prefix,
    PrincipalArn,
    PrincipalType,
    Referer,
    RemainingRetentionDays,
    /// The value of a tag that the request sets.
    RequestTag(String),
    RequestTagKeys,
    RetainUntil,
    SecureTransport,
    SignatureAge,
    SignatureVersion,
    SourceIp,
    TlsVersion,
    TokenIssueTime,
    UserAgent,
    UserId,
    VersionId,
}

/// The type of a key's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Address,
    Arn,
    Bool,
    Date,
    Number,
    Text,
}

/// The prefix of the keys of tags that a request sets.
const REQUEST_TAG: &str = "s3:requestobjecttag/";

const LISTS: &[Action] =
    &[Action::ListBucket, Action::ListBucketVersions, Action::ListBucketMultipartUploads];
const PAGED_LISTS: &[Action] = &[Action::ListBucket, Action::ListBucketVersions];
const VERSIONS: &[Action] = &[
    Action::DeleteObjectVersion,
    Action::DeleteObjectVersionTagging,
    Action::GetObjectVersion,
    Action::GetObjectVersionAcl,
    Action::GetObjectVersionAttributes,
    Action::GetObjectVersionTagging,
    Action::PutObjectVersionAcl,
    Action::PutObjectVersionTagging,
];
const ACLS: &[Action] = &[
    Action::CreateBucket,
    Action::PutBucketAcl,
    Action::PutObject,
    Action::PutObjectAcl,
    Action::PutObjectVersionAcl,
];
const BUCKETS: &[Action] = &[Action::CreateBucket];
const LOCKS: &[Action] =
    &[Action::PutObject, Action::PutObjectLegalHold, Action::PutObjectRetention];
const TAGS: &[Action] =
    &[Action::PutObject, Action::PutObjectTagging, Action::PutObjectVersionTagging];
const UPLOADS: &[Action] = &[Action::PutObject];
const PRECONDITIONS: &[Action] = &[Action::DeleteObject, Action::PutObject];
const ALL: &[Action] = Action::ALL;

/// The keys that are headers: the name of the key after `s3:`, the header, the actions.
const HEADERS: &[(&str, &str, &[Action])] = &[
    ("if-match", "if-match", PRECONDITIONS),
    ("if-none-match", "if-none-match", PRECONDITIONS),
    ("object-lock-legal-hold", "x-amz-object-lock-legal-hold", LOCKS),
    ("object-lock-mode", "x-amz-object-lock-mode", LOCKS),
    ("x-amz-acl", "x-amz-acl", ACLS),
    ("x-amz-bucket-namespace", "x-amz-bucket-namespace", BUCKETS),
    ("x-amz-grant-full-control", "x-amz-grant-full-control", ACLS),
    ("x-amz-grant-read", "x-amz-grant-read", ACLS),
    ("x-amz-grant-read-acp", "x-amz-grant-read-acp", ACLS),
    ("x-amz-grant-write", "x-amz-grant-write", ACLS),
    ("x-amz-grant-write-acp", "x-amz-grant-write-acp", ACLS),
    ("x-amz-metadata-directive", "x-amz-metadata-directive", UPLOADS),
    ("x-amz-object-ownership", "x-amz-object-ownership", BUCKETS),
    ("x-amz-server-side-encryption", "x-amz-server-side-encryption", UPLOADS),
    (
        "x-amz-server-side-encryption-aws-kms-key-id",
        "x-amz-server-side-encryption-aws-kms-key-id",
        UPLOADS,
    ),
    (
        "x-amz-server-side-encryption-customer-algorithm",
        "x-amz-server-side-encryption-customer-algorithm",
        UPLOADS,
    ),
    ("x-amz-storage-class", "x-amz-storage-class", UPLOADS),
    ("x-amz-website-redirect-location", "x-amz-website-redirect-location", UPLOADS),
];

impl Key {
    /// Returns the key with this name, its type, and the actions that have it. Case does not
    /// count.
    pub(super) fn parse(name: &str) -> Option<(Self, Kind, &'static [Action])> {
        let lower = name.to_ascii_lowercase();
        let found = match &*lower {
            "aws:currenttime" => (Self::CurrentTime, Kind::Date, ALL),
            "aws:epochtime" => (Self::EpochTime, Kind::Date, ALL),
            "aws:principalarn" => (Self::PrincipalArn, Kind::Arn, ALL),
            "aws:principaltype" => (Self::PrincipalType, Kind::Text, ALL),
            "aws:referer" => (Self::Referer, Kind::Text, ALL),
            "aws:securetransport" => (Self::SecureTransport, Kind::Bool, ALL),
            "aws:sourceip" => (Self::SourceIp, Kind::Address, ALL),
            "aws:tokenissuetime" => (Self::TokenIssueTime, Kind::Date, ALL),
            "aws:useragent" => (Self::UserAgent, Kind::Text, ALL),
            "aws:userid" | "aws:username" => (Self::UserId, Kind::Text, ALL),
            "s3:authtype" => (Self::AuthType, Kind::Text, ALL),
            "s3:delimiter" => (Self::Delimiter, Kind::Text, LISTS),
            "s3:max-keys" => (Self::MaxKeys, Kind::Number, PAGED_LISTS),
            "s3:object-lock-remaining-retention-days" => {
                (Self::RemainingRetentionDays, Kind::Number, LOCKS)
            }
            "s3:object-lock-retain-until-date" => (Self::RetainUntil, Kind::Date, LOCKS),
            "s3:objectcreationoperation" => (Self::ObjectCreationOperation, Kind::Bool, UPLOADS),
            "s3:prefix" => (Self::Prefix, Kind::Text, LISTS),
            "s3:requestobjecttagkeys" => (Self::RequestTagKeys, Kind::Text, TAGS),
            "s3:signatureage" => (Self::SignatureAge, Kind::Number, ALL),
            "s3:signatureversion" => (Self::SignatureVersion, Kind::Text, ALL),
            "s3:tlsversion" => (Self::TlsVersion, Kind::Number, ALL),
            "s3:versionid" => (Self::VersionId, Kind::Text, VERSIONS),
            "s3:x-amz-content-sha256" => (Self::ContentSha256, Kind::Text, ALL),
            "s3:x-amz-copy-source" => (Self::CopySource, Kind::Text, UPLOADS),
            _ => return Self::parse_named(name, &lower),
        };
        Some(found)
    }

    /// Parses the keys of headers and of tags.
    fn parse_named(name: &str, lower: &str) -> Option<(Self, Kind, &'static [Action])> {
        if lower.starts_with(REQUEST_TAG) {
            // The key of a tag has a case.
            let tag = name.get(REQUEST_TAG.len()..).filter(|tag| !tag.is_empty())?;
            return Some((Self::RequestTag(tag.to_owned()), Kind::Text, TAGS));
        }
        let header = lower.strip_prefix("s3:")?;
        let (_, header, actions) = HEADERS.iter().find(|(known, ..)| *known == header)?;
        Some((Self::Header(header), Kind::Text, actions))
    }

    /// Returns whether the key can have several values in one request.
    pub(super) fn is_multivalued(&self) -> bool {
        *self == Self::RequestTagKeys
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_keys_have_no_case_but_those_of_tags_have() {
        let parsed = |name| Key::parse(name).map(|(key, ..)| key);
        assert_eq!(parsed("S3:Prefix"), Some(Key::Prefix));
        assert_eq!(parsed("aws:userName"), Some(Key::UserId));
        assert_eq!(parsed("s3:X-Amz-Acl"), Some(Key::Header("x-amz-acl")));
        assert_eq!(parsed("s3:RequestObjectTag/Team"), Some(Key::RequestTag("Team".to_owned())));
        for unknown in ["s3:prefx", "aws:SourceVpc", "s3:RequestObjectTag/", "prefix", ""] {
            assert_eq!(parsed(unknown), None, "{unknown}");
        }
    }
}
