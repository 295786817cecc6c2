//! The operations on buckets that a parameter selects.

use crate::operation::{
    names::{S3Action as Action, S3OperationName as Name},
    row::{Selector, flag, row},
};

/// The selectors of buckets, sorted by name.
pub(super) const BUCKET: &[Selector] = &[
    flag("abac")
        .get(&[row(Name::GetBucketAbac, &[Action::GetBucketAbac])])
        .put(&[row(Name::PutBucketAbac, &[Action::PutBucketAbac])]),
    flag("accelerate")
        .get(&[row(Name::GetBucketAccelerateConfiguration, &[Action::GetAccelerateConfiguration])])
        .put(&[row(Name::PutBucketAccelerateConfiguration, &[Action::PutAccelerateConfiguration])]),
    flag("acl")
        .get(&[row(Name::GetBucketAcl, &[Action::GetBucketAcl])])
        .put(&[row(Name::PutBucketAcl, &[Action::PutBucketAcl])]),
    flag("analytics")
        .get(&[
            row(Name::GetBucketAnalyticsConfiguration, &[Action::GetAnalyticsConfiguration]).id(),
            row(Name::ListBucketAnalyticsConfigurations, &[Action::GetAnalyticsConfiguration])
                .with(&["continuation-token"]),
        ])
        .put(&[
            row(Name::PutBucketAnalyticsConfiguration, &[Action::PutAnalyticsConfiguration]).id()
        ])
        .delete(&[row(
            Name::DeleteBucketAnalyticsConfiguration,
            &[Action::PutAnalyticsConfiguration],
        )
        .id()]),
    flag("cors")
        .get(&[row(Name::GetBucketCors, &[Action::GetBucketCORS])])
        .put(&[row(Name::PutBucketCors, &[Action::PutBucketCORS])])
        .delete(&[row(Name::DeleteBucketCors, &[Action::PutBucketCORS])]),
    // The actions are those of each key in the body.
    flag("delete").post(&[row(Name::DeleteObjects, &[])]),
    flag("encryption")
        .get(&[row(Name::GetBucketEncryption, &[Action::GetEncryptionConfiguration])])
        .put(&[row(Name::PutBucketEncryption, &[Action::PutEncryptionConfiguration])])
        .delete(&[row(Name::DeleteBucketEncryption, &[Action::PutEncryptionConfiguration])]),
    flag("intelligent-tiering")
        .get(&[
            row(
                Name::GetBucketIntelligentTieringConfiguration,
                &[Action::GetIntelligentTieringConfiguration],
            )
            .id(),
            row(
                Name::ListBucketIntelligentTieringConfigurations,
                &[Action::GetIntelligentTieringConfiguration],
            )
            .with(&["continuation-token"]),
        ])
        .put(&[row(
            Name::PutBucketIntelligentTieringConfiguration,
            &[Action::PutIntelligentTieringConfiguration],
        )
        .id()])
        .delete(&[row(
            Name::DeleteBucketIntelligentTieringConfiguration,
            &[Action::PutIntelligentTieringConfiguration],
        )
        .id()]),
    flag("inventory")
        .get(&[
            row(Name::GetBucketInventoryConfiguration, &[Action::GetInventoryConfiguration]).id(),
            row(Name::ListBucketInventoryConfigurations, &[Action::GetInventoryConfiguration])
                .with(&["continuation-token"]),
        ])
        .put(&[
            row(Name::PutBucketInventoryConfiguration, &[Action::PutInventoryConfiguration]).id()
        ])
        .delete(&[row(
            Name::DeleteBucketInventoryConfiguration,
            &[Action::PutInventoryConfiguration],
        )
        .id()]),
    flag("lifecycle")
        .get(&[row(Name::GetBucketLifecycleConfiguration, &[Action::GetLifecycleConfiguration])])
        .put(&[row(Name::PutBucketLifecycleConfiguration, &[Action::PutLifecycleConfiguration])])
        .delete(&[row(Name::DeleteBucketLifecycle, &[Action::PutLifecycleConfiguration])]),
    flag("location").get(&[row(Name::GetBucketLocation, &[Action::GetBucketLocation])]),
    flag("logging")
        .get(&[row(Name::GetBucketLogging, &[Action::GetBucketLogging])])
        .put(&[row(Name::PutBucketLogging, &[Action::PutBucketLogging])]),
    flag("metadataAnnotationTable").put(&[row(
        Name::UpdateBucketMetadataAnnotationTableConfiguration,
        &[Action::UpdateBucketMetadataAnnotationTableConfiguration],
    )]),
    flag("metadataConfiguration")
        .get(&[row(
            Name::GetBucketMetadataConfiguration,
            &[Action::GetBucketMetadataTableConfiguration],
        )])
        .delete(&[row(
            Name::DeleteBucketMetadataConfiguration,
            &[Action::DeleteBucketMetadataTableConfiguration],
        )])
        .post(&[row(
            Name::CreateBucketMetadataConfiguration,
            &[Action::CreateBucketMetadataTableConfiguration],
        )]),
    flag("metadataInventoryTable").put(&[row(
        Name::UpdateBucketMetadataInventoryTableConfiguration,
        &[Action::UpdateBucketMetadataInventoryTableConfiguration],
    )]),
    flag("metadataJournalTable").put(&[row(
        Name::UpdateBucketMetadataJournalTableConfiguration,
        &[Action::UpdateBucketMetadataJournalTableConfiguration],
    )]),
    flag("metadataTable")
        .get(&[row(
            Name::GetBucketMetadataTableConfiguration,
            &[Action::GetBucketMetadataTableConfiguration],
        )])
        .delete(&[row(
            Name::DeleteBucketMetadataTableConfiguration,
            &[Action::DeleteBucketMetadataTableConfiguration],
        )])
        .post(&[row(
            Name::CreateBucketMetadataTableConfiguration,
            &[Action::CreateBucketMetadataTableConfiguration],
        )]),
    flag("metrics")
        .get(&[
            row(Name::GetBucketMetricsConfiguration, &[Action::GetMetricsConfiguration]).id(),
            row(Name::ListBucketMetricsConfigurations, &[Action::GetMetricsConfiguration])
                .with(&["continuation-token"]),
        ])
        .put(&[row(Name::PutBucketMetricsConfiguration, &[Action::PutMetricsConfiguration]).id()])
        .delete(&[
            row(Name::DeleteBucketMetricsConfiguration, &[Action::PutMetricsConfiguration]).id()
        ]),
    flag("notification")
        .get(&[row(Name::GetBucketNotificationConfiguration, &[Action::GetBucketNotification])])
        .put(&[row(Name::PutBucketNotificationConfiguration, &[Action::PutBucketNotification])]),
    flag("object-lock")
        .get(&[row(Name::GetObjectLockConfiguration, &[Action::GetBucketObjectLockConfiguration])])
        .put(&[row(Name::PutObjectLockConfiguration, &[Action::PutBucketObjectLockConfiguration])]),
    flag("ownershipControls")
        .get(&[row(Name::GetBucketOwnershipControls, &[Action::GetBucketOwnershipControls])])
        .put(&[row(Name::PutBucketOwnershipControls, &[Action::PutBucketOwnershipControls])])
        .delete(&[row(Name::DeleteBucketOwnershipControls, &[Action::PutBucketOwnershipControls])]),
    flag("policy")
        .get(&[row(Name::GetBucketPolicy, &[Action::GetBucketPolicy])])
        .put(&[row(Name::PutBucketPolicy, &[Action::PutBucketPolicy])])
        .delete(&[row(Name::DeleteBucketPolicy, &[Action::DeleteBucketPolicy])]),
    flag("policyStatus").get(&[row(Name::GetBucketPolicyStatus, &[Action::GetBucketPolicyStatus])]),
    flag("publicAccessBlock")
        .get(&[row(Name::GetPublicAccessBlock, &[Action::GetBucketPublicAccessBlock])])
        .put(&[row(Name::PutPublicAccessBlock, &[Action::PutBucketPublicAccessBlock])])
        .delete(&[row(Name::DeletePublicAccessBlock, &[Action::PutBucketPublicAccessBlock])]),
    flag("replication")
        .get(&[row(Name::GetBucketReplication, &[Action::GetReplicationConfiguration])])
        .put(&[row(Name::PutBucketReplication, &[Action::PutReplicationConfiguration])])
        .delete(&[row(Name::DeleteBucketReplication, &[Action::PutReplicationConfiguration])]),
    flag("requestPayment")
        .get(&[row(Name::GetBucketRequestPayment, &[Action::GetBucketRequestPayment])])
        .put(&[row(Name::PutBucketRequestPayment, &[Action::PutBucketRequestPayment])]),
    // Stores read it as a listing or as the start of a session.
    flag("session"),
    flag("tagging")
        .get(&[row(Name::GetBucketTagging, &[Action::GetBucketTagging])])
        .put(&[row(Name::PutBucketTagging, &[Action::PutBucketTagging])])
        .delete(&[row(Name::DeleteBucketTagging, &[Action::PutBucketTagging])]),
    flag("uploads").get(&[row(Name::ListMultipartUploads, &[Action::ListBucketMultipartUploads])
        .with(&[
            "delimiter",
            "encoding-type",
            "key-marker",
            "max-uploads",
            "prefix",
            "upload-id-marker",
        ])]),
    flag("versioning")
        .get(&[row(Name::GetBucketVersioning, &[Action::GetBucketVersioning])])
        .put(&[row(Name::PutBucketVersioning, &[Action::PutBucketVersioning])]),
    flag("versions").get(&[row(Name::ListObjectVersions, &[Action::ListBucketVersions]).with(&[
        "delimiter",
        "encoding-type",
        "key-marker",
        "max-keys",
        "prefix",
        "version-id-marker",
    ])]),
    flag("website")
        .get(&[row(Name::GetBucketWebsite, &[Action::GetBucketWebsite])])
        .put(&[row(Name::PutBucketWebsite, &[Action::PutBucketWebsite])])
        .delete(&[row(Name::DeleteBucketWebsite, &[Action::DeleteBucketWebsite])]),
];
