//! Opening a store: checks that the ring fits the store.

use std::sync::Arc;

use super::register::{self, Register, State};
use super::sealer::{Sealer, is_sealed};
use crate::backend::{BackendError, CredentialBackend, ListQuery, Order};
use crate::backend::{OpenError, OpenErrorKind};
use crate::domain::Credential;

/// How often to start again when others change the register concurrently.
const TRIES: usize = 32;

/// How to treat a store that has plain records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plain {
    Adopt,
    Refuse,
}

/// Reads or creates the register, with the newest key of the ring in use.
pub(super) async fn settle<B: CredentialBackend>(
    backend: &B,
    sealer: &Sealer,
    plain: Plain,
) -> Result<Register, OpenError> {
    for _ in 0..TRIES {
        let Some(record) = backend.get_latest(&register::id()).await.map_err(OpenError::backend)?
        else {
            make(backend, sealer, plain).await?;
            continue;
        };
        let current = Register::of_ring(&record, sealer)?;
        if current.state.plain && plain == Plain::Refuse {
            let what = "the store may hold records that are not sealed: reseal it, and until \
                        that is done open it with `adopt`";
            return Err(OpenError::new(OpenErrorKind::NotSealed, what));
        }
        if current.state.is_in_use(sealer.newest()) {
            return Ok(current);
        }
        let mut state = current.state;
        state.put_in_use(sealer.newest());
        let changed = register::change(backend, sealer, state, current.version).await;
        if let Some(changed) = changed.map_err(OpenError::backend)? {
            return Ok(changed);
        }
    }
    let what = "other processes keep changing the keys in use";
    Err(OpenError::new(OpenErrorKind::Unavailable, what))
}

/// Creates the register of a store without one, unless another process creates it.
async fn make<B: CredentialBackend>(
    backend: &B,
    sealer: &Sealer,
    plain: Plain,
) -> Result<(), OpenError> {
    let first = match first_record(backend).await {
        // An unreadable record exists too; the reseal reports it.
        Err(BackendError::Corrupt(_)) if plain == Plain::Adopt => {
            let state = State::new(sealer.newest(), true);
            register::make(backend, sealer, state).await.map_err(OpenError::backend)?;
            return Ok(());
        }
        first => first.map_err(OpenError::backend)?,
    };
    if let (Some(first), Plain::Refuse) = (&first, plain) {
        // Another process created the register meanwhile: the next try reads it.
        if first.id.as_str() == register::ID {
            return Ok(());
        }
        return Err(if is_sealed(first) {
            let what = format!(
                "the store has sealed records, but the record of the keys in use ({}) \
                 is missing",
                register::ID
            );
            OpenError::new(OpenErrorKind::Corrupt, what)
        } else {
            let what = "the store has records that are not sealed: reseal it, and until \
                        that is done open it with `adopt`";
            OpenError::new(OpenErrorKind::NotSealed, what)
        });
    }
    let state = State::new(sealer.newest(), first.is_some());
    register::make(backend, sealer, state).await.map_err(OpenError::backend)?;
    Ok(())
}

async fn first_record<B: CredentialBackend>(
    backend: &B,
) -> Result<Option<Arc<Credential>>, BackendError> {
    let page = backend.list(&ListQuery::new(Order::Key).with_limit(1)).await?;
    Ok(page.credentials.into_iter().next())
}
