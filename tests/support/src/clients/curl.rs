//! Keys with curl, which can sign, on HTTP/1.1 and HTTP/2.

use std::process::Command;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use crate::{
    clients::lifecycle::{self, Holder},
    process::Program,
    tools::{bare, has, run},
};

pub async fn curl_uses_a_key_of_any_origin_until_it_is_disabled_and_after_it_is_enabled(
    program: Program,
) {
    uses_keys(program, "--http1.1").await;
}

pub async fn curl_uses_a_key_of_any_origin_over_http_2(program: Program) {
    uses_keys(program, "--http2-prior-knowledge").await;
}

async fn uses_keys(program: Program, version: &str) {
    if !has("curl that signs", Command::new("curl").args(["--aws-sigv4", "a:b", "--version"])) {
        return;
    }
    lifecycle::check_keys(program, &[], async |Holder { url, bucket, key }| {
        // The declared hash of the body is in a signed header.
        let curl = |method: &str, path: &str, body: &str, hash: &str| {
            let mut command = Command::new("curl");
            bare(&mut command).args(["-sS", "--fail-with-body", version]);
            command.args(["--aws-sigv4", "aws:amz:us-east-1:s3"]);
            command.args(["--user", &format!("{}:{}", key.access, key.secret)]);
            command.args(["-H", &format!("x-amz-content-sha256: {hash}"), "-X", method]);
            if !body.is_empty() {
                command.args(["-H", "Content-Type: text/plain", "--data-binary", body]);
            }
            command.arg(format!("{url}/{path}"));
            run(command)
        };
        let hash_of = |body: &str| HEXLOWER.encode(&Sha256::digest(body));
        let empty = hash_of("");
        let buckets = curl("GET", "", "", &empty).await?;
        if !buckets.contains(&format!("<Name>{bucket}</Name>")) {
            curl("PUT", &bucket, "", &empty).await.unwrap();
        }
        let object = format!("{bucket}/folder/object");
        curl("PUT", &object, "one", &hash_of("one")).await.unwrap();
        assert_eq!(curl("GET", &object, "", &empty).await.unwrap(), "one");
        curl("PUT", &object, "another", "UNSIGNED-PAYLOAD").await.unwrap();
        assert_eq!(curl("GET", &object, "", "UNSIGNED-PAYLOAD").await.unwrap(), "another");
        let listed = curl("GET", &format!("{bucket}?list-type=2"), "", &empty).await.unwrap();
        assert!(listed.contains("<Key>folder/object</Key>"), "{listed}");

        // A body with another hash is rejected, and not stored.
        assert!(curl("PUT", &object, "changed", &hash_of("signed")).await.is_err());
        assert_eq!(curl("GET", &object, "", &empty).await.unwrap(), "another");
        curl("DELETE", &object, "", &empty).await.unwrap();
        assert!(curl("GET", &object, "", &empty).await.unwrap_err().contains("NoSuchKey"));
        Ok(())
    })
    .await;
}
