//! Uploads by forms, as a browser sends them.

use std::fmt::Write;

use data_encoding::BASE64;
use http::Request;
use http_body_util::Full;
use serde_json::json;
use time::{OffsetDateTime, macros::format_description};
use tower_credentials::clock::{Clock, SystemClock};

use crate::{http::Answer, signer, signing::Signing};

impl Signing {
    /// Posts a file to a bucket by a form with these fields, all of which are signed.
    pub async fn post_form(&self, bucket: &str, fields: &[(&str, &str)], file: &str) -> Answer {
        let format = format_description!("[year][month][day]T[hour][minute][second]Z");
        let date = OffsetDateTime::from(SystemClock.now()).format(format).unwrap();
        let scope = format!("{}/us-east-1/s3/aws4_request", &date[..8]);
        let credential = format!("{}/{scope}", self.key.access);
        let mut fields = fields.to_vec();
        fields.extend([
            ("x-amz-algorithm", "AWS4-HMAC-SHA256"),
            ("x-amz-credential", &credential),
            ("x-amz-date", &date),
        ]);
        let mut conditions = vec![json!({"bucket": bucket}), json!(["starts-with", "$key", ""])];
        let exact = fields.iter().filter(|(name, _)| *name != "key");
        conditions.extend(exact.map(|(name, value)| json!(["eq", format!("${name}"), value])));
        let policy = json!({"expiration": "2099-01-01T00:00:00Z", "conditions": conditions});
        let policy = BASE64.encode(policy.to_string().as_bytes());
        let signature = signer::v4(&self.key.secret, &scope, &policy);
        fields.extend([("policy", &*policy), ("x-amz-signature", &*signature)]);
        let head = "--b\r\nContent-Disposition: form-data; name=";
        let mut body = String::new();
        for (name, value) in fields {
            let _ = write!(body, "{head}\"{name}\"\r\n\r\n{value}\r\n");
        }
        let _ = write!(body, "{head}\"file\"; filename=\"a b.txt\"\r\n\r\n{file}\r\n--b--\r\n");
        let request = Request::post(format!("{}/{bucket}", self.url))
            .header("content-type", "multipart/form-data; boundary=b");
        self.client.try_send(request.body(Full::from(body)).unwrap()).await.unwrap()
    }
}
