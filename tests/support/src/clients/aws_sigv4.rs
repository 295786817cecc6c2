//! Keys with Amazon's signer, the crate `aws-sigv4`, on HTTP/2.

use bytes::Bytes;
use http::Method;

use crate::{
    clients::lifecycle::{self, Holder},
    http::Client,
    process::Program,
    signing::Signing,
};

pub async fn aws_sigv4_over_http_2_uses_a_key_of_any_origin_until_it_is_disabled(program: Program) {
    lifecycle::check_keys(program, &[], async |Holder { url, bucket, key }| {
        let holder = Signing { client: Client::http2(&url), url, key };
        let answer = holder.send(Method::GET, "", Bytes::new()).await;
        if answer.status == 403 {
            return Err(answer.text());
        }
        if !answer.expect(200).text().contains(&format!("<Name>{bucket}</Name>")) {
            holder.send(Method::PUT, &bucket, Bytes::new()).await.expect(200);
        }
        // The path is encoded once, and signed in that form.
        let object = format!("{bucket}/fo%20lder/%C3%BC%2B~/.x/x");
        holder.send(Method::PUT, &object, Bytes::from_static(b"one")).await.expect(200);
        assert_eq!(holder.send(Method::GET, &object, Bytes::new()).await.expect(200).text(), "one");

        let content = Bytes::from(vec![b'a'; 150_000]);
        holder.send_in_chunks(&object, &content, false).await.expect(200);
        let answer = holder.send(Method::GET, &object, Bytes::new()).await.expect(200);
        assert!(answer.body == content);
        // A body with a changed chunk is rejected, and not stored.
        let answer = holder.send_in_chunks(&object, &content, true).await;
        assert!(answer.status.is_client_error() || answer.status.is_server_error(), "{answer:?}");
        let answer = holder.send(Method::GET, &object, Bytes::new()).await.expect(200);
        assert!(answer.body == content);
        Ok(())
    })
    .await;
}
