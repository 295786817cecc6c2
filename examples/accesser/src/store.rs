//! The object store: `s3s` on a folder, which checks signatures with the same keys.

use std::{error::Error, path::Path, sync::Arc};

use crate::{
    folder::{Folder, OPERATIONS},
    uploader,
};
use example_support::{backend::Keys, identities::Identities};
use http::{HeaderMap, Method, Request, Response, header};
use hyper::body::Incoming;
use s3s::{
    Body, HttpError, S3Request, S3Result,
    access::{S3Access, S3AccessContext},
    config::{S3Config, StaticConfigProvider},
    dto::DeleteObjectsInput,
    s3_error,
    service::S3ServiceBuilder,
};
use tower::{Layer, ServiceExt, service_fn, util::BoxCloneService};
use tower_credentials::{
    ResponseBody, async_trait,
    operation::S3OperationRules,
    s3::{Anonymous, S3sAccess, S3sAuth, S3sGuardLayerBuilder},
};

/// The maximum size of a body that is not the content of an object: a thousand keys in XML.
const MAX_DOCUMENT: usize = 4 << 20;

/// The maximum size of the file in a form upload, which `s3s` keeps in memory.
const MAX_FORM_FILE: u64 = 64 << 20;

/// The store as a service.
pub(crate) type Store = BoxCloneService<Request<Incoming>, Response<ResponseBody<Body>>, HttpError>;

/// Opens the store of a folder.
pub(crate) fn open(
    buckets: &Path,
    keys: Keys,
    identities: Identities,
    account_id: &str,
    guard: S3sGuardLayerBuilder,
) -> Result<Store, Box<dyn Error>> {
    let mut config = S3Config::default();
    config.xml_max_body_size = MAX_DOCUMENT;
    config.post_object_max_file_size = MAX_FORM_FILE;
    let mut builder = S3ServiceBuilder::new(Folder::open(buckets)?);
    builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(config))));
    let (auth, boundaries) = S3sAuth::new(keys).directory(identities).with_boundaries();
    builder.set_auth(auth);
    let operations = S3OperationRules::new().serve(OPERATIONS);
    let boundaries = boundaries.account_id(account_id);
    builder.set_access(Access { boundaries: boundaries.operations(operations) });
    // Checks what `s3s` does not: signature versions, lifetimes, session tokens.
    let guard = guard.anonymous(Anonymous::Refuse).build()?;
    let service = guard.layer(builder.build());
    Ok(BoxCloneService::new(service_fn(move |request: Request<Incoming>| {
        let is_head = request.method() == Method::HEAD;
        let response = service.clone().oneshot(request);
        async move {
            let response = response.await?;
            // On HTTP/2 nothing else removes the body.
            Ok::<_, HttpError>(if is_head {
                response.map(|_| ResponseBody::default())
            } else {
                response
            })
        }
    })))
}

/// Operations whose body is the content of an object.
const CONTENT_OPERATIONS: [&str; 3] = ["PostObject", "PutObject", "UploadPart"];

/// Accepts only keys with a project, within their boundaries. Runs before a request's body is read.
#[derive(Clone, Debug)]
struct Access {
    boundaries: S3sAccess,
}

#[async_trait]
impl S3Access for Access {
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        let denied = || s3_error!(AccessDenied, "Access Denied");
        let signer = context.credentials().ok_or_else(denied)?;
        let access_key = signer.access_key.clone();
        let credential = self.boundaries.signer(&access_key).await?;
        credential.project_id.as_ref().ok_or_else(denied)?;
        uploader::note(context, &credential);
        // `s3s` would report an internal error.
        let is_document = !CONTENT_OPERATIONS.contains(&context.s3_op().name());
        if is_document && content_length(context.headers()) > MAX_DOCUMENT {
            return Err(s3_error!(EntityTooLarge));
        }
        self.boundaries.check(context).await
    }

    async fn delete_objects(&self, request: &mut S3Request<DeleteObjectsInput>) -> S3Result<()> {
        self.boundaries.delete_objects(request).await
    }
}

/// The declared length of a body; 0 without one.
fn content_length(headers: &HeaderMap) -> usize {
    let declared = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    declared.and_then(|text| text.parse().ok()).unwrap_or(0)
}
