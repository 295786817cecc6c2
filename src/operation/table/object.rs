//! The operations on objects that a parameter selects.

use crate::operation::{
    names::{S3Action as Action, S3OperationName as Name},
    row::{Need, PART_NUMBER, Selector, UPLOAD_ID, VERSION_ID, flag, row},
};

/// The selectors of objects, sorted by name.
pub(super) const OBJECT: &[Selector] = &[
    flag("acl")
        .get(&[row(Name::GetObjectAcl, &[Action::GetObjectAcl])
            .version(&[Action::GetObjectVersionAcl])])
        .put(&[row(Name::PutObjectAcl, &[Action::PutObjectAcl])
            .version(&[Action::PutObjectVersionAcl])]),
    flag("annotation")
        .get(&[
            row(Name::GetObjectAnnotation, &[Action::GetObjectAnnotation])
                .needs(&[Need::Parameter("annotationName")])
                .with(&["annotationName", VERSION_ID]),
            row(Name::ListObjectAnnotations, &[Action::ListObjectAnnotations]).with(&[
                "annotation-prefix",
                "continuation-token",
                "max-annotation-results",
                VERSION_ID,
            ]),
        ])
        .put(&[row(Name::PutObjectAnnotation, &[Action::PutObjectAnnotation])
            .needs(&[Need::Parameter("annotationName")])
            .with(&["annotationName", VERSION_ID])])
        .delete(&[row(Name::DeleteObjectAnnotation, &[Action::DeleteObjectAnnotation])
            .needs(&[Need::Parameter("annotationName")])
            .with(&["annotationName", VERSION_ID])]),
    flag("attributes").get(&[row(
        Name::GetObjectAttributes,
        &[Action::GetObject, Action::GetObjectAttributes],
    )
    .version(&[Action::GetObjectVersion, Action::GetObjectVersionAttributes])]),
    flag("encryption")
        .put(&[row(Name::UpdateObjectEncryption, &[Action::UpdateObjectEncryption])
            .with(&[VERSION_ID])]),
    flag("legal-hold")
        .get(&[row(Name::GetObjectLegalHold, &[Action::GetObjectLegalHold]).with(&[VERSION_ID])])
        .put(&[row(Name::PutObjectLegalHold, &[Action::PutObjectLegalHold]).with(&[VERSION_ID])]),
    // Amazon's directory buckets have it; other stores overwrite the object.
    flag("renameObject"),
    flag("restore").post(&[row(Name::RestoreObject, &[Action::RestoreObject]).with(&[VERSION_ID])]),
    flag("retention")
        .get(&[row(Name::GetObjectRetention, &[Action::GetObjectRetention]).with(&[VERSION_ID])])
        .put(&[row(Name::PutObjectRetention, &[Action::PutObjectRetention]).with(&[VERSION_ID])]),
    flag("select").post(&[row(Name::SelectObjectContent, &[Action::GetObject])
        .needs(&[Need::Value("select-type", "2")])
        .with(&["select-type"])]),
    flag("tagging")
        .get(&[row(Name::GetObjectTagging, &[Action::GetObjectTagging])
            .version(&[Action::GetObjectVersionTagging])])
        .put(&[row(Name::PutObjectTagging, &[Action::PutObjectTagging])
            .version(&[Action::PutObjectVersionTagging])])
        .delete(&[row(Name::DeleteObjectTagging, &[Action::DeleteObjectTagging])
            .version(&[Action::DeleteObjectVersionTagging])]),
    flag("torrent")
        .get(&[row(Name::GetObjectTorrent, &[Action::GetObject, Action::GetObjectTorrent])]),
    flag(UPLOAD_ID)
        .get(&[row(Name::ListParts, &[Action::ListMultipartUploadParts])
            .with(&["max-parts", "part-number-marker"])])
        .put(&[
            row(Name::UploadPartCopy, &[Action::PutObject])
                .needs(&[Need::Parameter(PART_NUMBER), Need::CopySource])
                .with(&[PART_NUMBER]),
            row(Name::UploadPart, &[Action::PutObject])
                .needs(&[Need::Parameter(PART_NUMBER)])
                .with(&[PART_NUMBER]),
        ])
        .delete(&[row(Name::AbortMultipartUpload, &[Action::AbortMultipartUpload])])
        .post(&[row(Name::CompleteMultipartUpload, &[Action::PutObject])]),
    flag("uploads").post(&[row(Name::CreateMultipartUpload, &[Action::PutObject])]),
];
