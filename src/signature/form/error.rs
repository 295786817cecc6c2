//! Why a form is refused.

use std::fmt;

use crate::signature::request::S3ErrorCode;

/// A form that cannot be taken.
///
/// Nothing that the client sent is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FormError {
    /// The policy's conditions do not hold.
    Condition,
    /// The policy has expired.
    Expired,
    /// There is a field that no condition of the policy covers.
    ExtraField,
    /// The form does not have its syntax, or a field comes twice.
    Malformed,
    /// There is no file.
    MissingFile,
    /// There is no key.
    MissingKey,
    /// The policy is no policy.
    Policy,
    /// What signs the form is incomplete or malformed.
    Signature,
    /// What comes before the file is too large.
    TooLarge,
}

impl FormError {
    /// What S3 calls it.
    pub(crate) fn code(self) -> S3ErrorCode {
        match self {
            Self::Condition | Self::Expired | Self::ExtraField => S3ErrorCode::AccessDenied,
            Self::Malformed => S3ErrorCode::MalformedPostRequest,
            Self::MissingFile => S3ErrorCode::IncorrectNumberOfFiles,
            Self::MissingKey | Self::Signature => S3ErrorCode::InvalidArgument,
            Self::Policy => S3ErrorCode::InvalidPolicyDocument,
            Self::TooLarge => S3ErrorCode::MaxPostPreDataLengthExceeded,
        }
    }
}

impl fmt::Display for FormError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Condition => "Invalid according to Policy: Policy Condition failed",
            Self::Expired => "Invalid according to Policy: Policy expired.",
            Self::ExtraField => "Invalid according to Policy: Extra input fields",
            Self::Malformed => {
                "The body of your POST request is not well-formed multipart/form-data."
            }
            Self::MissingFile => "POST requires exactly one file upload per request.",
            Self::MissingKey => "Bucket POST must contain a field named 'key'.",
            Self::Policy => {
                "The content of the form does not meet the conditions specified in the policy \
                 document."
            }
            Self::Signature => "The fields that sign the form are incomplete or malformed.",
            Self::TooLarge => "Your POST request fields preceding the upload file were too large.",
        })
    }
}
