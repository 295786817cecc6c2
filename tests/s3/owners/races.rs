//! Changes of the directory while requests are verified.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::{
    sync::{
        Barrier,
        mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
        oneshot,
    },
    task::JoinHandle,
};
use tower_credentials::{
    async_trait,
    directory::{DelegatedAccess, Directory, DirectoryError, Membership, Project, User},
    domain::{Delegation, ProjectId, UserId},
};

use super::plane::{
    Fate::{self, Refused, Verified},
    Plane, Settings, WAYS, Way, key, registry,
};
use crate::registry::Registry;

const TASKS: usize = 64;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_request_that_starts_after_the_revision_changed_is_admitted() {
    for way in [Way::Header, Way::Direct, Way::HeaderV2, Way::S3s] {
        for silent_first in [false, true] {
            let registry = registry();
            registry.set_silent(silent_first);
            let plane = Plane::new(key(), Arc::clone(&registry), Settings::default()).await;
            let (removed, start) =
                (Arc::new(AtomicBool::new(false)), Arc::new(Barrier::new(TASKS)));
            let tasks: Vec<_> = (0..TASKS)
                .map(|number| {
                    let (plane, registry) = (plane.clone(), Arc::clone(&registry));
                    let (removed, start) = (Arc::clone(&removed), Arc::clone(&start));
                    tokio::spawn(async move {
                        start.wait().await;
                        let mut refused = 0;
                        while refused < 10 {
                            if number == 0 {
                                registry.set_silent(false);
                                registry.remove_member("alice", "demo");
                                removed.store(true, Ordering::SeqCst);
                            }
                            let is_removed = removed.load(Ordering::SeqCst);
                            let fate = plane.fate(way).await;
                            assert!(!is_removed || fate == Refused, "{way:?}: {fate:?}");
                            refused += usize::from(fate == Refused);
                            tokio::task::yield_now().await;
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
        }
    }
}

/// Waits before and after each lookup of a membership, until the test continues it.
#[derive(Debug)]
struct Slow {
    registry: Arc<Registry>,
    revision: Revision,
    pausing: AtomicBool,
    pauses: UnboundedSender<oneshot::Sender<()>>,
}

/// The revision that a directory reports.
#[derive(Clone, Copy, Debug)]
enum Revision {
    Fixed(Option<u64>),
    OfRegistry,
}

impl Slow {
    fn over(
        registry: &Arc<Registry>,
        revision: Revision,
    ) -> (Arc<Self>, UnboundedReceiver<oneshot::Sender<()>>) {
        let (pauses, waiting) = unbounded_channel();
        let (registry, pausing) = (Arc::clone(registry), AtomicBool::new(true));
        (Arc::new(Self { registry, revision, pausing, pauses }), waiting)
    }

    async fn pause(&self) {
        if self.pausing.load(Ordering::SeqCst) {
            let (go_on, wait) = oneshot::channel();
            self.pauses.send(go_on).unwrap();
            wait.await.unwrap();
        }
    }
}

#[async_trait]
impl Directory for Slow {
    fn is_open(&self) -> bool {
        self.registry.is_open()
    }

    fn revision(&self) -> Option<u64> {
        match self.revision {
            Revision::Fixed(revision) => revision,
            Revision::OfRegistry => self.registry.revision(),
        }
    }

    async fn user(&self, id: &UserId) -> Result<Option<User>, DirectoryError> {
        self.registry.user(id).await
    }

    async fn project(&self, id: &ProjectId) -> Result<Option<Project>, DirectoryError> {
        self.registry.project(id).await
    }

    async fn membership(
        &self,
        user_id: &UserId,
        project_id: &ProjectId,
    ) -> Result<Option<Membership>, DirectoryError> {
        self.pause().await;
        let answer = self.registry.membership(user_id, project_id).await;
        self.pause().await;
        answer
    }

    async fn delegation(
        &self,
        user_id: &UserId,
        delegation: &Delegation,
    ) -> Result<Option<DelegatedAccess>, DirectoryError> {
        self.registry.delegation(user_id, delegation).await
    }
}

fn spawn(plane: &Plane, way: Way) -> JoinHandle<Fate> {
    let plane = plane.clone();
    tokio::spawn(async move { plane.fate(way).await })
}

/// Ends a pause.
fn go_on(pause: Option<oneshot::Sender<()>>) {
    pause.unwrap().send(()).unwrap();
}

#[tokio::test]
async fn answer_that_arrives_after_the_revision_changed_is_asked_for_again() {
    for way in WAYS {
        let registry = registry();
        let (slow, mut pauses) = Slow::over(&registry, Revision::OfRegistry);
        let plane = Plane::new(key(), Arc::clone(&slow), Settings::default()).await;
        let first = spawn(&plane, way);
        go_on(pauses.recv().await);
        let read = pauses.recv().await;
        registry.remove_member("alice", "demo");
        slow.pausing.store(false, Ordering::SeqCst);
        go_on(read);
        assert_eq!(first.await.unwrap(), Refused, "{way:?}");
        assert_eq!(plane.fate(way).await, Refused, "{way:?}");
    }
}

/// Revisions that do not show a change: none, and one that has not changed yet.
const UNCHANGED: [Option<u64>; 2] = [None, Some(7)];

#[tokio::test]
async fn late_answer_does_not_replace_the_answer_to_a_later_question() {
    for (way, revision) in WAYS.into_iter().flat_map(|way| UNCHANGED.map(|it| (way, it))) {
        let registry = registry();
        let (slow, mut pauses) = Slow::over(&registry, Revision::Fixed(revision));
        let plane = Plane::new(key(), Arc::clone(&slow), Settings::default()).await;
        let first = spawn(&plane, way);
        go_on(pauses.recv().await);
        let read = pauses.recv().await;
        registry.remove_member("alice", "demo");
        slow.pausing.store(false, Ordering::SeqCst);
        assert_eq!(plane.fate(way).await, Refused, "{way:?}");
        go_on(read);
        assert_eq!(first.await.unwrap(), Refused, "{way:?}: the late one");
        assert_eq!(plane.fate(way).await, Refused, "{way:?}");
    }
}

#[tokio::test]
async fn negative_answer_to_a_later_question_replaces_a_positive_answer_that_counts() {
    for (way, revision) in WAYS.into_iter().flat_map(|way| UNCHANGED.map(|it| (way, it))) {
        let registry = registry();
        let (slow, mut pauses) = Slow::over(&registry, Revision::Fixed(revision));
        let plane = Plane::new(key(), Arc::clone(&slow), Settings::default()).await;
        let first = spawn(&plane, way);
        go_on(pauses.recv().await);
        let read = pauses.recv().await;
        let second = spawn(&plane, way);
        let to_read = pauses.recv().await;
        go_on(read);
        assert_eq!(first.await.unwrap(), Verified, "{way:?}");
        registry.remove_member("alice", "demo");
        slow.pausing.store(false, Ordering::SeqCst);
        go_on(to_read);
        assert_eq!(second.await.unwrap(), Refused, "{way:?}");
        assert_eq!(plane.fate(way).await, Refused, "{way:?}");
    }
}

#[tokio::test]
async fn directory_that_never_stops_changing_still_answers() {
    /// Reports another revision each time.
    #[derive(Debug)]
    struct Restless(Arc<Registry>);

    #[async_trait]
    impl Directory for Restless {
        fn is_open(&self) -> bool {
            false
        }

        fn revision(&self) -> Option<u64> {
            self.0.set_roles("bob", "demo", &[]);
            self.0.revision()
        }

        async fn user(&self, id: &UserId) -> Result<Option<User>, DirectoryError> {
            self.0.user(id).await
        }

        async fn project(&self, id: &ProjectId) -> Result<Option<Project>, DirectoryError> {
            self.0.project(id).await
        }

        async fn membership(
            &self,
            user_id: &UserId,
            project_id: &ProjectId,
        ) -> Result<Option<Membership>, DirectoryError> {
            self.0.membership(user_id, project_id).await
        }

        async fn delegation(
            &self,
            _: &UserId,
            _: &Delegation,
        ) -> Result<Option<DelegatedAccess>, DirectoryError> {
            Ok(None)
        }
    }

    for way in WAYS {
        let registry = registry();
        let restless = Restless(Arc::clone(&registry));
        let plane = Plane::new(key(), Arc::new(restless), Settings::default()).await;
        assert_eq!(plane.fate(way).await, Verified, "{way:?}");
        registry.remove_member("alice", "demo");
        assert_eq!(plane.fate(way).await, Refused, "{way:?}");
    }
}
