//! The options of the commands for keys.

use std::time::Duration;

use clap::{Args, Subcommand};

use crate::{
    options::StoreArgs,
    times::{When, parse_duration, parse_overlap, parse_when},
};

#[derive(Args)]
pub(crate) struct List {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// Only the records of this user.
    #[arg(long, value_name = "ID")]
    pub(crate) user: Option<String>,
    /// Only the records of this project.
    #[arg(long, value_name = "ID")]
    pub(crate) project: Option<String>,
    /// Only the records with this name.
    #[arg(long, value_name = "TEXT")]
    pub(crate) name: Option<String>,
    /// Only the records whose name contains this text. Case matters.
    #[arg(long, value_name = "TEXT")]
    pub(crate) name_contains: Option<String>,
    /// Only the records that expire before this time (2027-01-31T23:59:59Z), or within this
    /// duration (30d); also those that have expired. Sorts by expiry.
    #[arg(long, value_name = "TIME|DURATION", value_parser = parse_when)]
    pub(crate) expires_before: Option<When>,
}

#[derive(Args)]
pub(crate) struct Show {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// The access key, or the id of the record.
    #[arg(value_name = "ACCESS|ID")]
    pub(crate) key: String,
}

#[derive(Subcommand)]
pub(crate) enum KeyCommand {
    /// Create a key, and print its access key and its secret.
    ///
    /// Later, only an export contains the secret. The quotas and the maximum life of servers do not
    /// apply.
    Create(CreateKey),
    /// Replace a key by a new one, and print the new access key and its secret.
    ///
    /// The new key has the same owner, project, name, description and boundary. The old key remains
    /// valid during the overlap, unless it expires sooner. The new key expires as long from now as
    /// the old one did from its creation. Both keys change in one step, or neither. With
    /// `--overlap 0` the record keeps its id and its expiry, and the old key becomes invalid. The
    /// quotas and the maximum life of servers do not apply.
    Rotate(RotateKey),
    /// Disable a key, so that its signatures are rejected.
    Disable(KeyArgs),
    /// Enable a disabled key.
    ///
    /// A key that has expired remains expired.
    Enable(KeyArgs),
    /// Delete a key.
    Delete(KeyArgs),
}

#[derive(Args)]
pub(crate) struct CreateKey {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// The owner.
    #[arg(long, value_name = "ID")]
    pub(crate) user: String,
    /// The project.
    #[arg(long, value_name = "ID")]
    pub(crate) project: Option<String>,
    /// A name, which need not be unique: at most 128 characters.
    #[arg(long, value_name = "TEXT")]
    pub(crate) name: Option<String>,
    /// A description: at most 1,024 characters.
    #[arg(long, value_name = "TEXT")]
    pub(crate) description: Option<String>,
    /// When the key expires: a time (2027-01-31T23:59:59Z) or a duration (90d, 24h, 30m, 45s), at
    /// least 60 seconds from now [default: never].
    #[arg(long, value_name = "TIME|DURATION", value_parser = parse_when)]
    pub(crate) expires: Option<When>,
    /// A file with the most that the key may do, as JSON: `{"permission": "read", "buckets":
    /// ["data"]}` or `{"policy": DOCUMENT}`; `-` is stdin.
    #[arg(long, value_name = "FILE")]
    pub(crate) boundary: Option<String>,
}

#[derive(Args)]
pub(crate) struct RotateKey {
    #[command(flatten)]
    pub(crate) key: KeyArgs,
    /// How long the old key remains valid: at most 30d. `0` replaces it in place.
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = parse_overlap)]
    pub(crate) overlap: Duration,
}

#[derive(Args)]
pub(crate) struct KeyArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// The access key.
    #[arg(value_name = "ACCESS")]
    pub(crate) access_key: String,
}

#[derive(Args)]
pub(crate) struct Purge {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// How long ago the keys must have expired: 30d, 24h, 30m or 45s.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) expired_for: Duration,
    /// Delete nothing; report the keys.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Args)]
pub(crate) struct Stats {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// Also count the valid keys that are older than this, or valid for longer: 90d, 24h, 30m or 45s.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) max_key_life: Option<Duration>,
}

impl KeyCommand {
    /// The name of the command.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Create(_) => "key create",
            Self::Delete(_) => "key delete",
            Self::Disable(_) => "key disable",
            Self::Enable(_) => "key enable",
            Self::Rotate(_) => "key rotate",
        }
    }

    /// The store of the command.
    pub(crate) fn store_mut(&mut self) -> &mut StoreArgs {
        match self {
            Self::Create(options) => &mut options.store,
            Self::Delete(key) | Self::Disable(key) | Self::Enable(key) => &mut key.store,
            Self::Rotate(options) => &mut options.key.store,
        }
    }
}
