//! Parameters that are malformed, and requests that are too large.

use http::Request;
use http_body_util::Full;

use crate::front::{Client, Front, HOST, STS, form, post};

/// Sends a body to STS, signed.
async fn send(front: &Front, body: &str) -> crate::front::Answer {
    front.send(front.sign(&Client::alice(), "sts", post("/", body))).await
}

fn with(rest: &str) -> String {
    format!("Action=AssumeRole&Version={STS}{rest}")
}

#[tokio::test]
async fn spaces_are_plus_or_escaped() {
    let front = Front::new().await;
    let policy = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/a b"}}"#;
    for space in ["+", "%20"] {
        let escaped = form(&[("Policy", policy)]).replace("%20", space);
        let session = send(&front, &with(&format!("&{escaped}"))).await.issued();
        assert!(front.admits(&session, "GET", "/b/a%20b").await);
        assert!(!front.admits(&session, "GET", "/b/a%2Bb").await);
    }
}

#[tokio::test]
async fn malformed_parameters_are_refused() {
    let front = Front::new().await;
    send(&front, &with("&&RoleSessionName=ab&")).await.issued();
    for bad in [
        "&RoleSessionName=ab&RoleSessionName=ab",
        "&RoleSessionName=ab&Role%53essionName=cd",
        "&RoleSessionName=%zz",
        "&RoleSessionName=%f",
        "&RoleSessionName=%ff%fe",
        "&RoleSessionName=a",
        "&RoleSessionName=",
        "&RoleSessionName=a%20b",
        "&RoleSessionName=a%2Fb",
        "&RoleSessionName=%C3%A4b",
        "&RoleArn=arn:short",
        "&ExternalId=x",
        "&SourceIdentity=x",
        "&SourceIdentity=aws:x",
        "&Tags.member.0.Key=a&Tags.member.0.Value=b",
        "&Tags.member.2.Key=a&Tags.member.2.Value=b",
        "&Tags.member.01.Key=a&Tags.member.01.Value=b",
        "&Tags.member.1.Key=a",
        "&Tags.member.1.Value=a",
        "&Tags.member.1.Key=a&Tags.member.1.Value=b&Tags.member.1.Other=c",
        "&Tags.member.1=a",
        "&Tags.1.Key=a&Tags.1.Value=b",
        "&Tags.member.1.Key=a&Tags.member.1.Value=b&Tags.member.2.Key=A&Tags.member.2.Value=c",
        "&Tags.member.1.Key=%3C&Tags.member.1.Value=b",
        "&Tags.member.51.Key=a&Tags.member.51.Value=b",
        "&Tags.member.99999999999999999999.Key=a",
        "&TransitiveTagKeys.member.1=unknown",
    ] {
        send(&front, &with(bad)).await.refused(400, "ValidationError");
    }
    let many: Vec<String> = (0..300).map(|number| format!("&p{number}=x")).collect();
    let many = many.concat();
    send(&front, &with(&many)).await.refused(400, "ValidationError");
}

#[tokio::test]
async fn action_and_version_must_be_right() {
    let front = Front::new().await;
    for (body, code) in [
        (String::new(), "MissingAction"),
        (format!("Action=&Version={STS}"), "MissingAction"),
        (format!("action=AssumeRole&Version={STS}"), "MissingAction"),
        ("Action=AssumeRole".into(), "InvalidAction"),
        ("Action=AssumeRole&Version=2010-05-08".into(), "InvalidAction"),
        (format!("Action=assumerole&Version={STS}"), "InvalidAction"),
        (format!("Action=AssumeRoleWithLDAPIdentity&Version={STS}"), "InvalidAction"),
        (format!("Action=GetAccessKeyInfo&Version={STS}"), "InvalidAction"),
        (format!("Action=%3Cscript%3E&Version={STS}"), "InvalidAction"),
    ] {
        let answer = send(&front, &body).await;
        answer.refused(400, code);
        assert!(!answer.body.contains("<script>"), "{}", answer.body);
    }
}

#[tokio::test]
async fn parameters_of_a_signed_request_are_a_form_in_its_body() {
    let front = Front::new().await;
    let client = Client::alice();
    let identity = form(&[("Action", "GetCallerIdentity"), ("Version", STS)]);
    let both = front.sign(&client, "sts", post(&format!("/?{identity}"), "UserName=bob"));
    front.send(both).await.refused(400, "ValidationError");
    // A log of URLs would contain the policy of a session.
    let in_query = front.sign(&client, "sts", post(&format!("/?{identity}"), ""));
    front.send(in_query).await.refused(400, "ValidationError");
    let mut json = post("/", &identity);
    json.headers_mut().insert("content-type", "application/json".parse().unwrap());
    front.send(front.sign(&client, "sts", json)).await.refused(400, "ValidationError");
    let get = Request::get(format!("/?{identity}")).header("host", HOST);
    let get = front.sign(&client, "sts", get.body(Full::default()).unwrap());
    front.send(get).await.refused(400, "InvalidAction");
}

#[tokio::test]
async fn body_of_112_kib_is_read_and_one_byte_more_is_not() {
    let front = Front::new().await;
    let start = with("&Unknown=");
    let largest = format!("{start}{}", "x".repeat(114_688 - start.len()));
    send(&front, &largest).await.issued();
    let answer = send(&front, &format!("{largest}x")).await;
    answer.refused(413, "RequestEntityTooLarge");
}
