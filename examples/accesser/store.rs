//! The object store: `s3s` on a folder, checking signatures with the same keys.

use std::{error::Error, path::Path};

use http::{Method, Request, Response, header};
use hyper::body::Incoming;
use s3s::{Body, service::S3ServiceBuilder};
use s3s_fs::FileSystem;
use tower::{Service, service_fn, util::BoxCloneService};
use tower_credentials::s3::S3sAuth;

use crate::common::backend::Keys;

type BoxError = Box<dyn Error + Send + Sync>;
type Store = BoxCloneService<Request<Incoming>, Response<Body>, BoxError>;

/// The store of a folder, with a health check beside it.
pub(crate) fn open(buckets: &Path, keys: Keys) -> Result<Store, Box<dyn Error>> {
    let files = FileSystem::new(buckets).map_err(|error| format!("{error:?}"))?;
    let mut builder = S3ServiceBuilder::new(files);
    builder.set_auth(S3sAuth::new(keys));
    let store = builder.build();
    Ok(BoxCloneService::new(service_fn(move |request: Request<Incoming>| {
        let mut store = store.clone();
        async move {
            if is_health_check(&request) {
                return Ok(Response::new(Body::from(String::from("ok\n"))));
            }
            Service::call(&mut store, request).await.map_err(Into::into)
        }
    })))
}

/// `GET /healthz` by nobody in particular; a signed request is the bucket's.
fn is_health_check<B>(request: &Request<B>) -> bool {
    request.method() == Method::GET
        && request.uri().path() == "/healthz"
        && request.uri().query().is_none()
        && !request.headers().contains_key(header::AUTHORIZATION)
}
