//! The short form of a boundary, and the document that it stands for.

use serde_json::{Map, Value, json};

use super::{error::BoundaryError, json::Json};
use crate::operation::{S3Action as Action, is_bucket, is_strict_key};

/// A boundary in the short form.
#[derive(Clone, Debug)]
pub(super) struct ShortForm<'a> {
    permission: Permission,
    buckets: Vec<&'a str>,
    prefixes: Vec<&'a str>,
    objects: Vec<&'a str>,
    list_buckets: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Permission {
    Read,
    ReadWrite,
    Write,
}

const BUCKET: &[Action] = &[Action::GetBucketLocation, Action::HeadBucket];
const LIST: &[Action] =
    &[Action::ListBucket, Action::ListBucketMultipartUploads, Action::ListBucketVersions];
const READ: &[Action] = &[
    Action::GetObject,
    Action::GetObjectAttributes,
    Action::GetObjectTagging,
    Action::GetObjectVersion,
    Action::GetObjectVersionAttributes,
    Action::GetObjectVersionTagging,
];
const WRITE: &[Action] = &[
    Action::AbortMultipartUpload,
    Action::ListMultipartUploadParts,
    Action::PutObject,
    Action::PutObjectTagging,
];
const DELETE: &[Action] = &[Action::DeleteObject, Action::DeleteObjectTagging];

impl<'a> ShortForm<'a> {
    /// Parses the members of a boundary.
    pub(super) fn parse(members: &'a [(String, Json)], place: &str) -> Result<Self, BoundaryError> {
        let error = |name: &str, reason| BoundaryError::new(format!("{place}.{name}"), reason);
        let (mut permission, mut list_buckets) = (None, false);
        let [mut buckets, mut prefixes, mut objects] = [const { None }; 3];
        for (name, value) in members {
            let list = || texts(value).map_err(|reason| error(name, reason));
            match (&**name, value) {
                ("permission", Json::Text(text)) => {
                    permission = Some(match &**text {
                        "read" => Permission::Read,
                        "read-write" => Permission::ReadWrite,
                        "write" => Permission::Write,
                        _ => return Err(error(name, "not read, write or read-write")),
                    });
                }
                ("buckets", _) => buckets = Some(list()?),
                ("prefixes", _) => prefixes = Some(list()?),
                ("objects", _) => objects = Some(list()?),
                ("list_buckets", Json::Bool(value)) => list_buckets = *value,
                ("permission" | "list_buckets", _) => return Err(error(name, "of a wrong type")),
                _ => return Err(error(name, "unknown member")),
            }
        }
        let permission = permission.ok_or(error("permission", "missing"))?;
        let buckets: Vec<&str> = buckets.ok_or(error("buckets", "missing"))?;
        let is_all = buckets == ["*"];
        if is_all && (prefixes.is_some() || objects.is_some()) {
            return Err(error("buckets", "prefixes and objects need named buckets"));
        }
        if !is_all && !buckets.iter().all(|bucket| is_bucket(bucket)) {
            return Err(error("buckets", "not the name of a bucket"));
        }
        let (prefixes, objects) = (prefixes.unwrap_or_default(), objects.unwrap_or_default());
        for (name, keys) in [("prefixes", &prefixes), ("objects", &objects)] {
            if !keys.iter().all(|key| !key.is_empty() && is_strict_key(key)) {
                return Err(error(
                    name,
                    "a key must not be empty, or have empty segments, dot segments, backslashes or \
                     control characters",
                ));
            }
        }
        Ok(Self { permission, buckets, prefixes, objects, list_buckets })
    }

    /// Returns the document that the boundary stands for. Equal boundaries have equal documents.
    pub(super) fn document(&self) -> Value {
        let Self { permission, buckets, prefixes, objects, list_buckets } = self;
        let is_all = *buckets == ["*"];
        let arn = |name: &str| format!("arn:aws:s3:::{name}");
        let bucket_arns: Vec<String> = buckets.iter().map(|bucket| arn(bucket)).collect();
        let mut statements = Vec::new();
        if *list_buckets {
            let all = vec![arn("*")];
            statements.push(statement("Buckets", &[&[Action::ListAllMyBuckets]], all));
        }
        statements.push(statement("Bucket", &[BUCKET], bucket_arns.clone()));
        let is_whole = prefixes.is_empty() && objects.is_empty();
        if *permission != Permission::Write && (is_whole || !prefixes.is_empty()) {
            let mut list = statement("List", &[LIST], bucket_arns);
            if !prefixes.is_empty() {
                let patterns: Vec<_> =
                    prefixes.iter().map(|prefix| format!("{}*", escaped(prefix))).collect();
                list.insert("Condition".into(), json!({"StringLike": {"s3:prefix": patterns}}));
            }
            statements.push(list);
        }
        let mut keys: Vec<String> =
            prefixes.iter().map(|prefix| format!("{}*", escaped(prefix))).collect();
        keys.extend(objects.iter().map(|object| escaped(object)));
        if is_whole {
            keys.push("*".to_owned());
        }
        let of_bucket = |bucket: &&str| {
            let bucket = if is_all { "*" } else { *bucket };
            keys.iter().map(|key| arn(&format!("{bucket}/{key}"))).collect::<Vec<_>>()
        };
        let actions: &[&[Action]] = match permission {
            Permission::Read => &[READ],
            Permission::ReadWrite => &[READ, WRITE, DELETE],
            Permission::Write => &[WRITE],
        };
        let objects = buckets.iter().flat_map(of_bucket).collect();
        statements.push(statement("Objects", actions, objects));
        json!({"Version": "2012-10-17", "Statement": statements})
    }
}

fn statement(sid: &str, actions: &[&[Action]], resources: Vec<String>) -> Map<String, Value> {
    let mut names: Vec<String> =
        actions.concat().iter().map(|action| format!("s3:{action}")).collect();
    names.sort_unstable();
    [
        ("Sid".to_owned(), sid.into()),
        ("Effect".to_owned(), "Allow".into()),
        ("Action".to_owned(), names.into()),
        ("Resource".to_owned(), resources.into()),
    ]
    .into_iter()
    .collect()
}

/// Escapes what a pattern of a document would not take as it is.
fn escaped(key: &str) -> String {
    let mut escaped = String::with_capacity(key.len());
    for character in key.chars() {
        match character {
            '*' | '?' | '$' => escaped.extend(['$', '{', character, '}']),
            _ => escaped.push(character),
        }
    }
    escaped
}

/// Returns the texts of a list that is not empty.
fn texts(value: &Json) -> Result<Vec<&str>, &'static str> {
    fn text(value: &Json) -> Option<&str> {
        match value {
            Json::Text(text) => Some(text),
            _ => None,
        }
    }
    let Json::List(values) = value else { return Err("not a list") };
    let texts: Option<Vec<&str>> = values.iter().map(text).collect();
    texts.filter(|texts| !texts.is_empty()).ok_or("empty, or not a list of strings")
}
