//! Form uploads with keys that have a boundary.

use serde_json::{Value, json};
use tower_credentials::{
    operation::{S3OperationName, S3OperationRules},
    signature::request::S3ErrorCode,
};

use super::one_prefix;
use crate::{forms::Form, gate::Gate};

async fn gate(boundary: &Value) -> Gate {
    let gate = Gate::new().await;
    gate.bind(boundary).await;
    gate
}

pub(crate) fn cats() -> Value {
    json!({"permission": "write", "buckets": ["photos"], "prefixes": ["cats/"]})
}

/// A form whose policy allows everything.
fn form(fields: &[(&str, &str)]) -> Form {
    let mut form = Form::new();
    let conditions = form.policy.find("[\"starts-with\"").unwrap();
    let open = r#"["starts-with", "$key", ""], ["starts-with", "$acl", ""],
        ["starts-with", "$tagging", ""], ["starts-with", "$_method", ""], ["starts-with", "$x-minio-fanout-list", ""],
        ["starts-with", "$x-amz-meta-snowball-auto-extract", ""],
        ["starts-with", "$x-amz-meta-by", ""], ["content-length-range", 1, 10],"#;
    let rest = form.policy.find("{\"x-amz-algorithm\"").unwrap();
    form.policy = format!("{}{open}{}", &form.policy[..conditions], &form.policy[rest..]);
    form.fields = fields.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    form
}

#[tokio::test]
async fn form_is_checked_by_the_key_that_the_file_gets() {
    let gate = gate(&cats()).await;
    for key in ["cats/a", "cats/${filename}"] {
        let reached = gate.send(form(&[("key", key)]).to("/photos")).await.verified();
        let operation = reached.operation.unwrap();
        assert_eq!(operation.name(), S3OperationName::PostObject);
        assert_eq!(operation.key(), Some(reached.form.unwrap().key()));
    }
    for key in ["dogs/a", "cats", "cats/../dogs/a", "cats//a", "${filename}", "/cats/a"] {
        let answer = gate.send(form(&[("key", key)]).to("/photos")).await;
        answer.refused(S3ErrorCode::AccessDenied);
    }
}

#[tokio::test]
async fn fields_of_a_form_need_what_headers_need() {
    let gate = gate(&cats()).await;
    let with = |name, value| form(&[("key", "cats/a"), (name, value)]);
    gate.send(with("acl", "private").to("/photos")).await.verified();
    gate.send(with("tagging", "<Tagging/>").to("/photos")).await.verified();
    for (name, value) in [
        ("acl", "public-read"),
        ("ACL", "public-read"),
        ("x-minio-fanout-list", "[]"),
        ("_method", "DELETE"),
        ("x-amz-meta-snowball-auto-extract", "true"),
    ] {
        let answer = gate.send(with(name, value).to("/photos")).await;
        answer.refused(S3ErrorCode::AccessDenied);
    }
}

#[tokio::test]
async fn unsigned_header_that_names_another_method_is_refused() {
    let gate = gate(&cats()).await;
    for name in ["x-http-method-override", "x-method-override", "x-http-method"] {
        let mut request = form(&[("key", "cats/a")]).to("/photos");
        request.headers_mut().insert(name, "DELETE".parse().unwrap());
        gate.send(request).await.refused(S3ErrorCode::AccessDenied);
    }
}

#[tokio::test]
async fn form_outside_the_bucket_and_form_that_the_store_does_not_serve_are_refused() {
    let gate = gate(&one_prefix()).await;
    gate.send(form(&[("key", "team/a")]).to("/photos")).await.refused(S3ErrorCode::AccessDenied);
    let operations = S3OperationRules::new().serve([S3OperationName::PutObject]);
    let gate = Gate::with(|builder| builder.operations(operations)).await;
    gate.bind(&cats()).await;
    gate.send(form(&[("key", "cats/a")]).to("/photos")).await.refused(S3ErrorCode::AccessDenied);
}
