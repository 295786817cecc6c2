//! What is checked of every request that is signed, before its body is read.

use example_support::backend::Keys;
use http::{HeaderMap, header};
use s3s::{
    S3Result,
    access::{S3Access, S3AccessContext},
    s3_error,
};
use tower_credentials::{async_trait, backend::KeySource, domain::AccessKey};

/// How large a body may be that is not an object's content: a thousand keys in XML.
pub(crate) const LONGEST_DOCUMENT: usize = 4 << 20;

/// Operations whose body is the content of an object.
const OF_CONTENT: [&str; 3] = ["PostObject", "PutObject", "UploadPart"];

/// Admits keys that are for a project. A key without one reaches no project's data.
#[derive(Clone, Debug)]
pub(crate) struct Access(pub(crate) Keys);

#[async_trait]
impl S3Access for Access {
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        let denied = || s3_error!(AccessDenied, "Access Denied");
        let signer = context.credentials().ok_or_else(denied)?;
        let access_key = AccessKey::from_stored(signer.access_key.as_str());
        // It was looked up a moment ago, to verify the signature.
        let found = self.0.find(&access_key).await.map_err(|error| {
            tracing::error!(%error, "key lookup failed");
            s3_error!(ServiceUnavailable)
        })?;
        let project = found.as_ref().and_then(|credential| credential.project_id.as_ref());
        project.ok_or_else(denied)?;
        // `s3s` would say that it failed.
        let is_document = !OF_CONTENT.contains(&context.s3_op().name());
        if is_document && length(context.headers()) > LONGEST_DOCUMENT {
            return Err(s3_error!(EntityTooLarge));
        }
        Ok(())
    }
}

/// The length that a request declares for its body.
fn length(headers: &HeaderMap) -> usize {
    let declared = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    declared.and_then(|text| text.parse().ok()).unwrap_or(0)
}
