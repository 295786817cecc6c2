//! The object store: `s3s` on a folder, checking signatures with the same keys.

use std::{error::Error, path::Path, sync::Arc};

use crate::{
    access::{Access, LONGEST_DOCUMENT},
    folder::Folder,
};
use example_support::{
    backend::Keys,
    health::{self, Checked},
    identities::Identities,
};
use http::{Method, Request};
use hyper::body::Incoming;
use s3s::{
    Body,
    config::{S3Config, StaticConfigProvider},
    service::S3ServiceBuilder,
};
use tower::{Layer, ServiceExt, service_fn};
use tower_credentials::{
    ResponseBody,
    s3::{Anonymous, S3sAuth, S3sGuardLayer},
};

/// How large the file of a form may be, which `s3s` keeps in memory.
const LARGEST_FORM_FILE: u64 = 64 << 20;

/// The store of a folder, with a health check beside it.
pub(crate) fn open(
    buckets: &Path,
    keys: Keys,
    identities: Identities,
    signature_v2: bool,
) -> Result<Checked<ResponseBody<Body>>, Box<dyn Error>> {
    let mut config = S3Config::default();
    config.xml_max_body_size = LONGEST_DOCUMENT;
    config.post_object_max_file_size = LARGEST_FORM_FILE;
    let mut builder = S3ServiceBuilder::new(Folder::open(buckets)?);
    builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(config))));
    builder.set_auth(S3sAuth::new(keys.clone()).directory(identities));
    builder.set_access(Access(keys));
    // Checks what `s3s` does not: versions, lifetimes, session tokens.
    let guard =
        S3sGuardLayer::builder().signature_v2(signature_v2).anonymous(Anonymous::Refuse).build()?;
    let service = guard.layer(builder.build());
    Ok(health::checked(service_fn(move |request: Request<Incoming>| {
        let is_head = request.method() == Method::HEAD;
        let answer = service.clone().oneshot(request);
        async move {
            let answer = answer.await?;
            // In HTTP/2 nobody else leaves the body out.
            Ok::<_, s3s::HttpError>(if is_head {
                answer.map(|_| ResponseBody::default())
            } else {
                answer
            })
        }
    })))
}
