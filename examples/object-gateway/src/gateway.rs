//! The S3 handler: determines the project and the target of a request, and selects the operation.

use std::error::Error;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, request::Parts};
use http_body::Body;
use tower_credentials::{
    domain::ProjectId,
    operation::{S3Operation, S3OperationName, S3OperationRules},
    s3::{PostForm, VerifiedKey},
};

use crate::{
    buckets, content,
    content::ContentBody,
    fault::{Fault, Outcome},
    forms, listing, objects,
    store::Store,
    target::{Query, Target},
    uploads,
};

/// The maximum size of a body that is not the content of an object: a thousand keys in XML.
const MAX_DOCUMENT: usize = 4 << 20;

/// The operations of [`Call::on_bucket`] and [`Call::on_object`]. A request of a key with a boundary
/// reaches the gateway only if it is one of these.
const SERVED: [S3OperationName; 21] = [
    S3OperationName::AbortMultipartUpload,
    S3OperationName::CompleteMultipartUpload,
    S3OperationName::CopyObject,
    S3OperationName::CreateBucket,
    S3OperationName::CreateMultipartUpload,
    S3OperationName::DeleteBucket,
    S3OperationName::DeleteObject,
    S3OperationName::DeleteObjects,
    S3OperationName::GetBucketLocation,
    S3OperationName::GetBucketVersioning,
    S3OperationName::GetObject,
    S3OperationName::HeadBucket,
    S3OperationName::HeadObject,
    S3OperationName::ListBuckets,
    S3OperationName::ListObjects,
    S3OperationName::ListObjectsV2,
    S3OperationName::ListParts,
    S3OperationName::PostObject,
    S3OperationName::PutObject,
    S3OperationName::UploadPart,
    S3OperationName::UploadPartCopy,
];

/// How the gateway reads requests. Its keys are sequences of bytes, but other programs that use the
/// objects may resolve them as paths, so the rules for keys are strict.
pub fn operations() -> S3OperationRules {
    S3OperationRules::new().serve(SERVED)
}

/// Answers S3 requests from a store, each for the project of the key that signed it.
#[derive(Clone, Debug)]
pub struct Gateway {
    store: Store,
    base_domain: Option<String>,
}

/// A request without its body.
pub struct Call<'a> {
    pub store: &'a Store,
    /// The project of the key that signed the request.
    pub project: &'a str,
    pub query: &'a Query,
    pub headers: &'a HeaderMap,
    /// The fields of a form upload.
    pub form: Option<&'a PostForm>,
}

impl Gateway {
    /// Hosts below the base domain also name buckets.
    pub fn new(store: Store, base_domain: Option<String>) -> Self {
        Self { store, base_domain }
    }

    pub async fn respond<B>(self, request: Request<B>) -> Response<ContentBody>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let (head, body) = request.into_parts();
        let outcome = self.run(&head, body).await;
        let response = outcome.unwrap_or_else(|fault| fault.into_response(head.uri.path()));
        // On HTTP/2 nothing else removes the body.
        if head.method == Method::HEAD { response.map(|_| ContentBody::empty()) } else { response }
    }

    async fn run<B>(&self, head: &Parts, body: B) -> Outcome
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let signer: Option<&VerifiedKey> = head.extensions.get();
        let project = project_of(signer.ok_or_else(Fault::access_denied)?)?;
        let target = Target::of(head, self.base_domain.as_deref())?;
        // Of a key with a boundary, which was checked for this reading.
        if let Some(operation) = head.extensions.get::<S3Operation<'static>>() {
            target.check(operation)?;
        }
        let query = &Query::read(head.uri.query().unwrap_or_default())?;
        let call = Call {
            store: &self.store,
            project,
            query,
            headers: &head.headers,
            form: head.extensions.get(),
        };
        match target {
            Target::Service if head.method == Method::GET => Ok(buckets::list(&call)),
            Target::Service => Err(Fault::not_implemented()),
            Target::Bucket(bucket) => call.on_bucket(&head.method, &bucket, body).await,
            Target::Object(bucket, key) => call.on_object(&head.method, &bucket, &key, body).await,
        }
    }
}

impl Call<'_> {
    async fn on_bucket<B>(&self, method: &Method, bucket: &str, body: B) -> Outcome
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        match (method.as_str(), &*self.query.operation()) {
            ("GET", []) => listing::version_1(self, bucket),
            ("GET", ["list-type"]) => listing::version_2(self, bucket),
            ("GET", ["location"]) => buckets::location(self, bucket),
            ("GET", ["versioning"]) => buckets::versioning(self, bucket),
            ("HEAD", []) => buckets::head(self, bucket),
            ("PUT", []) => {
                // The document names a region; this server has only one.
                content::read(body, MAX_DOCUMENT).await?;
                buckets::create(self, bucket)
            }
            ("DELETE", []) => buckets::delete(self, bucket),
            ("POST", []) => match self.form {
                Some(form) => forms::post(self, form, bucket, body).await,
                None => Err(Fault::not_implemented()),
            },
            ("POST", ["delete"]) => {
                let document = content::read(body, MAX_DOCUMENT).await?;
                objects::delete_all(self, bucket, &document)
            }
            _ => Err(Fault::not_implemented()),
        }
    }

    async fn on_object<B>(&self, method: &Method, bucket: &str, key: &str, body: B) -> Outcome
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let copies = self.header("x-amz-copy-source");
        match (method.as_str(), &*self.query.operation(), copies) {
            ("GET" | "HEAD", [], _) => objects::get(self, bucket, key),
            ("GET", ["uploadId"], _) => uploads::list_parts(self, bucket, key),
            ("PUT", [], None) => objects::put(self, bucket, key, body).await,
            ("PUT", [], Some(source)) => objects::copy(self, source, bucket, key),
            ("PUT", ["partNumber", "uploadId"], None) => {
                uploads::put_part(self, bucket, key, body).await
            }
            ("PUT", ["partNumber", "uploadId"], Some(source)) => {
                objects::copy_part(self, source, bucket, key).await
            }
            ("POST", ["uploads"], _) => uploads::begin(self, bucket, key),
            ("POST", ["uploadId"], _) => {
                let document = content::read(body, MAX_DOCUMENT).await?;
                uploads::complete(self, bucket, key, &document)
            }
            ("DELETE", [], _) => objects::delete(self, bucket, key),
            ("DELETE", ["uploadId"], _) => uploads::abort(self, bucket, key),
            _ => Err(Fault::not_implemented()),
        }
    }

    /// The value of a header; `None` if it is not visible ASCII.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// The project of a key. A key without a project has access to nothing.
fn project_of(key: &VerifiedKey) -> Result<&str, Fault> {
    key.project_id().map(ProjectId::as_str).ok_or_else(Fault::access_denied)
}

/// A response without a body.
pub fn empty_response(status: StatusCode) -> Response<ContentBody> {
    let mut response = Response::new(ContentBody::empty());
    *response.status_mut() = status;
    response
}
