//! `s3s-fs`, asked only for what it can do.
//!
//! It resolves keys as paths, and fails or panics over input that S3 refuses or accepts. Every
//! operation that it has is here, with the checks that it lacks; others are not implemented.

use std::{
    error::Error,
    fs::Metadata,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use s3s::{
    S3, S3Error, S3Request, S3Response, S3Result,
    dto::{
        AbortMultipartUploadInput, AbortMultipartUploadOutput, CompleteMultipartUploadInput,
        CompleteMultipartUploadOutput, CopyObjectInput, CopyObjectOutput, CopySource,
        CreateBucketInput, CreateBucketOutput, CreateMultipartUploadInput,
        CreateMultipartUploadOutput, DeleteBucketInput, DeleteBucketOutput, DeleteObjectInput,
        DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput, DeletedObject,
        GetBucketLocationInput, GetBucketLocationOutput, GetObjectInput, GetObjectOutput,
        HeadBucketInput, HeadBucketOutput, HeadObjectInput, HeadObjectOutput, ListBucketsInput,
        ListBucketsOutput, ListObjectsInput, ListObjectsOutput, ListObjectsV2Input,
        ListObjectsV2Output, ListPartsInput, ListPartsOutput, PutObjectInput, PutObjectOutput,
        Range, UploadPartCopyInput, UploadPartCopyOutput, UploadPartInput, UploadPartOutput,
    },
    s3_error,
};
use s3s_fs::FileSystem;
use tokio::sync::RwLock;
use tower_credentials::async_trait;

use crate::{
    arriving::Arriving,
    checks::{At, check_delimiter, check_number},
    names,
};

/// The most keys that one request may delete.
const MOST_KEYS: usize = 1_000;

type Answer<T> = S3Result<S3Response<T>>;

/// Buckets in a folder.
#[derive(Debug)]
pub(crate) struct Folder {
    files: FileSystem,
    root: PathBuf,
    /// Held to write by what removes objects, to read by what looks at them more than once:
    /// `s3s-fs` fails if an object is gone at its second look.
    removing: RwLock<()>,
}

impl Folder {
    pub(crate) fn open(root: &Path) -> Result<Self, Box<dyn Error>> {
        let files = FileSystem::new(root).map_err(|error| format!("{error:?}"))?;
        Ok(Self { files, root: root.to_owned(), removing: RwLock::default() })
    }

    /// What is at a key.
    async fn at(&self, bucket: &str, key: &str) -> S3Result<At> {
        names::check(key)?;
        // Names that were checked are paths which stay where they are.
        let bucket = self.root.join(bucket);
        match tokio::fs::metadata(bucket.join(key)).await {
            Ok(found) if found.is_dir() => Ok(At::Folder),
            Ok(found) => Ok(At::Object(found)),
            Err(error) if error.kind() == ErrorKind::NotADirectory => Ok(At::BelowObject),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let exists = tokio::fs::metadata(bucket).await.is_ok();
                if exists { Ok(At::Nothing) } else { Err(s3_error!(NoSuchBucket)) }
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// The object at a key.
    async fn object(&self, bucket: &str, key: &str) -> S3Result<Metadata> {
        match self.at(bucket, key).await? {
            At::Object(found) => Ok(found),
            At::BelowObject | At::Folder | At::Nothing => Err(s3_error!(NoSuchKey)),
        }
    }

    /// Checks that an object can be written at a key.
    async fn check_writable(&self, bucket: &str, key: &str, in_parts: bool) -> S3Result<()> {
        match self.at(bucket, key).await? {
            At::Nothing | At::Object(_) => names::check_beside(bucket, key, in_parts),
            At::BelowObject | At::Folder => Err(s3_error!(
                InvalidRequest,
                "This server keeps objects in folders: a key and another below it cannot both \
                 be objects."
            )),
        }
    }

    async fn check_source(&self, source: &CopySource) -> S3Result<()> {
        match source {
            CopySource::Bucket { bucket, key, .. } => self.object(bucket, key).await.map(|_| ()),
            CopySource::AccessPoint { .. } | CopySource::Outpost { .. } => Ok(()),
        }
    }

    /// Checks that a part of an upload was uploaded.
    async fn check_part(&self, upload: &str, number: Option<i32>) -> S3Result<()> {
        // Others are no upload, and `s3s-fs` says so.
        let is_id = |id: &str| id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        let Some(number) = number.filter(|_| is_id(upload)) else { return Ok(()) };
        let part = self.root.join(format!(".upload_id-{upload}.part-{number}"));
        match tokio::fs::metadata(part).await {
            Err(error) if error.kind() == ErrorKind::NotFound => Err(s3_error!(InvalidPart)),
            Err(error) => Err(failed(error)),
            Ok(_) => Ok(()),
        }
    }
}

fn failed(error: io::Error) -> S3Error {
    S3Error::internal_error(error)
}

#[async_trait]
impl S3 for Folder {
    async fn create_bucket(
        &self,
        request: S3Request<CreateBucketInput>,
    ) -> Answer<CreateBucketOutput> {
        self.files.create_bucket(request).await
    }

    async fn delete_bucket(
        &self,
        request: S3Request<DeleteBucketInput>,
    ) -> Answer<DeleteBucketOutput> {
        let _removing = self.removing.write().await;
        self.files.delete_bucket(request).await
    }

    async fn get_bucket_location(
        &self,
        request: S3Request<GetBucketLocationInput>,
    ) -> Answer<GetBucketLocationOutput> {
        self.files.get_bucket_location(request).await
    }

    async fn head_bucket(&self, request: S3Request<HeadBucketInput>) -> Answer<HeadBucketOutput> {
        self.files.head_bucket(request).await
    }

    async fn list_buckets(
        &self,
        request: S3Request<ListBucketsInput>,
    ) -> Answer<ListBucketsOutput> {
        self.files.list_buckets(request).await
    }

    async fn list_objects(
        &self,
        mut request: S3Request<ListObjectsInput>,
    ) -> Answer<ListObjectsOutput> {
        check_delimiter(&mut request.input.delimiter)?;
        let _removing = self.removing.read().await;
        self.files.list_objects(request).await
    }

    async fn list_objects_v2(
        &self,
        mut request: S3Request<ListObjectsV2Input>,
    ) -> Answer<ListObjectsV2Output> {
        check_delimiter(&mut request.input.delimiter)?;
        let _removing = self.removing.read().await;
        self.files.list_objects_v2(request).await
    }

    async fn get_object(&self, mut request: S3Request<GetObjectInput>) -> Answer<GetObjectOutput> {
        let input = &mut request.input;
        let _removing = self.removing.read().await;
        let found = self.object(&input.bucket, &input.key).await?;
        // More than there is is all there is.
        if let Some(Range::Suffix { length }) = &mut input.range {
            *length = found.len().min(*length);
        }
        self.files.get_object(request).await
    }

    async fn head_object(&self, request: S3Request<HeadObjectInput>) -> Answer<HeadObjectOutput> {
        let _removing = self.removing.read().await;
        self.object(&request.input.bucket, &request.input.key).await?;
        self.files.head_object(request).await
    }

    async fn put_object(&self, mut request: S3Request<PutObjectInput>) -> Answer<PutObjectOutput> {
        self.check_writable(&request.input.bucket, &request.input.key, false).await?;
        let arriving = Arriving::default();
        request.input.body = arriving.watch(request.input.body.take());
        arriving.explain(self.files.put_object(request).await)
    }

    async fn copy_object(&self, request: S3Request<CopyObjectInput>) -> Answer<CopyObjectOutput> {
        let input = &request.input;
        let _removing = self.removing.read().await;
        self.check_source(&input.copy_source).await?;
        self.check_writable(&input.bucket, &input.key, false).await?;
        self.files.copy_object(request).await
    }

    async fn delete_object(
        &self,
        request: S3Request<DeleteObjectInput>,
    ) -> Answer<DeleteObjectOutput> {
        let _removing = self.removing.write().await;
        match self.at(&request.input.bucket, &request.input.key).await? {
            At::Object(_) => self.files.delete_object(request).await,
            At::BelowObject | At::Folder | At::Nothing => {
                Ok(S3Response::new(DeleteObjectOutput::default()))
            }
        }
    }

    async fn delete_objects(
        &self,
        mut request: S3Request<DeleteObjectsInput>,
    ) -> Answer<DeleteObjectsOutput> {
        let input = &mut request.input;
        if input.delete.objects.len() > MOST_KEYS {
            return Err(s3_error!(MalformedXML));
        }
        let _removing = self.removing.write().await;
        // All of them are looked at first: a request that is refused deletes nothing.
        let mut absent = Vec::new();
        for object in std::mem::take(&mut input.delete.objects) {
            match self.at(&input.bucket, &object.key).await? {
                At::Object(_) => input.delete.objects.push(object),
                At::BelowObject | At::Folder | At::Nothing => {
                    let (key, version_id) = (Some(object.key), object.version_id);
                    absent.push(DeletedObject { key, version_id, ..Default::default() });
                }
            }
        }
        let mut answer = self.files.delete_objects(request).await?;
        answer.output.deleted.get_or_insert_default().append(&mut absent);
        Ok(answer)
    }

    async fn create_multipart_upload(
        &self,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> Answer<CreateMultipartUploadOutput> {
        self.check_writable(&request.input.bucket, &request.input.key, true).await?;
        self.files.create_multipart_upload(request).await
    }

    async fn upload_part(
        &self,
        mut request: S3Request<UploadPartInput>,
    ) -> Answer<UploadPartOutput> {
        names::check(&request.input.key)?;
        check_number(request.input.part_number)?;
        let arriving = Arriving::default();
        request.input.body = arriving.watch(request.input.body.take());
        arriving.explain(self.files.upload_part(request).await)
    }

    async fn upload_part_copy(
        &self,
        request: S3Request<UploadPartCopyInput>,
    ) -> Answer<UploadPartCopyOutput> {
        names::check(&request.input.key)?;
        check_number(request.input.part_number)?;
        let _removing = self.removing.read().await;
        self.check_source(&request.input.copy_source).await?;
        self.files.upload_part_copy(request).await
    }

    async fn list_parts(&self, request: S3Request<ListPartsInput>) -> Answer<ListPartsOutput> {
        names::check(&request.input.key)?;
        self.files.list_parts(request).await
    }

    async fn complete_multipart_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> Answer<CompleteMultipartUploadOutput> {
        let input = &request.input;
        self.check_writable(&input.bucket, &input.key, true).await?;
        let parts = input.multipart_upload.iter().flat_map(|upload| upload.parts.iter().flatten());
        for part in parts {
            self.check_part(&input.upload_id, part.part_number).await?;
        }
        self.files.complete_multipart_upload(request).await
    }

    async fn abort_multipart_upload(
        &self,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> Answer<AbortMultipartUploadOutput> {
        names::check(&request.input.key)?;
        self.files.abort_multipart_upload(request).await
    }
}
