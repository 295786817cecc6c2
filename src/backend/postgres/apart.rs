//! Batches in which one write takes the others down: it cannot be stored, or waits for a
//! transaction of somebody else's.

use std::sync::Arc;

use super::line::Line;
use super::trouble::{Shared, Trouble, Verdict};
use super::write::{Kind, Outcome, Write};
use super::writer::decide_together;

/// How long a part waits for a lock, as a part of the time for a statement: longer than
/// healthy commits wait for each other, where a standby is far away.
const MOMENT_PART: u32 = 20;

/// How many parts may wait in vain before the rest is given up, so that nobody waits long
/// for the session.
const MOST_WAITS: u32 = 24;

/// Does the writes in smaller and smaller parts, until those that fail are alone; what came
/// of each.
pub(super) async fn decide(
    line: &Line,
    kind: Kind,
    writes: &[&Write],
    trouble: &Trouble,
) -> Vec<Result<Outcome, Shared>> {
    tracing::warn!(?kind, writes = writes.len(), ?trouble, "a batch is done in parts");
    let untried = Shared(Arc::new(Trouble::TimedOut));
    let mut outcomes = vec![Err(untried); writes.len()];
    let Ok(session) = line.link().await else { return outcomes };
    if session.wait_for_locks(Some(session.limit() / MOMENT_PART)).await.is_err() {
        return outcomes;
    }
    // What waits for the same stands together.
    let mut places: Vec<usize> = (0..writes.len()).collect();
    places.sort_by_key(|place| writes[*place].waits_for());
    let halves = |places: &[usize]| {
        let (first, rest) = places.split_at(places.len() / 2);
        [rest.to_vec(), first.to_vec()]
    };
    let (mut parts, mut waits) = (Vec::from(halves(&places)), 0);
    // Another session would wait for longer.
    while waits < MOST_WAITS
        && !session.is_closed()
        && let Some(part) = parts.pop()
    {
        let some: Vec<_> = part.iter().map(|place| writes[*place]).collect();
        let trouble = match decide_together(line, kind, &some).await {
            Ok(done) => {
                for (place, outcome) in part.into_iter().zip(done) {
                    outcomes[place] = Ok(outcome);
                }
                continue;
            }
            Err(trouble) => trouble,
        };
        let is_divided = match trouble.verdict() {
            Verdict::Blocked => {
                waits += 1;
                some.iter().any(|write| write.waits_for() != some[0].waits_for())
            }
            Verdict::Data => part.len() > 1,
            _ => false,
        };
        if is_divided {
            parts.extend(halves(&part));
        }
        let is_taken = !is_divided && trouble.is_taken();
        let shared = Shared(Arc::new(trouble));
        for place in part {
            outcomes[place] = if is_taken { Ok(Outcome::Taken) } else { Err(shared.clone()) };
        }
    }
    // Those that were to be tried by themselves and were not.
    for place in parts.into_iter().flatten() {
        outcomes[place] = Err(Shared(Arc::new(Trouble::TimedOut)));
    }
    if session.wait_for_locks(None).await.is_err() {
        session.retire();
    }
    outcomes
}
