//! Uploads by forms, as browsers send them. The layer has checked the form's policy and
//! hands over the file alone as the body.

use std::error::Error;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use http_body::Body;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tower_credentials::s3::PostForm;

use crate::{
    fault::Answer,
    gateway::{Call, done},
    objects,
    xml::Xml,
};

/// Puts the file where the form says, and answers as it wants to be answered.
pub async fn post<B>(call: &Call<'_>, form: &PostForm, bucket: &str, body: B) -> Answer
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let key = form.key();
    // The fields stand for the headers of an upload by `PUT`.
    let headers = &headers_of(form);
    let stored = objects::put(&Call { headers, ..*call }, bucket, key, body).await?;
    let etag = stored.headers().get(header::ETAG).and_then(|etag| etag.to_str().ok());
    let etag = etag.unwrap_or_default();
    let location = format!("/{bucket}/{}", encoded(key));
    if let Some(target) = form.field("success_action_redirect").and_then(|uri| uri.parse().ok()) {
        let target = with_result(&target, bucket, key, etag);
        if let Ok(target) = HeaderValue::try_from(target) {
            let mut answer = done(StatusCode::SEE_OTHER);
            answer.headers_mut().insert(header::LOCATION, target);
            return Ok(answer);
        }
    }
    let mut answer = match form.field("success_action_status") {
        Some("200") => done(StatusCode::OK),
        Some("201") => {
            let document = Xml::document("PostResponse", |result| {
                result.text("Location", &location);
                result.text("Bucket", bucket);
                result.text("Key", key);
                result.text("ETag", etag);
            });
            let mut answer = document.into_response();
            *answer.status_mut() = StatusCode::CREATED;
            answer
        }
        _ => done(StatusCode::NO_CONTENT),
    };
    objects::insert(answer.headers_mut(), header::ETAG, etag);
    objects::insert(answer.headers_mut(), header::LOCATION, &location);
    Ok(answer)
}

fn headers_of(form: &PostForm) -> HeaderMap {
    let header = |(name, value)| {
        Some((HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?))
    };
    form.fields().filter_map(header).collect()
}

/// Where the browser is sent, with what became of its upload in the query.
fn with_result(target: &Uri, bucket: &str, key: &str, etag: &str) -> String {
    let separator = if target.query().is_some() { '&' } else { '?' };
    let (bucket, key, etag) = (encoded(bucket), encoded(key), encoded(etag));
    format!("{target}{separator}bucket={bucket}&key={key}&etag={etag}")
}

fn encoded(text: &str) -> impl std::fmt::Display {
    utf8_percent_encode(text, NON_ALPHANUMERIC)
}
