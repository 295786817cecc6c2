//! Uploads with HTML forms. The layer has checked the form's policy, and passes the file as the
//! body.

use std::error::Error;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use http_body::Body;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tower_credentials::s3::PostForm;

use crate::{
    fault::Outcome,
    gateway::{Call, empty_response},
    objects,
    xml::Xml,
};

/// Stores the file, and builds the response that the form requests.
pub async fn post<B>(call: &Call<'_>, form: &PostForm, bucket: &str, body: B) -> Outcome
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let key = form.key();
    // The fields replace the headers of a `PUT` request.
    let headers = &headers_of(form);
    let stored = objects::put(&Call { headers, ..*call }, bucket, key, body).await?;
    let etag = stored.headers().get(header::ETAG).and_then(|etag| etag.to_str().ok());
    let etag = etag.unwrap_or_default();
    let location = format!("/{bucket}/{}", encoded(key));
    if let Some(target) = form.field("success_action_redirect").and_then(|uri| uri.parse().ok()) {
        let target = with_result(&target, bucket, key, etag);
        if let Ok(target) = HeaderValue::try_from(target) {
            let mut response = empty_response(StatusCode::SEE_OTHER);
            response.headers_mut().insert(header::LOCATION, target);
            return Ok(response);
        }
    }
    let mut response = match form.field("success_action_status") {
        Some("200") => empty_response(StatusCode::OK),
        Some("201") => {
            let document = Xml::document("PostResponse", |result| {
                result.text("Location", &location);
                result.text("Bucket", bucket);
                result.text("Key", key);
                result.text("ETag", etag);
            });
            let mut response = document.into_response();
            *response.status_mut() = StatusCode::CREATED;
            response
        }
        _ => empty_response(StatusCode::NO_CONTENT),
    };
    objects::insert(response.headers_mut(), header::ETAG, etag);
    objects::insert(response.headers_mut(), header::LOCATION, &location);
    Ok(response)
}

fn headers_of(form: &PostForm) -> HeaderMap {
    let header = |(name, value)| {
        Some((HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?))
    };
    form.fields().filter_map(header).collect()
}

/// The redirect target, with the result of the upload in the query.
fn with_result(target: &Uri, bucket: &str, key: &str, etag: &str) -> String {
    let separator = if target.query().is_some() { '&' } else { '?' };
    let (bucket, key, etag) = (encoded(bucket), encoded(key), encoded(etag));
    format!("{target}{separator}bucket={bucket}&key={key}&etag={etag}")
}

fn encoded(text: &str) -> impl std::fmt::Display {
    utf8_percent_encode(text, NON_ALPHANUMERIC)
}
