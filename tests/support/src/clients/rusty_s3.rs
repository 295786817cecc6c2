//! Keys of every kind with a Rust S3 client, `rusty-s3`.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use rusty_s3::{
    Bucket, Credentials, S3Action, UrlStyle,
    actions::{CreateMultipartUpload, ListObjectsV2},
};

use crate::{
    http::{Answer, Client},
    keys::{self, Key, Origin},
    process::{Program, Server},
};

const HOUR: Duration = Duration::from_hours(1);

/// A bucket and a key for it. Every request is presigned.
pub struct Store {
    client: Client,
    bucket: Bucket,
    key: Credentials,
}

impl Store {
    pub fn new(client: &Client, url: &str, bucket: &str, key: &Key) -> Self {
        let bucket =
            Bucket::new(url.parse().unwrap(), UrlStyle::Path, bucket.to_owned(), "us-east-1");
        let key = Credentials::new(key.access.as_str(), key.secret.as_str());
        Self { client: client.clone(), bucket: bucket.unwrap(), key }
    }

    pub async fn create(&self) -> Answer {
        let url = self.bucket.create_bucket(&self.key).sign(HOUR);
        self.client.send(Method::PUT, url.as_str(), "").await
    }

    pub async fn put(&self, name: &str, body: impl Into<Bytes>) -> Answer {
        let url = self.put_url(name);
        self.client.send(Method::PUT, &url, body).await
    }

    pub fn put_url(&self, name: &str) -> String {
        self.bucket.put_object(Some(&self.key), name).sign(HOUR).to_string()
    }

    pub async fn get(&self, name: &str) -> Answer {
        self.client.send(Method::GET, &self.get_url(name), "").await
    }

    pub fn get_url(&self, name: &str) -> String {
        self.bucket.get_object(Some(&self.key), name).sign(HOUR).to_string()
    }

    pub async fn list(&self) -> Answer {
        let url = self.bucket.list_objects_v2(Some(&self.key)).sign(HOUR);
        self.client.send(Method::GET, url.as_str(), "").await
    }

    async fn names(&self) -> Vec<String> {
        let answer = self.list().await.expect(200);
        let listed = ListObjectsV2::parse_response(&answer.text()).unwrap();
        listed.contents.into_iter().map(|object| object.key).collect()
    }

    async fn put_in_parts(&self, name: &str, parts: &[Bytes]) {
        let url = self.bucket.create_multipart_upload(Some(&self.key), name).sign(HOUR);
        let answer = self.client.send(Method::POST, url.as_str(), "").await.expect(200);
        let upload = CreateMultipartUpload::parse_response(&answer.text()).unwrap();
        let mut tags = Vec::new();
        for (number, part) in (1..).zip(parts) {
            let id = upload.upload_id();
            let url = self.bucket.upload_part(Some(&self.key), name, number, id).sign(HOUR);
            let answer = self.client.send(Method::PUT, url.as_str(), part.clone()).await;
            let tag = answer.expect(200).headers["etag"].to_str().unwrap().to_owned();
            tags.push(tag.trim_matches('"').to_owned());
        }
        let tags = tags.iter().map(String::as_str);
        let id = upload.upload_id();
        let action = self.bucket.complete_multipart_upload(Some(&self.key), name, id, tags);
        let url = action.sign(HOUR);
        self.client.send(Method::POST, url.as_str(), action.body()).await.expect(200);
    }

    /// Checks that the key is accepted.
    async fn check_accepted(&self) {
        self.put("a/one", "first").await.expect(200);
        assert_eq!(self.get("a/one").await.expect(200).text(), "first");

        let parts = [Bytes::from(vec![b'1'; 5 << 20]), Bytes::from(vec![b'2'; 1000])];
        self.put_in_parts("a/two", &parts).await;
        assert!(self.get("a/two").await.expect(200).body == parts.concat());
        assert_eq!(self.names().await, ["a/one", "a/two"]);
    }

    /// Checks that the key is rejected.
    async fn check_rejected(&self) {
        for answer in [self.get("a/one").await, self.list().await, self.put("x", "x").await] {
            answer.refused("InvalidAccessKeyId");
        }
    }
}

pub async fn rusty_s3_uses_a_key_of_any_origin_until_it_is_disabled_and_after_it_is_enabled(
    program: Program,
) {
    let server = Server::new(program).start().await;
    let client = server.client();
    for (bucket, origin) in ["ibm", "ec2", "s3s"].into_iter().zip(Origin::ALL) {
        let key = origin.mint(&client).await;
        let store = Store::new(&client, &server.url, bucket, &key);
        store.create().await.expect(200);
        store.check_accepted().await;
        // Signed while the key is valid. The URL must not be valid longer than the key.
        let url = store.put_url("late");

        keys::set_status(&client, &key, "Inactive").await;
        store.check_rejected().await;
        client.send(Method::PUT, &url, "late").await.refused("InvalidAccessKeyId");

        keys::set_status(&client, &key, "Active").await;
        store.check_accepted().await;
        client.send(Method::PUT, &url, "late").await.expect(200);

        origin.delete(&client, &key).await;
        store.check_rejected().await;
        client.send(Method::PUT, &url, "late").await.refused("InvalidAccessKeyId");
    }
}

pub async fn unknown_key_and_wrong_secret_return_different_errors_as_in_aws(program: Program) {
    let server = Server::new(program).start().await;
    let client = server.client();
    let mut key = keys::mint(&client, "dev-alice").await;
    let store = |key: &Key| Store::new(&client, &server.url, "demo", key);
    store(&key).create().await.expect(200);

    key.secret += "x";
    store(&key).list().await.refused("SignatureDoesNotMatch");
    key.access += "x";
    store(&key).list().await.refused("InvalidAccessKeyId");
}

pub async fn signed_request_for_a_bucket_named_credentials_reaches_the_store(program: Program) {
    let server = Server::new(program).start().await;
    let client = server.client();
    let key = keys::mint(&client, "dev-alice").await;
    let store = Store::new(&client, &server.url, "credentials", &key);
    store.create().await.expect(200);
    store.put("object", "of the store").await.expect(200);
    assert_eq!(store.get("object").await.expect(200).text(), "of the store");
    assert_eq!(store.names().await, ["object"]);

    // Without a signature, the same paths belong to the API.
    let page = client.get("/credentials", "dev-alice").await.expect(200).json();
    assert_eq!(page["credentials"][0]["id"], key.access.as_str());
    client.get("/credentials", "").await.expect(401);
    client.get("/credentials/object", "dev-alice").await.expect(404);

    // A token wins over a signature.
    let signed = store.bucket.list_objects_v2(Some(&store.key)).sign(HOUR);
    let request = Request::get(signed.as_str()).header("X-Auth-Token", "dev-alice");
    let answer = client.try_send(request.body(Full::default()).unwrap()).await.unwrap();
    assert!(answer.expect(200).json()["credentials"].is_array());
}
