//! The rules for callers that are keys: users whose key signs requests to IAM.

use super::{
    Action, Decision, Target,
    roles::{RolePolicy, RoleTable, changes, is_pair, owns},
};
use crate::domain::{Caller, KeyRoles};

/// Returns whether a record, as far as it is known, is out of the reach of a caller that is a key,
/// whatever the policy says.
pub(crate) fn is_beyond_key(caller: &Caller, target: Target<'_>) -> bool {
    let is_in_project = match target.project_id {
        Some(id) => caller.project_id() == Some(id),
        // Before a record is known, its project is unknown too.
        None => target.kind.is_none(),
    };
    caller.key.is_some() && !(owns(caller, target) && is_pair(target) && is_in_project)
}

impl RolePolicy {
    /// The table for keys: own key pairs in the own project, whatever the roles. No other key is
    /// known to exist.
    pub(super) fn decide_for_key(
        &self,
        caller: &Caller,
        roles: KeyRoles,
        action: Action,
        target: Target<'_>,
    ) -> Decision {
        if !self.lets_key(caller, roles, action) {
            return Decision::Forbid;
        }
        if !is_beyond_key(caller, target) {
            return Decision::Allow;
        }
        match action {
            Action::DeleteKey | Action::ShowKey | Action::UpdateKey => Decision::Hide,
            _ => Decision::Forbid,
        }
    }

    /// Returns whether a key may perform the action on its user's own keys, by the user's roles.
    pub(super) fn lets_key(&self, caller: &Caller, roles: KeyRoles, action: Action) -> bool {
        let is_of_keys = matches!(
            action,
            Action::CreateKey
                | Action::DeleteKey
                | Action::ListKeys
                | Action::ShowKey
                | Action::UpdateKey
        );
        let holds_role = || match roles {
            KeyRoles::Known => {
                let as_keystone = self.table == RoleTable::Keystone
                    && (!changes(action) || caller.has_role(&self.names.member));
                let admin = caller.has_role(&self.names.admin);
                as_keystone || admin || self.holds_role_for(caller, action)
            }
            KeyRoles::Unknown => true,
        };
        is_of_keys && caller.delegation.is_none() && holds_role()
    }
}
