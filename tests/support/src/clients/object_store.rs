//! Keys with the crate `object_store`.

use bytes::Bytes;
use object_store::{
    Error, ObjectStore, ObjectStoreExt, WriteMultipart,
    aws::{AmazonS3, AmazonS3Builder, Checksum},
    path::Path,
};

use crate::{
    clients::lifecycle::{self, Holder},
    clients::rusty_s3::Store,
    http::Client,
    process::Program,
};

pub async fn object_store_uses_a_key_of_any_origin_until_it_is_disabled(program: Program) {
    uses_keys(program, false).await;
}

pub async fn object_store_uses_a_key_with_unsigned_payloads(program: Program) {
    uses_keys(program, true).await;
}

async fn uses_keys(program: Program, unsigned: bool) {
    lifecycle::check_keys(program, &[], async |holder| {
        // The crate cannot create buckets.
        let client = Client::new(&holder.url);
        let bucket = Store::new(&client, &holder.url, &holder.bucket, &holder.key);
        if bucket.list().await.status == 404 {
            bucket.create().await.expect(200);
        }
        let store = open(&holder, unsigned);
        let (one, two, parts) = ("a/one".into(), "a/two 2".into(), "b/parts".into());
        if let Err(error) = store.put(&one, "first".into()).await {
            return Err(format!("{error:?}"));
        }
        assert_eq!(read(&store, &one).await, "first");
        assert_eq!(store.get_range(&one, 1..3).await.unwrap(), "ir");
        assert_eq!(store.head(&one).await.unwrap().size, 5);
        store.copy(&one, &two).await.unwrap();
        assert_eq!(read(&store, &two).await, "first");

        let content: Bytes = (0..=250).cycle().take(11 << 20).collect::<Vec<u8>>().into();
        let mut upload = WriteMultipart::new(store.put_multipart(&parts).await.unwrap());
        upload.put(content.clone());
        upload.finish().await.unwrap();
        assert!(read(&store, &parts).await == content);

        let listed = store.list_with_delimiter(Some(&"a".into())).await.unwrap();
        let names: Vec<_> = listed.objects.iter().map(|object| object.location.as_ref()).collect();
        assert_eq!(names, ["a/one", "a/two 2"]);
        let listed = store.list_with_delimiter(None).await.unwrap();
        assert_eq!(listed.common_prefixes, ["a".into(), "b".into()]);

        for path in [&one, &two, &parts] {
            store.delete(path).await.unwrap();
        }
        assert!(matches!(store.get(&one).await, Err(Error::NotFound { .. })));
        Ok(())
    })
    .await;
}

async fn read(store: &AmazonS3, path: &Path) -> Bytes {
    store.get(path).await.unwrap().bytes().await.unwrap()
}

fn open(holder: &Holder, unsigned: bool) -> AmazonS3 {
    let mut builder = AmazonS3Builder::new()
        .with_endpoint(&holder.url)
        .with_allow_http(true)
        .with_region("us-east-1")
        .with_bucket_name(&holder.bucket)
        .with_access_key_id(&holder.key.access)
        .with_secret_access_key(&holder.key.secret)
        .with_unsigned_payload(unsigned);
    if !unsigned {
        builder = builder.with_checksum_algorithm(Checksum::SHA256);
    }
    builder.build().unwrap()
}
