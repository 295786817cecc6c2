//! [`Requester`]: a caller, and what the audit must know of it besides.

use std::{ops::Deref, sync::Arc};

use crate::{
    audit::{Actor, RequestFacts},
    domain::{AccessKey, Caller},
};

/// A caller with its request. Dereferences to the caller, which is all that the policy sees.
#[derive(Debug)]
pub(crate) struct Requester {
    caller: Arc<Caller>,
    facts: RequestFacts,
    /// The access key that signed the request.
    access_key: Option<AccessKey>,
    /// The access key of the caller's session.
    session: Option<AccessKey>,
}

impl Requester {
    /// A caller with a token.
    pub(crate) fn new(caller: Arc<Caller>, facts: RequestFacts) -> Self {
        Self { caller, facts, access_key: None, session: None }
    }

    /// A caller that is a key, or a session of a key.
    pub(super) fn signed_with(
        mut self,
        access_key: Option<AccessKey>,
        session: Option<AccessKey>,
    ) -> Self {
        (self.access_key, self.session) = (access_key, session);
        self
    }

    /// Returns the caller for audit events.
    pub(super) fn actor(&self) -> Arc<Actor> {
        let mut actor = Actor::new(Arc::clone(&self.caller), &self.facts);
        actor.access_key.clone_from(&self.access_key);
        actor.session.clone_from(&self.session);
        Arc::new(actor)
    }
}

impl Deref for Requester {
    type Target = Caller;

    fn deref(&self) -> &Caller {
        &self.caller
    }
}
