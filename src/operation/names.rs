//! The names of S3's operations, and of the actions in IAM policies that they need.

use std::fmt;

/// Declares an enum whose variants have the names that S3 uses.
macro_rules! names {
    ($(#[$meta:meta])* pub enum $name:ident { $($variant:ident)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        #[expect(missing_docs, reason = "the names are S3's own")]
        pub enum $name {
            $($variant,)*
        }

        impl $name {
            /// Every value, in the order of their names.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Returns the name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => stringify!($variant),)*
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

names! {
    /// An operation of S3's API.
    ///
    /// Source: Amazon S3 API Reference. `PostObject` is the upload of a form.
    pub enum S3OperationName {
        AbortMultipartUpload
        CompleteMultipartUpload
        CopyObject
        CreateBucket
        CreateBucketMetadataConfiguration
        CreateBucketMetadataTableConfiguration
        CreateMultipartUpload
        DeleteBucket
        DeleteBucketAnalyticsConfiguration
        DeleteBucketCors
        DeleteBucketEncryption
        DeleteBucketIntelligentTieringConfiguration
        DeleteBucketInventoryConfiguration
        DeleteBucketLifecycle
        DeleteBucketMetadataConfiguration
        DeleteBucketMetadataTableConfiguration
        DeleteBucketMetricsConfiguration
        DeleteBucketOwnershipControls
        DeleteBucketPolicy
        DeleteBucketReplication
        DeleteBucketTagging
        DeleteBucketWebsite
        DeleteObject
        DeleteObjectAnnotation
        DeleteObjectTagging
        DeleteObjects
        DeletePublicAccessBlock
        GetBucketAbac
        GetBucketAccelerateConfiguration
        GetBucketAcl
        GetBucketAnalyticsConfiguration
        GetBucketCors
        GetBucketEncryption
        GetBucketIntelligentTieringConfiguration
        GetBucketInventoryConfiguration
        GetBucketLifecycleConfiguration
        GetBucketLocation
        GetBucketLogging
        GetBucketMetadataConfiguration
        GetBucketMetadataTableConfiguration
        GetBucketMetricsConfiguration
        GetBucketNotificationConfiguration
        GetBucketOwnershipControls
        GetBucketPolicy
        GetBucketPolicyStatus
        GetBucketReplication
        GetBucketRequestPayment
        GetBucketTagging
        GetBucketVersioning
        GetBucketWebsite
        GetObject
        GetObjectAcl
        GetObjectAnnotation
        GetObjectAttributes
        GetObjectLegalHold
        GetObjectLockConfiguration
        GetObjectRetention
        GetObjectTagging
        GetObjectTorrent
        GetPublicAccessBlock
        HeadBucket
        HeadObject
        ListBucketAnalyticsConfigurations
        ListBucketIntelligentTieringConfigurations
        ListBucketInventoryConfigurations
        ListBucketMetricsConfigurations
        ListBuckets
        ListMultipartUploads
        ListObjectAnnotations
        ListObjectVersions
        ListObjects
        ListObjectsV2
        ListParts
        PostObject
        PutBucketAbac
        PutBucketAccelerateConfiguration
        PutBucketAcl
        PutBucketAnalyticsConfiguration
        PutBucketCors
        PutBucketEncryption
        PutBucketIntelligentTieringConfiguration
        PutBucketInventoryConfiguration
        PutBucketLifecycleConfiguration
        PutBucketLogging
        PutBucketMetricsConfiguration
        PutBucketNotificationConfiguration
        PutBucketOwnershipControls
        PutBucketPolicy
        PutBucketReplication
        PutBucketRequestPayment
        PutBucketTagging
        PutBucketVersioning
        PutBucketWebsite
        PutObject
        PutObjectAcl
        PutObjectAnnotation
        PutObjectLegalHold
        PutObjectLockConfiguration
        PutObjectRetention
        PutObjectTagging
        PutPublicAccessBlock
        RestoreObject
        SelectObjectContent
        UpdateBucketMetadataAnnotationTableConfiguration
        UpdateBucketMetadataInventoryTableConfiguration
        UpdateBucketMetadataJournalTableConfiguration
        UpdateObjectEncryption
        UploadPart
        UploadPartCopy
    }
}

names! {
    /// An action of the service `s3` in an IAM policy.
    ///
    /// Source: Service Authorization Reference, "Actions, resources, and condition keys for
    /// Amazon S3". `HeadBucket` is not among AWS's: it allows to ask whether a bucket exists,
    /// without a listing.
    pub enum S3Action {
        AbortMultipartUpload
        BypassGovernanceRetention
        CreateBucket
        CreateBucketMetadataTableConfiguration
        DeleteBucket
        DeleteBucketMetadataTableConfiguration
        DeleteBucketPolicy
        DeleteBucketWebsite
        DeleteObject
        DeleteObjectAnnotation
        DeleteObjectTagging
        DeleteObjectVersion
        DeleteObjectVersionTagging
        GetAccelerateConfiguration
        GetAnalyticsConfiguration
        GetBucketAbac
        GetBucketAcl
        GetBucketCORS
        GetBucketLocation
        GetBucketLogging
        GetBucketMetadataTableConfiguration
        GetBucketNotification
        GetBucketObjectLockConfiguration
        GetBucketOwnershipControls
        GetBucketPolicy
        GetBucketPolicyStatus
        GetBucketPublicAccessBlock
        GetBucketRequestPayment
        GetBucketTagging
        GetBucketVersioning
        GetBucketWebsite
        GetEncryptionConfiguration
        GetIntelligentTieringConfiguration
        GetInventoryConfiguration
        GetLifecycleConfiguration
        GetMetricsConfiguration
        GetObject
        GetObjectAcl
        GetObjectAnnotation
        GetObjectAttributes
        GetObjectLegalHold
        GetObjectRetention
        GetObjectTagging
        GetObjectTorrent
        GetObjectVersion
        GetObjectVersionAcl
        GetObjectVersionAttributes
        GetObjectVersionTagging
        GetReplicationConfiguration
        HeadBucket
        ListAllMyBuckets
        ListBucket
        ListBucketMultipartUploads
        ListBucketVersions
        ListMultipartUploadParts
        ListObjectAnnotations
        PutAccelerateConfiguration
        PutAnalyticsConfiguration
        PutBucketAbac
        PutBucketAcl
        PutBucketCORS
        PutBucketLogging
        PutBucketNotification
        PutBucketObjectLockConfiguration
        PutBucketOwnershipControls
        PutBucketPolicy
        PutBucketPublicAccessBlock
        PutBucketRequestPayment
        PutBucketTagging
        PutBucketVersioning
        PutBucketWebsite
        PutEncryptionConfiguration
        PutIntelligentTieringConfiguration
        PutInventoryConfiguration
        PutLifecycleConfiguration
        PutMetricsConfiguration
        PutObject
        PutObjectAcl
        PutObjectAnnotation
        PutObjectLegalHold
        PutObjectRetention
        PutObjectTagging
        PutObjectVersionAcl
        PutObjectVersionTagging
        PutReplicationConfiguration
        RestoreObject
        UpdateBucketMetadataAnnotationTableConfiguration
        UpdateBucketMetadataInventoryTableConfiguration
        UpdateBucketMetadataJournalTableConfiguration
        UpdateObjectEncryption
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_and_unique() {
        assert!(S3OperationName::ALL.is_sorted_by_key(|name| name.name()));
        assert!(S3Action::ALL.windows(2).all(|pair| pair[0].name() < pair[1].name()));
    }
}
