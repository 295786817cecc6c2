//! Carries out commands: create, list, show, change and delete credentials, and verify
//! signatures.
//!
//! A use case takes a command and returns an outcome. HTTP and wire formats are in the dialects.

use crate::error::Error;

mod audited;
mod checks;
mod credentials;
mod detached;
mod ec2;
mod grants;
mod keys;
mod listing;
mod minting;
mod outcome;
mod own_keys;
mod requester;
mod rotation;
mod sessions;
mod signatures;
mod signers;
mod subject;
mod terms;
mod turns;
mod usage;
mod write;

pub(crate) use self::{
    checks::Authority,
    credentials::{
        CreateCredential, CredentialCommand, Field, ListCredentials, Match, Matching, STATUS,
        UpdateCredential, wrong_status,
    },
    ec2::{CreateEc2, Ec2Command, ListEc2},
    grants::{Grant, GrantCommand, ListGrants, Proof, listed_as},
    keys::{CreateKey, KeyCommand, ListKeys, SUBJECT, UpdateKey},
    listing::End,
    minting::MintLimit,
    outcome::{LAST_USED, LastUsed, Listing, Outcome, SecretView, View},
    own_keys::{OwnKeyAction, OwnKeyCommand, OwnKeyOutcome},
    requester::Requester,
    rotation::{DEFAULT_OVERLAP, MAX_OVERLAP},
    sessions::{AssumeRole, SessionCommand, SessionOutcome},
    signatures::{SignatureCommand, Verified},
    signers::{Signer, SignerError, SignerErrorKind},
    terms::{COMPUTED, GivenTerms, TermFilter},
};

/// A request about credentials, independent of its dialect.
#[derive(Debug)]
pub(crate) enum Command {
    /// Concerns a v3 credential, addressed by its id.
    Credential(CredentialCommand),
    /// Concerns a user's key pair through OS-EC2, addressed by its access key.
    Ec2(Ec2Command),
    /// Concerns a v2 grant, addressed by user and slot.
    Grant(GrantCommand),
    /// Concerns a key pair, addressed by its access key.
    Key(KeyCommand),
}

impl Authority {
    /// Carries out a command on behalf of a caller.
    pub(crate) async fn run(&self, caller: &Requester, command: Command) -> Result<Outcome, Error> {
        let outcome = match command {
            Command::Credential(command) => {
                self.with_last_use(self.run_credential(caller, command).await?).await
            }
            Command::Ec2(command) => self.run_ec2(caller, command).await?,
            Command::Grant(command) => self.run_grant(caller, command).await?,
            Command::Key(command) => self.with_last_use(self.run_key(caller, command).await?).await,
        };
        self.record_power(caller, &outcome);
        Ok(outcome)
    }
}
