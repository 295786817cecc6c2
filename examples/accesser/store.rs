//! The object store: `s3s` on a folder, checking signatures with the same keys.

use std::{error::Error, path::Path};

use s3s::{
    Body, S3ErrorCode, S3Result,
    auth::{S3Auth, SecretKey},
    s3_error,
    service::S3ServiceBuilder,
};
use s3s_fs::FileSystem;
use tower_credentials::{
    async_trait,
    backend::KeySource,
    domain::{AccessKey, SecretKey as Secret},
};

use crate::{
    common::backend::Keys,
    health::{self, Checked},
};

/// The store of a folder, with a health check beside it.
pub(crate) fn open(buckets: &Path, keys: Keys) -> Result<Checked<Body>, Box<dyn Error>> {
    let files = FileSystem::new(buckets).map_err(|error| format!("{error:?}"))?;
    let mut builder = S3ServiceBuilder::new(files);
    builder.set_auth(Secrets(keys));
    Ok(health::checked(builder.build()))
}

/// Tells the store a key's secret. A change that is made here is felt at once.
struct Secrets(Keys);

#[async_trait]
impl S3Auth for Secrets {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        let access_key = AccessKey::from_stored(access_key);
        let found = self.0.find(&access_key).await.map_err(|error| {
            tracing::error!(%error, "key lookup failed");
            s3_error!(ServiceUnavailable)
        })?;
        // As in AWS, a disabled key looks like one that was never there.
        let usable = found.filter(|credential| credential.is_usable());
        let secret = usable.as_ref().and_then(|credential| credential.secret_key());
        secret
            .map(|secret: &Secret| secret.expose().into())
            .ok_or_else(|| S3ErrorCode::InvalidAccessKeyId.into())
    }
}
