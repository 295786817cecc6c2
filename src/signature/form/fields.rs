//! [`PostForm`]: the fields of a form, and the errors of forms.

use std::fmt;

use crate::signature::request::S3ErrorCode;

/// The placeholder for the name of the file.
const FILENAME: &str = "${filename}";

/// Error of a form that is rejected.
///
/// Repeats nothing that the client sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FormError {
    /// A condition of the policy does not hold.
    Condition,
    /// The policy has expired.
    Expired,
    /// No condition of the policy covers a field.
    ExtraField,
    /// The form is malformed, or has a duplicate field.
    Malformed,
    /// The form has no file.
    MissingFile,
    /// The form has no key.
    MissingKey,
    /// The policy is malformed.
    Policy,
    /// The signature is incomplete or malformed.
    Signature,
    /// The part before the file is too large.
    TooLarge,
}

impl FormError {
    /// Returns S3's code for the error.
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

/// A form that a browser has posted to a bucket: the fields before the file, and the file's
/// name and type.
///
/// The body of the request is the file. `Debug` shows the names of the fields only: everybody
/// who has the values of some of them can use the form.
#[derive(Clone, PartialEq, Eq)]
pub struct PostForm {
    fields: Vec<(String, String)>,
    file_name: Option<String>,
    content_type: Option<String>,
    key: String,
}

impl PostForm {
    /// Creates a form from its fields, which must not contain duplicates.
    pub(crate) fn new(
        fields: Vec<(String, String)>,
        file_name: Option<String>,
        content_type: Option<String>,
    ) -> Result<Self, FormError> {
        for (at, (name, _)) in fields.iter().enumerate() {
            if fields[..at].iter().any(|(other, _)| other.eq_ignore_ascii_case(name)) {
                return Err(FormError::Malformed);
            }
        }
        let mut form = Self { fields, file_name, content_type, key: String::new() };
        let name = form.file_name.as_deref().unwrap_or_default();
        // Some browsers send the whole path.
        let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
        form.key = form.field("key").ok_or(FormError::MissingKey)?.replace(FILENAME, name);
        if form.key.is_empty() { Err(FormError::MissingKey) } else { Ok(form) }
    }

    /// Returns the value of a field. The name may be in any case.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.fields();
        fields.find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Returns the names and values of the fields as sent, in their order, without the file.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|(name, value)| (&**name, &**value))
    }

    /// Returns the key to store the file under, which is never empty: the field `key`, with the
    /// last part of the file's name in place of each `${filename}`.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Returns the file's name as sent, with any path.
    #[must_use]
    pub fn file_name(&self) -> Option<&str> {
        self.file_name.as_deref()
    }

    /// Returns the media type sent with the file. The field `Content-Type` is independent of it.
    #[must_use]
    pub fn content_type(&self) -> Option<&str> {
        self.content_type.as_deref()
    }
}

impl fmt::Debug for PostForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.fields().map(|(name, _)| name).collect();
        f.debug_struct("PostForm")
            .field("fields", &names)
            .field("file_name", &self.file_name)
            .field("content_type", &self.content_type)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(fields: &[(&str, &str)], file_name: Option<&str>) -> Result<PostForm, FormError> {
        let fields = fields.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        PostForm::new(fields.collect(), file_name.map(Into::into), None)
    }

    #[test]
    fn filename_placeholder_is_replaced_by_the_last_part_of_the_name() {
        for (key, name, filled) in [
            ("a/b", Some("c"), "a/b"),
            ("a/${filename}", Some("b.jpg"), "a/b.jpg"),
            ("${filename}/${filename}", Some("b"), "b/b"),
            ("a/${filename}", Some("C:\\photos\\b.jpg"), "a/b.jpg"),
            ("a/${filename}", Some("../../b.jpg"), "a/b.jpg"),
            ("a/${filename}", Some("b/"), "a/"),
            ("a/${filename}", None, "a/"),
            ("${Filename}", Some("b"), "${Filename}"),
            ("${filename}", Some("${filename}"), "${filename}"),
        ] {
            assert_eq!(form(&[("key", key)], name).unwrap().key(), filled, "{key}");
        }
        for fields in [&[][..], &[("key", "")], &[("key", "${filename}")], &[("acl", "x")]] {
            assert_eq!(form(fields, None), Err(FormError::MissingKey));
        }
    }

    #[test]
    fn field_names_match_in_any_case_and_are_unique() {
        let form = form(&[("KeY", "a"), ("x-amz-meta-b", "B")], None);
        let fields: Vec<_> = form.as_ref().unwrap().fields().collect();
        assert_eq!(fields, [("KeY", "a"), ("x-amz-meta-b", "B")]);
        assert_eq!(form.unwrap().field("X-Amz-Meta-B"), Some("B"));
        let doubled = self::form(&[("key", "a"), ("acl", "x"), ("KEY", "a")], None);
        assert_eq!(doubled, Err(FormError::Malformed));
    }

    #[test]
    fn debug_shows_no_value() {
        let form = form(&[("key", "a"), ("policy", "secret"), ("signature", "secret")], Some("n"));
        let text = format!("{:?}", form.unwrap());
        assert!(text.contains("policy") && !text.contains("secret"), "{text}");
    }
}
