//! Metrics of the AWS wires.

use std::{convert::Infallible, future::ready, sync::Arc};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use test_support::{aws_signer::Signer, clock::TestClock, records};
use tower::{Layer, ServiceExt, service_fn};
use tower_credentials::{
    CredentialLayer,
    auth::StaticTokens,
    aws::AwsWires,
    backend::{CredentialBackend, memory::MemoryBackend},
    clock::Clock,
    domain::Quota,
};

use crate::recorder::Recorded;

#[tokio::test]
async fn actions_of_aws_and_issued_sessions_are_counted() {
    let (recorded, clock, keys) =
        (Recorded::default(), TestClock::default(), MemoryBackend::default());
    let record = Arc::new(records::pair_in(
        "demo",
        "alice",
        "AKIDEXAMPLE",
        "a-secret-of-at-least-32-characters",
    ));
    keys.insert(&record, Quota::Unlimited).await.unwrap();
    let builder = CredentialLayer::builder(StaticTokens::new(), keys).aws(AwsWires::new());
    let layer = recorded.within(|| builder.clock(clock.clone()).build()).unwrap();
    let signer = |service: &str| {
        Signer::new("AKIDEXAMPLE", "a-secret-of-at-least-32-characters", clock.now())
            .service(service)
    };
    for (service, version, parameters, status) in [
        ("sts", "2011-06-15", "Action=GetSessionToken", 200),
        ("sts", "2011-06-15", "Action=GetSessionToken&DurationSeconds=1", 400),
        ("sts", "2011-06-15", "Action=GetCallerIdentity", 200),
        ("sts", "2011-06-15", "Action=Hostile%F0%9F%92%A5", 400),
        ("iam", "2010-05-08", "Action=ListAccessKeys", 200),
    ] {
        let body = format!("{parameters}&Version={version}");
        let request = Request::post("/")
            .header("host", "sts.example.org")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Full::<Bytes>::from(body.clone()))
            .unwrap();
        let (request, _) = signer(service).body(body).sign(request);
        let app =
            service_fn(|_| ready(Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))));
        let response = layer.layer(app).oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        assert_eq!(head.status.as_u16(), status, "{parameters}: {body:?}");
    }
    let requests = |dialect: &str, operation: &str, status: &str| {
        format!(
            "tower_credentials_requests_total{{dialect=\"{dialect}\",operation=\"{operation}\",\
             status=\"{status}\"}}"
        )
    };
    let counted: Vec<_> =
        recorded.used().into_iter().filter(|series| !series.contains("duration")).collect();
    assert_eq!(
        counted,
        [
            requests("aws_iam", "list_access_keys", "2xx"),
            requests("aws_sts", "get_caller_identity", "2xx"),
            requests("aws_sts", "get_session_token", "2xx"),
            requests("aws_sts", "get_session_token", "4xx"),
            requests("aws_sts", "other", "4xx"),
            "tower_credentials_sessions_issued_total{action=\"get_session_token\"}".to_owned(),
        ]
    );
}
