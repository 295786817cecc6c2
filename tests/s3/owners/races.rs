//! Changes of the directory while requests are verified.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::{Barrier, Notify};
use tower_credentials::{
    async_trait,
    directory::{DelegatedAccess, Directory, DirectoryError, Membership, Project, User},
    domain::{Delegation, ProjectId, UserId},
};

use super::plane::{
    Fate::{Refused, Verified},
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

/// Holds an answer back once.
#[derive(Debug)]
struct Slow {
    registry: Arc<Registry>,
    holding: AtomicBool,
    held: Notify,
    release: Notify,
}

impl Slow {
    fn over(registry: &Arc<Registry>) -> Arc<Self> {
        let (registry, holding) = (Arc::clone(registry), AtomicBool::new(true));
        Arc::new(Self { registry, holding, held: Notify::new(), release: Notify::new() })
    }
}

#[async_trait]
impl Directory for Slow {
    fn is_open(&self) -> bool {
        self.registry.is_open()
    }

    fn revision(&self) -> Option<u64> {
        self.registry.revision()
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
        let answer = self.registry.membership(user_id, project_id).await;
        if self.holding.swap(false, Ordering::SeqCst) {
            self.held.notify_one();
            self.release.notified().await;
        }
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

#[tokio::test]
async fn answer_that_arrives_after_the_revision_changed_is_asked_for_again() {
    for way in WAYS {
        let registry = registry();
        let slow = Slow::over(&registry);
        let plane = Plane::new(key(), Arc::clone(&slow), Settings::default()).await;
        let first = tokio::spawn({
            let plane = plane.clone();
            async move { plane.fate(way).await }
        });
        slow.held.notified().await;
        registry.remove_member("alice", "demo");
        slow.release.notify_one();
        assert_eq!(first.await.unwrap(), Refused, "{way:?}");
        assert_eq!(plane.fate(way).await, Refused, "{way:?}");
    }
}

#[tokio::test]
async fn late_answer_does_not_replace_the_answer_to_a_later_question() {
    for way in WAYS {
        let registry = registry();
        // Nothing but the order of the questions shows which answer is the newer one.
        registry.set_silent(true);
        let slow = Slow::over(&registry);
        let plane = Plane::new(key(), Arc::clone(&slow), Settings::default()).await;
        let first = tokio::spawn({
            let plane = plane.clone();
            async move { plane.fate(way).await }
        });
        slow.held.notified().await;
        registry.remove_member("alice", "demo");
        assert_eq!(plane.fate(way).await, Refused, "{way:?}");
        slow.release.notify_one();
        assert_eq!(first.await.unwrap(), Refused, "{way:?}: the late one");
        assert_eq!(plane.fate(way).await, Refused, "{way:?}");
    }
}

#[tokio::test]
async fn directory_that_never_stops_changing_still_answers() {
    /// Has another revision each time.
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
