//! The command line.

use std::{net::SocketAddr, path::PathBuf};

use clap::Parser;
use example_support::backend::StoreOptions;

/// An S3 server that mints, lists, disables and revokes its own access keys, and keeps
/// objects in memory.
#[derive(Parser)]
pub struct Options {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:8339")]
    pub listen: SocketAddr,
    /// TOML file of tokens, users and projects; without it the public development set.
    #[arg(long)]
    pub identities: Option<PathBuf>,
    /// Where credentials live: `memory:`, `sqlite:PATH`,
    /// `postgres://USER:PASSWORD@HOST/DATABASE` or
    /// `etcd://HOST:PORT,HOST:PORT`.
    ///
    /// `env:NAME` takes the URL from the environment, `@PATH` from the first line of a file that
    /// only its owner may read: so that its password is not seen.
    #[arg(long, value_name = "URL", default_value = "memory:")]
    pub backend: String,
    #[command(flatten)]
    pub store: StoreOptions,
    /// Domain below which hosts name buckets, beside those that paths name.
    #[arg(long)]
    pub base_domain: Option<String>,
    /// Create a key for `alice` of the development identities, and print it.
    #[arg(long, conflicts_with = "identities")]
    pub demo_key: bool,
    /// Admits signatures of version 2, which sign less.
    #[arg(long)]
    pub signature_v2: bool,
    /// How many bytes of objects to keep; each object counts 8 KiB more than it holds.
    #[arg(long, default_value_t = 1 << 30)]
    pub max_bytes: u64,
}
