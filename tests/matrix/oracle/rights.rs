//! Computes the rights of a caller from its roles, scope and delegation.

use tower_credentials::{domain::Delegation, policy::DelegatedCallers};

use crate::{
    callers::{
        ADMIN, At, IMPERSONATE, LISTS_ALL, LISTS_OWN, MANAGES_ALL, MANAGES_OWN, MEMBER, READER,
        SERVICE, Subject,
    },
    facts::{Setting, Table},
    operations::Wire,
    records::{Form, Seed},
};

/// A caller under a setting.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rights<'a> {
    pub(crate) setting: Setting,
    pub(crate) caller: &'a Subject,
}

impl Rights<'_> {
    pub(crate) fn is_admin(&self) -> bool {
        self.caller.has(ADMIN)
    }

    pub(crate) fn impersonates(&self) -> bool {
        self.is_admin() || self.caller.has(IMPERSONATE)
    }

    /// Whether Keystone's table applies in v3 and OS-EC2.
    pub(crate) fn uses_keystone_table(&self) -> bool {
        self.setting.table == Table::Keystone
    }

    pub(crate) fn is_system_reader(&self) -> bool {
        self.caller.has(READER) && self.caller.at == At::System
    }

    pub(crate) fn is_member(&self) -> bool {
        self.caller.has(MEMBER)
    }

    /// Whether gateways may read key pairs, and the caller is a gateway.
    pub(crate) fn is_reading_gateway(&self) -> bool {
        self.setting.service_reads && self.caller.has(SERVICE)
    }

    /// Whether the caller may have signatures validated. Its delegation makes no difference,
    /// because the caller's own credentials are not involved. Only a token that was obtained
    /// with a key is refused.
    pub(crate) fn validates(&self) -> bool {
        let of_key = self.caller.delegation == Some(Delegation::Ec2Credential);
        !of_key && self.caller.has_any(&[ADMIN, SERVICE])
    }

    /// Whether OS-EC2 accepts the scope of the token.
    pub(crate) fn has_scope_of_os_ec2(&self) -> bool {
        matches!(self.caller.at, At::Project(_) | At::System)
    }

    /// Whether the caller's delegation excludes it from the dialect.
    pub(crate) fn is_refused_outright(&self, wire: Wire) -> bool {
        match (&self.caller.delegation, self.setting.delegated) {
            (None, _) => false,
            (Some(Delegation::Ec2Credential), _) => true,
            // The settings apply only to Keystone's own API.
            (Some(_), _) if matches!(wire, Wire::Ibm | Wire::V2) => true,
            (Some(_), DelegatedCallers::AdminKeyPairs) => !(wire == Wire::V3 && self.is_admin()),
            // A token without a project reaches no records.
            (Some(_), DelegatedCallers::WithinProject) => self.caller.project().is_none(),
            (Some(_), _) => true,
        }
    }

    /// Whether the caller's delegation reaches records of this project and type.
    pub(crate) fn delegation_reaches(&self, project: Option<&str>, ec2: bool) -> bool {
        match (&self.caller.delegation, self.setting.delegated) {
            (None, _) => true,
            (Some(_), DelegatedCallers::AdminKeyPairs) => ec2,
            (Some(_), _) => project.is_some() && project == self.caller.project(),
        }
    }

    pub(crate) fn is_delegated(&self) -> bool {
        self.caller.delegation.is_some()
    }

    /// Whether the caller has an application credential that may not create key pairs.
    pub(crate) fn is_restricted(&self) -> bool {
        let delegation = self.caller.delegation.as_ref();
        matches!(delegation, Some(Delegation::ApplicationCredential { restricted: true, .. }))
    }

    /// The delegation that new records carry.
    pub(crate) fn stamp(&self) -> Option<Delegation> {
        self.caller.delegation.clone()
    }

    pub(crate) fn holds_management(&self) -> bool {
        self.is_admin() || self.caller.has_any(&[MANAGES_OWN, MANAGES_ALL])
    }

    pub(crate) fn holds_listing(&self) -> bool {
        self.is_admin() || self.caller.has_any(&[LISTS_OWN, LISTS_ALL])
    }

    /// Whether the caller has a role for some key, and no delegation.
    pub(crate) fn has_key_role(&self) -> bool {
        let role = self.holds_listing() || self.holds_management();
        (self.uses_keystone_table() || role) && self.caller.delegation.is_none()
    }

    /// Whether the caller may list in v3.
    pub(crate) fn may_list(&self) -> bool {
        self.uses_keystone_table() || self.holds_listing()
    }

    pub(crate) fn lists_all(&self) -> bool {
        self.is_admin() || self.caller.has(LISTS_ALL)
    }

    /// Whether the token reaches the project.
    pub(crate) fn covers(&self, project: &str) -> bool {
        self.impersonates() || self.caller.project() == Some(project)
    }

    /// Whether the caller is this owner. No user owns a root key.
    pub(crate) fn is(&self, owner: Option<&str>) -> bool {
        owner == Some(self.caller.user)
    }

    /// Whether the strict table lets the caller create, change and delete keys of this owner
    /// in this project.
    pub(crate) fn manages(&self, owner: Option<&str>, project: Option<&str>) -> bool {
        let role = self.caller.has(MANAGES_ALL) || self.is(owner) && self.caller.has(MANAGES_OWN);
        let reached = match project {
            Some(project) => self.covers(project),
            // Only its owner reaches a record without a project.
            None => self.is(owner),
        };
        self.is_admin() || role && reached
    }

    /// Whether the strict table lets the caller list and show keys of this owner in this
    /// project.
    pub(crate) fn lists(&self, owner: Option<&str>, project: Option<&str>) -> bool {
        let role = self.caller.has(LISTS_ALL) || self.is(owner) && self.caller.has(LISTS_OWN);
        let reached = match project {
            Some(project) => self.covers(project),
            None => self.is(owner),
        };
        self.is_admin() || role && reached
    }

    /// Whether the roles for keys reach the record. Only its owner and admins reach a record
    /// that is not a key pair.
    fn is_key_or_own(&self, seed: &Seed) -> bool {
        seed.form != Form::Totp || self.is(seed.owner()) || self.is_admin()
    }

    /// Whether v3 shows the record.
    pub(crate) fn v3_sees(&self, seed: &Seed) -> bool {
        let ec2 = seed.form != Form::Totp;
        let visible = if self.uses_keystone_table() {
            self.is_admin() || self.is_system_reader() || self.is(seed.owner())
        } else {
            self.lists(seed.owner(), seed.project) && self.is_key_or_own(seed)
        };
        visible && self.delegation_reaches(seed.project, ec2)
    }

    /// Whether v3 lets the caller change and delete the record.
    pub(crate) fn v3_manages(&self, seed: &Seed) -> bool {
        let ec2 = seed.form != Form::Totp;
        let manages = if self.uses_keystone_table() {
            self.is_admin() || self.is(seed.owner())
        } else {
            self.manages(seed.owner(), seed.project) && self.is_key_or_own(seed)
        };
        manages && self.delegation_reaches(seed.project, ec2)
    }

    /// Whether the caller reads the record's secret: as its owner, or by `impersonate`.
    pub(crate) fn reads_secret(&self, seed: &Seed) -> bool {
        let reaches =
            self.lists(seed.owner(), seed.project) || self.manages(seed.owner(), seed.project);
        reaches && (self.impersonates() || self.is(seed.owner()))
    }

    /// Whether the caller reads the record's secret in v3 and OS-EC2. In Keystone's table,
    /// everyone who sees a record reads its secret.
    pub(crate) fn v3_reads_secret(&self, seed: &Seed) -> bool {
        let reads = if self.uses_keystone_table() {
            self.v3_sees(seed) || self.v3_manages(seed)
        } else {
            self.reads_secret(seed)
                && self.delegation_reaches(seed.project, seed.form != Form::Totp)
        };
        reads || seed.form != Form::Totp && self.is_reading_gateway()
    }
}
