//! Keys with curl, which signs by itself, over HTTP/1.1 and HTTP/2.

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

pub async fn curl_does_so_over_http_2(program: Program) {
    uses_keys(program, "--http2-prior-knowledge").await;
}

async fn uses_keys(program: Program, version: &str) {
    if !has("curl that signs", Command::new("curl").args(["--aws-sigv4", "a:b", "--version"])) {
        return;
    }
    lifecycle::of_keys(program, &[], async |Holder { url, bucket, key }| {
        // What the body's hash is said to be is in a header, and that is signed.
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
        let nothing = hash_of("");
        let buckets = curl("GET", "", "", &nothing).await?;
        if !buckets.contains(&format!("<Name>{bucket}</Name>")) {
            curl("PUT", &bucket, "", &nothing).await.unwrap();
        }
        let object = format!("{bucket}/folder/object");
        curl("PUT", &object, "one", &hash_of("one")).await.unwrap();
        assert_eq!(curl("GET", &object, "", &nothing).await.unwrap(), "one");
        curl("PUT", &object, "another", "UNSIGNED-PAYLOAD").await.unwrap();
        assert_eq!(curl("GET", &object, "", "UNSIGNED-PAYLOAD").await.unwrap(), "another");
        let listed = curl("GET", &format!("{bucket}?list-type=2"), "", &nothing).await.unwrap();
        assert!(listed.contains("<Key>folder/object</Key>"), "{listed}");

        // A body that is not the signed one is refused, and not kept.
        assert!(curl("PUT", &object, "changed", &hash_of("signed")).await.is_err());
        assert_eq!(curl("GET", &object, "", &nothing).await.unwrap(), "another");
        curl("DELETE", &object, "", &nothing).await.unwrap();
        assert!(curl("GET", &object, "", &nothing).await.unwrap_err().contains("NoSuchKey"));
        Ok(())
    })
    .await;
}
