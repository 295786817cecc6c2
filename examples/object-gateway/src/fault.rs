//! S3 errors, and their responses.

use std::borrow::Cow;

use http::{HeaderValue, Response, StatusCode, header};

use crate::{content::ContentBody, xml::Xml};

/// The result of an operation.
pub type Outcome = Result<Response<ContentBody>, Fault>;

/// An S3 error: status, code and message.
#[derive(Debug)]
pub struct Fault {
    status: StatusCode,
    code: &'static str,
    message: Cow<'static, str>,
    /// The size of the object, if a range is not satisfiable.
    size: Option<u64>,
}

impl Fault {
    pub fn access_denied() -> Self {
        Self::new(StatusCode::FORBIDDEN, "AccessDenied", "Access Denied")
    }

    pub fn bad(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    pub fn conflict(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::CONFLICT, code, message)
    }

    pub fn invalid_argument(message: impl Into<Cow<'static, str>>) -> Self {
        Self::bad("InvalidArgument", message)
    }

    pub fn invalid_range(size: u64) -> Self {
        let message = "The requested range is not satisfiable.";
        let fault = Self::new(StatusCode::RANGE_NOT_SATISFIABLE, "InvalidRange", message);
        Self { size: Some(size), ..fault }
    }

    pub fn malformed_xml() -> Self {
        Self::bad("MalformedXML", "The XML you provided was not well-formed or is not expected.")
    }

    pub fn no_space() -> Self {
        let message = "The server has no memory left for this object.";
        Self::new(StatusCode::INSUFFICIENT_STORAGE, "InsufficientStorage", message)
    }

    pub fn no_such_bucket() -> Self {
        Self::not_found("NoSuchBucket", "The specified bucket does not exist.")
    }

    pub fn no_such_key() -> Self {
        Self::not_found("NoSuchKey", "The specified key does not exist.")
    }

    pub fn no_such_upload() -> Self {
        Self::not_found("NoSuchUpload", "The specified upload does not exist.")
    }

    pub fn not_implemented() -> Self {
        let message = "This server does not implement the requested operation or parameter.";
        Self::new(StatusCode::NOT_IMPLEMENTED, "NotImplemented", message)
    }

    /// The client has the current object.
    pub fn not_modified() -> Self {
        Self::new(StatusCode::NOT_MODIFIED, "NotModified", "Not Modified")
    }

    pub fn precondition_failed() -> Self {
        let message = "At least one of the preconditions you specified did not hold.";
        Self::new(StatusCode::PRECONDITION_FAILED, "PreconditionFailed", message)
    }

    /// The response, which contains the path of the request.
    pub fn into_response(self, path: &str) -> Response<ContentBody> {
        let mut response = if self.status == StatusCode::NOT_MODIFIED {
            Response::new(ContentBody::empty())
        } else {
            let document = Xml::document("Error", |error| {
                error.text("Code", self.code);
                error.text("Message", &self.message);
                error.text("Resource", path);
            });
            document.into_response()
        };
        *response.status_mut() = self.status;
        if let Some(size) = self.size {
            let range = HeaderValue::try_from(format!("bytes */{size}"));
            response.headers_mut().extend(range.ok().map(|range| (header::CONTENT_RANGE, range)));
        }
        response
    }

    fn new(status: StatusCode, code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status, code, message: message.into(), size: None }
    }

    fn not_found(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, message)
    }
}
