//! Rotates key pairs.

use std::{sync::Arc, time::Duration};

use super::{
    checks::Authority,
    outcome::Outcome,
    requester::Requester,
    write::{Address, Change},
};
use crate::{
    domain::{Credential, Rotation, generate_pair},
    error::Error,
    policy::{Action, Target},
};

/// How long both key pairs are valid, unless the client says otherwise.
pub(crate) const DEFAULT_OVERLAP: Duration = Duration::from_hours(24);

/// The longest overlap.
pub(crate) const MAX_OVERLAP: Duration = Duration::from_hours(30 * 24);

impl Authority {
    /// Replaces the key pair of a record, for a caller who may change the record and create
    /// another one like it.
    pub(super) async fn rotate(
        &self,
        caller: &Requester,
        (update, create): (Action, Action),
        address: Address<'_>,
        overlap: Duration,
    ) -> Result<Outcome, Error> {
        let stored = self.find(caller, update, address).await?;
        let target = Target { directory: self.directory().is_some(), ..Target::record(&stored) };
        self.permit(caller, create, target)?;
        if !stored.is_root_key() {
            self.require_enabled_user(&stored.user_id).await?;
        }
        if let Some(project_id) = &stored.project_id {
            self.require_enabled_project(project_id).await?;
            if !stored.is_root_key() {
                self.require_place(create, &stored.user_id, project_id).await?;
            }
        }
        if !overlap.is_zero() {
            self.count_mint(&caller.user_id)?;
        }
        let pair = generate_pair()?;
        let rotate = |stored: &Credential| {
            let now = self.clock.now();
            let rotation = stored.rotated(pair.clone(), overlap, self.max_key_life, now)?;
            Ok(match rotation {
                Rotation::InPlace(credential) => {
                    Change::Rotate { credential: Arc::new(credential), retired: None }
                }
                Rotation::Overlapping { credential, retired } => Change::Rotate {
                    credential: Arc::new(credential),
                    retired: Some(Arc::new(retired)),
                },
            })
        };
        let id = stored.id.clone();
        let credential = self.change(caller, update, address, Some(stored), rotate).await?;
        let is_new = credential.id != id;
        let view = self.new_view(credential);
        Ok(if is_new { Outcome::Created(view) } else { Outcome::Updated(view) })
    }
}
