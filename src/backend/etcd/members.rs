//! Which member is asked next.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use http::Uri;

use super::error::Trouble;

/// How long a member that failed is left alone at first; twice as long each time that it
/// fails again, with some chance in it.
const REST: Duration = Duration::from_millis(200);
const LONGEST_REST: Duration = Duration::from_secs(10);

/// The endpoints of one cluster.
#[derive(Debug)]
pub(super) struct Members {
    members: Vec<Member>,
    /// The one that is asked as long as it answers.
    preferred: AtomicUsize,
}

#[derive(Debug)]
pub(super) struct Member {
    /// Scheme and authority.
    endpoint: String,
    health: Mutex<Health>,
}

#[derive(Debug, Default)]
struct Health {
    /// How often it has failed in a row.
    failures: u32,
    rests_until: Option<SystemTime>,
}

impl Members {
    /// At least one endpoint. One of them, by chance, is asked first, so that not all
    /// clients ask the same.
    pub(super) fn new(endpoints: Vec<String>) -> Self {
        let preferred = rand::random_range(0..endpoints.len());
        let members = endpoints.into_iter();
        let members = members.map(|endpoint| Member { endpoint, health: Mutex::default() });
        Self { members: members.collect(), preferred: preferred.into() }
    }

    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    /// The member to ask, if `tried` were asked before it: none that rests, unless all do.
    pub(super) fn pick(&self, tried: usize, now: SystemTime) -> &Member {
        let preferred = self.preferred.load(Ordering::Relaxed);
        let turn = |n: usize| &self.members[(preferred + n) % self.members.len()];
        let awake = (0..self.members.len()).map(turn).filter(|member| member.is_awake(now));
        awake.cycle().nth(tried).unwrap_or_else(|| turn(tried))
    }

    /// The member answered.
    pub(super) fn succeeded(&self, member: &Member) {
        *member.health() = Health::default();
        if let Some(index) = self.members.iter().position(|other| std::ptr::eq(other, member)) {
            self.preferred.store(index, Ordering::Relaxed);
        }
    }
}

impl Member {
    pub(super) fn uri(&self, path: &str) -> Result<Uri, Trouble> {
        let uri = format!("{}{path}", self.endpoint).parse();
        uri.map_err(|_| Trouble::unexpected("the endpoint is no URL"))
    }

    pub(super) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The member did not answer as it should. Whether it did before.
    pub(super) fn failed(&self, now: SystemTime) -> bool {
        let mut health = self.health();
        let rest = REST.saturating_mul(1 << health.failures.min(10)).min(LONGEST_REST);
        health.failures = health.failures.saturating_add(1);
        health.rests_until = now.checked_add(rest.mul_f64(rand::random_range(0.5..1.0)));
        health.failures == 1
    }

    fn is_awake(&self, now: SystemTime) -> bool {
        // A clock that was set back must not make a rest longer than the longest.
        self.health()
            .rests_until
            .is_none_or(|until| until.duration_since(now).map_or(true, |left| left > LONGEST_REST))
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn three() -> Members {
        Members::new(["a", "b", "c"].map(|name| format!("http://{name}")).into())
    }

    #[test]
    fn a_member_that_failed_is_left_alone_and_asked_again_later() {
        let (members, now) = (three(), UNIX_EPOCH + Duration::from_secs(9));
        let first = members.pick(0, now);
        members.succeeded(first);
        assert!(std::ptr::eq(members.pick(0, now), first), "one that answers is kept");
        first.failed(now);
        for tried in 0..5 {
            assert!(!std::ptr::eq(members.pick(tried, now), first));
        }
        let later = now + REST;
        assert!(std::ptr::eq(members.pick(0, later), first));
    }

    #[test]
    fn when_all_rest_each_is_asked_in_turn() {
        let (members, now) = (three(), UNIX_EPOCH + Duration::from_secs(9));
        for member in &members.members {
            member.failed(now);
        }
        let picked: Vec<_> = (0..3).map(|tried| &members.pick(tried, now).endpoint).collect();
        assert!(members.members.iter().all(|member| picked.contains(&&member.endpoint)));
    }

    #[test]
    fn a_clock_that_was_set_back_wakes_all() {
        let (members, now) = (three(), UNIX_EPOCH + Duration::from_secs(1_000_000));
        let member = members.pick(0, now);
        member.failed(now);
        assert!(!member.is_awake(now));
        assert!(member.is_awake(UNIX_EPOCH));
    }
}
