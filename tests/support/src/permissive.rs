//! A policy of an app that allows everything.

use tower_credentials::{
    domain::Caller,
    policy::{Action, Decision, ListScope, Policy, Target},
};

/// Allows every caller everything: delegated callers and keys too.
#[derive(Debug)]
pub struct Permissive;

impl Policy for Permissive {
    fn decide(&self, _: &Caller, _: Action, _: Target<'_>) -> Decision {
        Decision::Allow
    }

    fn list_scope(&self, _: &Caller, _: Action) -> Option<ListScope> {
        Some(ListScope::All)
    }

    fn requires_place(&self, _: Action) -> bool {
        false
    }
}
