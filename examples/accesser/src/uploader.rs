//! The owner of a multipart upload.
//!
//! `s3s-fs` accepts the parts of an upload only from the access key that began it. Clients refresh
//! the credentials of their sessions during an upload, and every session has an access key of its
//! own. So an upload belongs to the stored key, from which its sessions are derived.

use s3s::{S3Request, access::S3AccessContext};
use tower_credentials::domain::{AccessKey, Credential};

/// The access key of the stored key behind a request.
#[derive(Clone, Debug)]
struct Uploader(AccessKey);

/// Notes the stored key behind a request, for [`by_stored_key`].
pub(crate) fn note(context: &mut S3AccessContext<'_>, credential: &Credential) {
    if let Some(access_key) = credential.access_key.clone() {
        context.extensions_mut().insert(Uploader(access_key));
    }
}

/// Replaces the signer of a request to an upload by the stored key behind it.
pub(crate) fn by_stored_key<T>(mut request: S3Request<T>) -> S3Request<T> {
    if let Some(Uploader(access_key)) = request.extensions.get()
        && let Some(credentials) = &mut request.credentials
    {
        access_key.as_str().clone_into(&mut credentials.access_key);
    }
    request
}
