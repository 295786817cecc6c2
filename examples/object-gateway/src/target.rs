//! Parses the target of a request: bucket, key, and query.

use http::{request::Parts, uri::Authority};
use percent_encoding::percent_decode_str;
use tower_credentials::{
    operation::{S3Operation, S3OperationName},
    signature::request::RequestHead,
};

use crate::fault::Fault;

/// The maximum length of a key in bytes.
const MAX_KEY: usize = 1_024;

/// Parameters that select an operation.
const SELECTORS: [&str; 7] =
    ["delete", "list-type", "location", "partNumber", "uploadId", "uploads", "versioning"];

/// Other parameters of the operations, and of signatures.
const OTHERS: [&str; 20] = [
    "AWSAccessKeyId",
    "Expires",
    "Signature",
    "continuation-token",
    "delimiter",
    "encoding-type",
    "fetch-owner",
    "marker",
    "max-keys",
    "max-parts",
    "part-number-marker",
    "prefix",
    "response-cache-control",
    "response-content-disposition",
    "response-content-encoding",
    "response-content-language",
    "response-content-type",
    "response-expires",
    "start-after",
    "x-id",
];

/// The target of a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Target {
    Service,
    Bucket(String),
    Object(String, String),
}

/// The parameters of a query.
#[derive(Debug)]
pub struct Query(Vec<(String, String)>);

impl Target {
    /// Takes the bucket from the host if that is below the base domain, else from the path.
    pub fn of(head: &Parts, base_domain: Option<&str>) -> Result<Self, Fault> {
        let path = head.uri.path().strip_prefix('/').ok_or_else(invalid_uri)?;
        let of_host = base_domain.and_then(|domain| bucket_of_host(head, domain));
        let (bucket, key) = if let Some(bucket) = of_host {
            (bucket, path)
        } else {
            let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
            (decoded(bucket)?, key)
        };
        let key = decoded(key)?;
        match (bucket.is_empty(), key.is_empty()) {
            (true, true) => Ok(Self::Service),
            (true, false) => Err(invalid_uri()),
            (false, true) => Ok(Self::Bucket(bucket)),
            (false, false) if key.len() > MAX_KEY => Err(key_too_long()),
            (false, false) => Ok(Self::Object(bucket, key)),
        }
    }

    /// Rejects a request if the boundary of its key was checked for another bucket or key.
    pub fn check(&self, operation: &S3Operation<'_>) -> Result<(), Fault> {
        let own = match self {
            Self::Service => (None, None),
            Self::Bucket(bucket) => (Some(&**bucket), None),
            Self::Object(bucket, key) => (Some(&**bucket), Some(&**key)),
        };
        // A form has its key in a field.
        let key = operation.key().filter(|_| operation.name() != S3OperationName::PostObject);
        if own == (operation.bucket(), key) {
            return Ok(());
        }
        tracing::error!(target = ?self, operation = %operation.name(), "two readings of a request");
        Err(Fault::access_denied())
    }

    /// Parses `x-amz-copy-source`: a bucket and a key.
    pub fn of_source(source: &str) -> Result<(String, String), Fault> {
        let invalid = || Fault::invalid_argument("x-amz-copy-source must have the form BUCKET/KEY");
        // The server has no versions.
        if source.contains("?versionId=") {
            return Err(Fault::not_implemented());
        }
        let source = decoded(source)?;
        let source = source.strip_prefix('/').unwrap_or(&source);
        let (bucket, key) = source.split_once('/').ok_or_else(invalid)?;
        if bucket.is_empty() || key.is_empty() {
            return Err(invalid());
        }
        Ok((bucket.to_owned(), key.to_owned()))
    }
}

impl Query {
    /// Parses a query. Rejects unknown parameters: one could select another operation, for example
    /// on the permissions of an object.
    pub fn read(query: &str) -> Result<Self, Fault> {
        let mut parameters = Vec::new();
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let name = decoded(&name.replace('+', " "))?;
            let known = OTHERS.contains(&&*name)
                || SELECTORS.contains(&&*name)
                || name.to_ascii_lowercase().starts_with("x-amz-");
            if !known {
                return Err(Fault::not_implemented());
            }
            parameters.push((name, decoded(&value.replace('+', " "))?));
        }
        Ok(Self(parameters))
    }

    /// The parameters that select the operation, in order.
    pub fn operation(&self) -> Vec<&'static str> {
        SELECTORS.into_iter().filter(|name| self.get(name).is_some()).collect()
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(found, _)| found == name);
        found.map(|(_, value)| value.as_str())
    }

    /// A parameter that is not empty.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.is_empty())
    }

    /// A number of at most `limit`, which is also the default.
    pub fn at_most(&self, name: &str, limit: usize) -> Result<usize, Fault> {
        let Some(text) = self.text(name) else { return Ok(limit) };
        let invalid = |_| {
            let message = format!("{name} must be an integer between 0 and {}", u32::MAX);
            Fault::invalid_argument(message)
        };
        Ok(text.parse::<u32>().map_err(invalid).map(|number| number as usize)?.min(limit))
    }
}

/// The bucket in a host below the domain.
fn bucket_of_host(head: &Parts, domain: &str) -> Option<String> {
    let host: Authority = RequestHead::from(head).host().ok()?.parse().ok()?;
    // Without the port. An IPv6 address is in brackets.
    let host = host.host().to_ascii_lowercase();
    let bucket = host.strip_suffix(&domain.to_ascii_lowercase())?.strip_suffix('.')?;
    Some(bucket.to_owned())
}

fn decoded(text: &str) -> Result<String, Fault> {
    let text = percent_decode_str(text).decode_utf8().map_err(|_| invalid_uri())?;
    Ok(text.into_owned())
}

fn invalid_uri() -> Fault {
    Fault::bad("InvalidURI", "Couldn't parse the specified URI.")
}

fn key_too_long() -> Fault {
    Fault::bad("KeyTooLongError", "Your key is too long.")
}

#[cfg(test)]
mod tests {
    use http::{Request, header::HOST};

    use super::*;

    #[test]
    fn only_a_host_below_the_base_domain_names_a_bucket() {
        let bucket = |host: &str| {
            let (head, ()) = Request::get("/").header(HOST, host).body(()).unwrap().into_parts();
            bucket_of_host(&head, "S3.example.test")
        };
        for host in ["demo.s3.example.test", "Demo.S3.Example.Test:8080"] {
            assert_eq!(bucket(host).as_deref(), Some("demo"), "{host}");
        }
        for host in ["s3.example.test", "s3.example.test:80", "[::1]", "[::1]:8080", "127.0.0.1:80"]
        {
            assert_eq!(bucket(host), None, "{host}");
        }
    }
}
