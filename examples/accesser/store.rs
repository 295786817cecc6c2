//! The object store: `s3s` on a folder, checking signatures with the same keys.

use std::{error::Error, path::Path};

use s3s::{Body, service::S3ServiceBuilder};
use s3s_fs::FileSystem;
use tower_credentials::s3::S3sAuth;

use crate::{
    common::backend::Keys,
    health::{self, Checked},
};

/// The store of a folder, with a health check beside it.
pub(crate) fn open(buckets: &Path, keys: Keys) -> Result<Checked<Body>, Box<dyn Error>> {
    let files = FileSystem::new(buckets).map_err(|error| format!("{error:?}"))?;
    let mut builder = S3ServiceBuilder::new(files);
    builder.set_auth(S3sAuth::new(keys));
    Ok(health::checked(builder.build()))
}
