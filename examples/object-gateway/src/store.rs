//! Buckets and objects in memory, and whose they are.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use http::HeaderMap;
use tower_credentials::clock::{Clock, SystemClock};

use crate::{
    content::{Content, Held, Space},
    fault::Fault,
    uploads::Upload,
};

/// What a bucket, an object or an upload takes beside its content: room for its name
/// and its headers, which are bounded.
const ENTRY: u64 = 8 << 10;

/// All that is stored. A clone is another handle to the same.
#[derive(Clone, Debug)]
pub struct Store {
    pub space: Space,
    buckets: Arc<Mutex<Buckets>>,
}

/// The buckets by name. Each belongs to the project of the key that made it, and no
/// key of another project gets at it.
#[derive(Debug, Default)]
pub struct Buckets(BTreeMap<String, Bucket>);

#[derive(Debug)]
pub struct Bucket {
    pub project: String,
    pub created: SystemTime,
    pub objects: BTreeMap<String, Arc<Object>>,
    pub uploads: BTreeMap<String, Upload>,
    #[expect(dead_code, reason = "keeps its room")]
    entry: Held,
}

#[derive(Debug)]
pub struct Object {
    pub content: Arc<Content>,
    /// With its quotes.
    pub etag: String,
    pub modified: SystemTime,
    /// What the client told of it, and is told again.
    pub headers: HeaderMap,
    #[expect(dead_code, reason = "keeps its room")]
    entry: Held,
}

impl Store {
    /// An empty store with room for so many bytes.
    pub fn new(bytes: u64) -> Self {
        Self { space: Space::new(bytes), buckets: Arc::default() }
    }

    /// The buckets, which nobody else sees or changes meanwhile.
    pub fn lock(&self) -> MutexGuard<'_, Buckets> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The room of an entry.
    pub fn entry(&self) -> Result<Held, Fault> {
        self.space.hold(ENTRY)
    }

    /// Makes a bucket, which is the project's from then on.
    pub fn create(&self, name: &str, project: &str) -> Result<(), Fault> {
        let mut buckets = self.lock();
        match buckets.0.get(name) {
            Some(bucket) if bucket.project == project => {
                let message = "You made this bucket already, and you own it.";
                return Err(Fault::conflict("BucketAlreadyOwnedByYou", message));
            }
            Some(_) => {
                let message = "The name of this bucket is taken.";
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
    pub fn of(&self, project: &str) -> impl Iterator<Item = (&String, &Bucket)> {
        self.0.iter().filter(move |(_, bucket)| bucket.project == project)
    }

    /// A bucket, if it is the project's.
    pub fn get(&mut self, name: &str, project: &str) -> Result<&mut Bucket, Fault> {
        let bucket = self.0.get_mut(name).ok_or_else(Fault::no_such_bucket)?;
        if bucket.project != project {
            return Err(Fault::access_denied());
        }
        Ok(bucket)
    }

    /// Removes a bucket in which there is nothing.
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
    /// An object that is new now.
    pub fn new(content: Arc<Content>, etag: String, headers: HeaderMap, entry: Held) -> Arc<Self> {
        Arc::new(Self { content, etag, modified: SystemClock.now(), headers, entry })
    }
}
