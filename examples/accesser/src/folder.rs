//! `s3s-fs` with additional checks.
//!
//! `s3s-fs` resolves keys as paths, and fails or panics on some input. This file has all operations
//! of `s3s-fs` with the missing checks. Other operations are not implemented.

use std::{
    error::Error,
    fs::Metadata,
    io::ErrorKind,
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
use tower_credentials::{async_trait, operation::S3OperationName};

use crate::{
    checks::{BodyWatch, check_delimiter, check_derived_names, check_key, check_number},
    uploader::by_stored_key,
};

/// The maximum number of keys in a delete request.
const MAX_DELETED_KEYS: usize = 1_000;

type Response<T> = S3Result<S3Response<T>>;

/// The operations of [`Folder`], and forms, which `s3s` turns into `PutObject`.
pub(crate) const OPERATIONS: [S3OperationName; 20] = [
    S3OperationName::AbortMultipartUpload,
    S3OperationName::CompleteMultipartUpload,
    S3OperationName::CopyObject,
    S3OperationName::CreateBucket,
    S3OperationName::CreateMultipartUpload,
    S3OperationName::DeleteBucket,
    S3OperationName::DeleteObject,
    S3OperationName::DeleteObjects,
    S3OperationName::GetBucketLocation,
    S3OperationName::GetObject,
    S3OperationName::HeadBucket,
    S3OperationName::HeadObject,
    S3OperationName::ListBuckets,
    S3OperationName::ListObjects,
    S3OperationName::ListObjectsV2,
    S3OperationName::ListParts,
    S3OperationName::PostObject,
    S3OperationName::PutObject,
    S3OperationName::UploadPart,
    S3OperationName::UploadPartCopy,
];

/// Buckets in a folder.
#[derive(Debug)]
pub(crate) struct Folder {
    files: FileSystem,
    root: PathBuf,
    /// Locked exclusively while objects are removed, shared while an operation reads an object
    /// repeatedly: `s3s-fs` fails if the object is removed between two reads.
    removal: RwLock<()>,
}

impl Folder {
    pub(crate) fn open(root: &Path) -> Result<Self, Box<dyn Error>> {
        let files = FileSystem::new(root).map_err(|error| format!("{error:?}"))?;
        Ok(Self { files, root: root.to_owned(), removal: RwLock::default() })
    }

    /// Looks up a key.
    async fn entry(&self, bucket: &str, key: &str) -> S3Result<Entry> {
        // A checked key is a path below the bucket's folder.
        check_key(key)?;
        let bucket = self.root.join(bucket);
        match tokio::fs::metadata(bucket.join(key)).await {
            Ok(found) if found.is_dir() => Ok(Entry::Folder),
            Ok(found) => Ok(Entry::Object(found)),
            Err(error) if error.kind() == ErrorKind::NotADirectory => Ok(Entry::BelowObject),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let exists = tokio::fs::metadata(bucket).await.is_ok();
                if exists { Ok(Entry::Nothing) } else { Err(s3_error!(NoSuchBucket)) }
            }
            Err(error) => Err(S3Error::internal_error(error)),
        }
    }

    /// The metadata of an object.
    async fn object(&self, bucket: &str, key: &str) -> S3Result<Metadata> {
        match self.entry(bucket, key).await? {
            Entry::Object(found) => Ok(found),
            Entry::BelowObject | Entry::Folder | Entry::Nothing => Err(s3_error!(NoSuchKey)),
        }
    }

    /// Checks that an object can be written.
    async fn check_writable(&self, bucket: &str, key: &str, is_multipart: bool) -> S3Result<()> {
        match self.entry(bucket, key).await? {
            Entry::Nothing | Entry::Object(_) => check_derived_names(bucket, key, is_multipart),
            Entry::BelowObject | Entry::Folder => Err(s3_error!(
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

    /// Checks that a part was uploaded.
    /// Checks that this key began an upload. `s3s-fs` checks it for the other operations on parts.
    async fn check_upload(&self, upload: &str, signer: Option<&str>) -> S3Result<()> {
        let name = format!(".upload-{upload}.json");
        let is_name = !upload.contains(['/', '\\']);
        let began = match tokio::fs::read(self.root.join(name)).await {
            Ok(began) if is_name => began,
            Err(error) if is_name && error.kind() != ErrorKind::NotFound => {
                return Err(S3Error::internal_error(error));
            }
            _ => return Err(s3_error!(NoSuchUpload)),
        };
        // The file is the access key as JSON. Access keys have no character that JSON escapes but
        // quotes and backslashes.
        let quoted = |key: &str| format!("\"{}\"", key.replace('\\', "\\\\").replace('"', "\\\""));
        if signer.map(quoted).is_some_and(|signer| signer.as_bytes() == began) {
            return Ok(());
        }
        Err(s3_error!(AccessDenied))
    }

    async fn check_part(&self, upload: &str, number: Option<i32>) -> S3Result<()> {
        // `s3s-fs` rejects other ids.
        let is_id = |id: &str| id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        let Some(number) = number.filter(|_| is_id(upload)) else { return Ok(()) };
        let part = self.root.join(format!(".upload_id-{upload}.part-{number}"));
        match tokio::fs::metadata(part).await {
            Err(error) if error.kind() == ErrorKind::NotFound => Err(s3_error!(InvalidPart)),
            Err(error) => Err(S3Error::internal_error(error)),
            Ok(_) => Ok(()),
        }
    }
}

/// What is at a key.
#[derive(Debug)]
enum Entry {
    /// Nothing: a parent of the key is an object.
    BelowObject,
    /// A folder with the objects below the key.
    Folder,
    Nothing,
    Object(Metadata),
}

#[async_trait]
impl S3 for Folder {
    async fn create_bucket(
        &self,
        request: S3Request<CreateBucketInput>,
    ) -> Response<CreateBucketOutput> {
        self.files.create_bucket(request).await
    }

    async fn delete_bucket(
        &self,
        request: S3Request<DeleteBucketInput>,
    ) -> Response<DeleteBucketOutput> {
        let _removal = self.removal.write().await;
        self.files.delete_bucket(request).await
    }

    async fn get_bucket_location(
        &self,
        request: S3Request<GetBucketLocationInput>,
    ) -> Response<GetBucketLocationOutput> {
        self.files.get_bucket_location(request).await
    }

    async fn head_bucket(&self, request: S3Request<HeadBucketInput>) -> Response<HeadBucketOutput> {
        self.files.head_bucket(request).await
    }

    async fn list_buckets(
        &self,
        request: S3Request<ListBucketsInput>,
    ) -> Response<ListBucketsOutput> {
        self.files.list_buckets(request).await
    }

    async fn list_objects(
        &self,
        mut request: S3Request<ListObjectsInput>,
    ) -> Response<ListObjectsOutput> {
        check_delimiter(&mut request.input.delimiter)?;
        let _removal = self.removal.read().await;
        self.files.list_objects(request).await
    }

    async fn list_objects_v2(
        &self,
        mut request: S3Request<ListObjectsV2Input>,
    ) -> Response<ListObjectsV2Output> {
        check_delimiter(&mut request.input.delimiter)?;
        let _removal = self.removal.read().await;
        self.files.list_objects_v2(request).await
    }

    async fn get_object(
        &self,
        mut request: S3Request<GetObjectInput>,
    ) -> Response<GetObjectOutput> {
        let input = &mut request.input;
        let _removal = self.removal.read().await;
        let found = self.object(&input.bucket, &input.key).await?;
        // A suffix that is longer than the object selects all of it.
        if let Some(Range::Suffix { length }) = &mut input.range {
            *length = found.len().min(*length);
        }
        self.files.get_object(request).await
    }

    async fn head_object(&self, request: S3Request<HeadObjectInput>) -> Response<HeadObjectOutput> {
        let _removal = self.removal.read().await;
        self.object(&request.input.bucket, &request.input.key).await?;
        self.files.head_object(request).await
    }

    async fn put_object(
        &self,
        mut request: S3Request<PutObjectInput>,
    ) -> Response<PutObjectOutput> {
        self.check_writable(&request.input.bucket, &request.input.key, false).await?;
        let body = BodyWatch::default();
        request.input.body = body.watch(request.input.body.take());
        body.blame_client(self.files.put_object(request).await)
    }

    async fn copy_object(&self, request: S3Request<CopyObjectInput>) -> Response<CopyObjectOutput> {
        let input = &request.input;
        let _removal = self.removal.read().await;
        self.check_source(&input.copy_source).await?;
        self.check_writable(&input.bucket, &input.key, false).await?;
        self.files.copy_object(request).await
    }

    async fn delete_object(
        &self,
        request: S3Request<DeleteObjectInput>,
    ) -> Response<DeleteObjectOutput> {
        let _removal = self.removal.write().await;
        match self.entry(&request.input.bucket, &request.input.key).await? {
            Entry::Object(_) => self.files.delete_object(request).await,
            Entry::BelowObject | Entry::Folder | Entry::Nothing => {
                Ok(S3Response::new(DeleteObjectOutput::default()))
            }
        }
    }

    async fn delete_objects(
        &self,
        mut request: S3Request<DeleteObjectsInput>,
    ) -> Response<DeleteObjectsOutput> {
        let input = &mut request.input;
        if input.delete.objects.len() > MAX_DELETED_KEYS {
            return Err(s3_error!(MalformedXML));
        }
        let _removal = self.removal.write().await;
        // Checks all keys first: a rejected request deletes nothing.
        let mut absent = Vec::new();
        for object in std::mem::take(&mut input.delete.objects) {
            match self.entry(&input.bucket, &object.key).await? {
                Entry::Object(_) => input.delete.objects.push(object),
                Entry::BelowObject | Entry::Folder | Entry::Nothing => {
                    let (key, version_id) = (Some(object.key), object.version_id);
                    absent.push(DeletedObject { key, version_id, ..Default::default() });
                }
            }
        }
        let mut response = self.files.delete_objects(request).await?;
        response.output.deleted.get_or_insert_default().append(&mut absent);
        Ok(response)
    }

    async fn create_multipart_upload(
        &self,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> Response<CreateMultipartUploadOutput> {
        self.check_writable(&request.input.bucket, &request.input.key, true).await?;
        self.files.create_multipart_upload(by_stored_key(request)).await
    }

    async fn upload_part(
        &self,
        mut request: S3Request<UploadPartInput>,
    ) -> Response<UploadPartOutput> {
        check_key(&request.input.key)?;
        check_number(request.input.part_number)?;
        let body = BodyWatch::default();
        request.input.body = body.watch(request.input.body.take());
        body.blame_client(self.files.upload_part(by_stored_key(request)).await)
    }

    async fn upload_part_copy(
        &self,
        request: S3Request<UploadPartCopyInput>,
    ) -> Response<UploadPartCopyOutput> {
        check_key(&request.input.key)?;
        check_number(request.input.part_number)?;
        let _removal = self.removal.read().await;
        self.check_source(&request.input.copy_source).await?;
        self.files.upload_part_copy(by_stored_key(request)).await
    }

    async fn list_parts(&self, request: S3Request<ListPartsInput>) -> Response<ListPartsOutput> {
        check_key(&request.input.key)?;
        let request = by_stored_key(request);
        let signer = request.credentials.as_ref().map(|signer| &*signer.access_key);
        self.check_upload(&request.input.upload_id, signer).await?;
        self.files.list_parts(request).await
    }

    async fn complete_multipart_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> Response<CompleteMultipartUploadOutput> {
        let input = &request.input;
        self.check_writable(&input.bucket, &input.key, true).await?;
        let parts = input.multipart_upload.iter().flat_map(|upload| upload.parts.iter().flatten());
        for part in parts {
            self.check_part(&input.upload_id, part.part_number).await?;
        }
        self.files.complete_multipart_upload(by_stored_key(request)).await
    }

    async fn abort_multipart_upload(
        &self,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> Response<AbortMultipartUploadOutput> {
        check_key(&request.input.key)?;
        self.files.abort_multipart_upload(by_stored_key(request)).await
    }
}
