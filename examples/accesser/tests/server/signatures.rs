//! Which signatures the store accepts: as the gateway does.

use std::time::{Duration, UNIX_EPOCH};

use http::Request;
use http_body_util::Full;
use test_support::{aws_signer::Signer, http::Answer};
use tower_credentials::clock::{Clock, SystemClock};

use crate::lab::Lab;

const PATH: &str = "/secret/x";

async fn get(lab: &Lab, change: impl FnOnce(&mut Signer)) -> Answer {
    let mut signer = lab.alice.signer(SystemClock.now());
    change(&mut signer);
    let request = Request::get(format!("{}{PATH}", lab.alice.url));
    let request = signer.sign(request.body(Full::default()).unwrap()).0;
    lab.alice.client.try_send(request).await.unwrap()
}

#[tokio::test]
async fn signature_version_2_requires_the_option_and_a_current_date() {
    let now = SystemClock.now();
    let in_2016 = UNIX_EPOCH + Duration::from_secs(1_456_789_012);
    let lab = Lab::start(&[]).await;
    lab.send_v2_at("GET", PATH, now).await.fails(400, "InvalidRequest");
    lab.send_v2_at("GET", PATH, in_2016).await.fails(400, "InvalidRequest");

    let lab = Lab::start(&["--signature-v2"]).await;
    assert_eq!(lab.send_v2_at("GET", PATH, now).await.expect(200).text(), "SECRET");
    for time in [in_2016, now - Duration::from_mins(16), now + Duration::from_mins(16)] {
        lab.send_v2_at("GET", PATH, time).await.fails(403, "RequestTimeTooSkewed");
    }
}

#[tokio::test]
async fn presigned_urls_are_valid_for_at_most_a_week() {
    let lab = Lab::start(&[]).await;
    let day = Duration::from_hours(24);
    let presigned = async |age: Duration, life: Duration| {
        get(&lab, |signer| {
            signer.time -= age;
            *signer = signer.clone().presigning(life);
        })
        .await
    };
    presigned(Duration::ZERO, 7 * day).await.expect(200);
    presigned(6 * day, 7 * day).await.expect(200);
    presigned(30 * day, 34 * day).await.fails(400, "AuthorizationQueryParametersError");
    presigned(8 * day, 7 * day).await.fails(403, "AccessDenied");
    presigned(Duration::from_mins(2), Duration::from_mins(1)).await.fails(403, "AccessDenied");
}

#[tokio::test]
async fn old_requests_session_tokens_and_other_services_are_rejected() {
    let lab = Lab::start(&[]).await;
    get(&lab, |_| {}).await.expect(200);
    get(&lab, |signer| signer.time -= Duration::from_mins(16))
        .await
        .fails(403, "RequestTimeTooSkewed");
    get(&lab, |signer| signer.service = "sts".into())
        .await
        .fails(400, "AuthorizationHeaderMalformed");
    let token = [("x-amz-security-token", "token")];
    lab.alice.send_with(http::Method::GET, &PATH[1..], &token, "").await.fails(400, "InvalidToken");
    lab.alice.get("secret/x?X-Amz-Security-Token=token").await.fails(400, "InvalidToken");
    lab.server.client().get(PATH, "").await.fails(403, "AccessDenied");
}
