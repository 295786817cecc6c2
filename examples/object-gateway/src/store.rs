//! Buckets and objects in memory.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use http::HeaderMap;
use tower_credentials::clock::{Clock, SystemClock};

use crate::{
    content::{Budget, Content, Reserved},
    fault::Fault,
    uploads::Upload,
};

/// The memory of a bucket, an object or an upload without content: its name and its headers, whose
/// sizes are limited.
const ENTRY_SIZE: u64 = 8 << 10;

/// The buckets of all projects. Clones share them.
#[derive(Clone, Debug)]
pub struct Store {
    pub budget: Budget,
    buckets: Arc<Mutex<Buckets>>,
}

/// The buckets by name. A bucket belongs to the project of the key that created it. Keys of other
/// projects have no access.
#[derive(Debug, Default)]
pub struct Buckets(BTreeMap<String, Bucket>);

#[derive(Debug)]
pub struct Bucket {
    pub project: String,
    pub created: SystemTime,
    pub objects: BTreeMap<String, Arc<Object>>,
    pub uploads: BTreeMap<String, Upload>,
    #[expect(dead_code, reason = "keeps its memory reserved")]
    entry: Reserved,
}

#[derive(Debug)]
pub struct Object {
    pub content: Arc<Content>,
    /// With its quotes.
    pub etag: String,
    pub modified: SystemTime,
    /// The stored headers of the upload.
    pub headers: HeaderMap,
    #[expect(dead_code, reason = "keeps its memory reserved")]
    entry: Reserved,
}

impl Store {
    /// An empty store for this many bytes.
    pub fn new(bytes: u64) -> Self {
        Self { budget: Budget::new(bytes), buckets: Arc::default() }
    }

    /// Locks the buckets.
    pub fn lock(&self) -> MutexGuard<'_, Buckets> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reserves the memory of an entry.
    pub fn entry(&self) -> Result<Reserved, Fault> {
        self.budget.reserve(ENTRY_SIZE)
    }

    /// Creates a bucket of a project.
    pub fn create(&self, name: &str, project: &str) -> Result<(), Fault> {
        let mut buckets = self.lock();
        match buckets.0.get(name) {
            Some(bucket) if bucket.project == project => {
                let message = "You already own this bucket.";
                return Err(Fault::conflict("BucketAlreadyOwnedByYou", message));
            }
            Some(_) => {
                let message = "The bucket belongs to another project.";
                return Err(Fault::conflict("BucketAlreadyExists", message));
            }
            None => {}
        }
        let bucket = Bucket {
            project: project.to_owned(),
            created: SystemClock.now(),
            objects: BTreeMap::new(),
            uploads: BTreeMap::new(),
            entry: self.entry()?,
        };
        buckets.0.insert(name.to_owned(), bucket);
        Ok(())
    }
}

impl Buckets {
    /// The buckets of a project, with their names.
    pub fn of_project(&self, project: &str) -> impl Iterator<Item = (&String, &Bucket)> {
        self.0.iter().filter(move |(_, bucket)| bucket.project == project)
    }

    /// A bucket, if it belongs to the project.
    pub fn get(&mut self, name: &str, project: &str) -> Result<&mut Bucket, Fault> {
        let bucket = self.0.get_mut(name).ok_or_else(Fault::no_such_bucket)?;
        if bucket.project != project {
            return Err(Fault::access_denied());
        }
        Ok(bucket)
    }

    /// Removes an empty bucket.
    pub fn remove(&mut self, name: &str, project: &str) -> Result<(), Fault> {
        if !self.get(name, project)?.objects.is_empty() {
            let message = "The bucket you tried to delete is not empty.";
            return Err(Fault::conflict("BucketNotEmpty", message));
        }
        self.0.remove(name);
        Ok(())
    }
}

impl Bucket {
    pub fn object(&self, key: &str) -> Result<Arc<Object>, Fault> {
        self.objects.get(key).cloned().ok_or_else(Fault::no_such_key)
    }
}

impl Object {
    /// An object that was modified now.
    pub fn new(
        content: Arc<Content>,
        etag: String,
        headers: HeaderMap,
        entry: Reserved,
    ) -> Arc<Self> {
        Arc::new(Self { content, etag, modified: SystemClock.now(), headers, entry })
    }
}
