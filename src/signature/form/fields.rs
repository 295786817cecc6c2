//! The fields of a form.

use std::fmt;

use super::error::FormError;

/// What a client writes for the name of the file.
const FILENAME: &str = "${filename}";

/// A form that a browser has sent to a bucket: what came before the file, and what was
/// said of the file.
///
/// The body of the request is the file. `Debug` tells the names of the fields alone:
/// some of them sign the form for whoever has them.
#[derive(Clone, PartialEq, Eq)]
pub struct PostForm {
    fields: Vec<(String, String)>,
    file_name: Option<String>,
    content_type: Option<String>,
    key: String,
}

impl PostForm {
    /// A form of these fields, of which none comes twice.
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
        // Some browsers tell the whole path.
        let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
        form.key = form.field("key").ok_or(FormError::MissingKey)?.replace(FILENAME, name);
        if form.key.is_empty() { Err(FormError::MissingKey) } else { Ok(form) }
    }

    /// The value of a field, whose name may be in any case.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.fields();
        fields.find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The fields' names and values, as they came and in their order, without the file.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|(name, value)| (&**name, &**value))
    }

    /// The key to store the file under, which is not empty: the field `key`, with the
    /// last part of the file's name for each `${filename}`.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The file's name as it came, with any path.
    #[must_use]
    pub fn file_name(&self) -> Option<&str> {
        self.file_name.as_deref()
    }

    /// The media type that came with the file; the field `Content-Type` is another one.
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
    fn a_key_is_filled_in_with_the_last_part_of_the_files_name() {
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
    fn names_are_the_same_in_any_case_and_come_once() {
        let form = form(&[("KeY", "a"), ("x-amz-meta-b", "B")], None);
        let fields: Vec<_> = form.as_ref().unwrap().fields().collect();
        assert_eq!(fields, [("KeY", "a"), ("x-amz-meta-b", "B")]);
        assert_eq!(form.unwrap().field("X-Amz-Meta-B"), Some("B"));
        let doubled = self::form(&[("key", "a"), ("acl", "x"), ("KEY", "a")], None);
        assert_eq!(doubled, Err(FormError::Malformed));
    }

    #[test]
    fn debug_tells_no_value() {
        let form = form(&[("key", "a"), ("policy", "secret"), ("signature", "secret")], Some("n"));
        let text = format!("{:?}", form.unwrap());
        assert!(text.contains("policy") && !text.contains("secret"), "{text}");
    }
}
