//! The command line.

use std::path::PathBuf;

use crate::command_line::SecretFileOptions;
use crate::outcome::Failure;
use age::x25519::Recipient;
use clap::{Args, Parser, Subcommand};
use tower_credentials::{backend::resolve_url, secret_files::SecretFiles};

/// Looks after stores of credentials: makes, moves, counts and checks them.
///
/// A store is named by its URL: `sqlite:PATH`, `postgres://USER:PASSWORD@HOST/DATABASE`, or
/// `etcd://HOST:PORT,HOST:PORT/PREFIX` (`etcds://` with TLS). Instead of a URL with a password, which
/// others on the machine would see, take `env:NAME`, a variable that holds the URL, or `@PATH`, a file
/// of yours alone whose first line it is. Secrets that are sealed at rest take `--key-ring`.
#[derive(Parser)]
#[command(after_long_help = EXITS)]
pub(crate) struct Options {
    /// Tell the outcome as one JSON object on stdout.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) secret_files: SecretFileOptions,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXITS: &str = "\
Exit codes:
  0  all went well
  1  something is wrong with a store, or it was found to be; or the command was interrupted
  2  the command line makes no sense
  3  a store is not there, or cannot be reached: try again
  4  something else is there already: a store, a file, or other records with the same names
  5  an export cannot be read: it is damaged, cut short, or sealed otherwise";

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make a store where there is none.
    Init(StoreArgs),
    /// Bring a store to the schema of this release.
    Migrate(StoreArgs),
    /// Write all records of a store to a file, sealed.
    ///
    /// Records that are written while it runs are in the export or not; each is whole. The
    /// file is readable by its owner only, and is there once it is whole.
    Export(Export),
    /// Read the records of an export into a store.
    ///
    /// What is there stays: records that are there already are skipped, and those whose names
    /// others hold are refused and told. So it may be run again, as after an interruption. The
    /// export is read through before anything of it is imported, unless it comes from stdin.
    Import(Import),
    /// Read the records of one store into another.
    ///
    /// What is there stays, as in an import, and it may be run again.
    Copy {
        /// The store to read.
        from: String,
        /// The store to write.
        to: String,
        /// Opens what is sealed in the store to read.
        #[arg(long, value_name = "FILE")]
        from_key_ring: Option<String>,
        /// Seals in the store to write.
        #[arg(long, value_name = "FILE")]
        to_key_ring: Option<String>,
    },
    /// Make a key for a key ring, or make it the newest one there.
    ///
    /// The newest key of a ring seals, and any opens. Where several processes share a store,
    /// first put a key into their rings with --standby and restart them; then put it last, by
    /// the same command without --standby, and restart them again; then reseal the store.
    Key {
        /// The file of the ring; made if it is not there, of its owner only.
        file: PathBuf,
        /// What the key is called: letters, digits, - and _.
        id: String,
        /// Put a new key before the newest one: it opens, and does not seal yet.
        #[arg(long)]
        standby: bool,
    },
    /// Delete records by their ids, such as those that `verify` and `reseal` cannot open.
    ///
    /// It takes no keys: records are deleted as they lie in the store.
    Remove {
        /// The store.
        url: String,
        /// The ids of the records, not their access keys.
        #[arg(required = true)]
        ids: Vec<String>,
    },
    /// Seal everything in a store with the newest key, and take the other keys out of use.
    ///
    /// Reads and writes go on meanwhile. It may be run again, as after an interruption.
    Reseal {
        #[command(flatten)]
        store: StoreArgs,
        /// Seal a store that holds plain records too. Stop what writes to it without keys before.
        #[arg(long)]
        adopt: bool,
    },
    /// Count what is in a store.
    Stats(StoreArgs),
    /// Look for what is wrong in a store.
    ///
    /// Every record must be readable, and be what its id, its access key and its slot find; and
    /// counters must be right.
    Verify {
        #[command(flatten)]
        store: StoreArgs,
        /// Set the counters right that quotas go by, in a store that keeps some.
        #[arg(long)]
        repair: bool,
    },
}

impl Command {
    /// The same command, with each URL of a store that is somewhere else in its place.
    pub(crate) fn with_urls(mut self, files: SecretFiles) -> Result<Self, Failure> {
        let urls = match &mut self {
            Self::Copy { from, to, .. } => vec![from, to],
            Self::Export(Export { store, .. })
            | Self::Import(Import { store, .. })
            | Self::Init(store)
            | Self::Migrate(store)
            | Self::Reseal { store, .. }
            | Self::Stats(store)
            | Self::Verify { store, .. } => vec![&mut store.url],
            Self::Key { .. } => Vec::new(),
            Self::Remove { url, .. } => vec![url],
        };
        for url in urls {
            *url = resolve_url(url, files)?;
        }
        Ok(self)
    }
}

#[derive(Args)]
pub(crate) struct StoreArgs {
    /// The store: its URL, `env:NAME` or `@PATH`.
    pub(crate) url: String,
    /// The keys that its secrets are sealed with, one `id = base64` a line, the newest one last;
    /// `env:NAME` takes them from the environment.
    #[arg(long, value_name = "FILE")]
    pub(crate) key_ring: Option<String>,
}

#[derive(Args)]
pub(crate) struct Export {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// The file to make; `-` is stdout.
    #[arg(default_value = "-")]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) seal: SealWith,
}

/// Without any of these a passphrase is asked for.
#[derive(Args)]
#[group(multiple = false)]
pub(crate) struct SealWith {
    /// Seal it to this public key (age1...), or to several.
    #[arg(long, value_name = "KEY")]
    pub(crate) recipient: Vec<Recipient>,
    /// Seal it with the passphrase in the first line of this file [default: that of the
    /// environment's `CREDENTIALS_PASSPHRASE`, or what is typed].
    #[arg(long, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Do not seal it: whoever reads the file has every secret.
    #[arg(long)]
    pub(crate) plaintext: bool,
}

#[derive(Args)]
pub(crate) struct Import {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// The export; `-` is stdin.
    pub(crate) file: PathBuf,
    /// Import what precedes the damage in an export that is not whole.
    #[arg(long)]
    pub(crate) salvage: bool,
    #[command(flatten)]
    pub(crate) key: OpenWith,
}

#[derive(Args)]
#[group(multiple = false)]
pub(crate) struct OpenWith {
    /// Open it with the keys in this file, as age-keygen writes it.
    #[arg(long, value_name = "FILE")]
    pub(crate) identity: Option<PathBuf>,
    /// Open it with the passphrase in the first line of this file [default: that of the
    /// environment's `CREDENTIALS_PASSPHRASE`, or what is typed].
    #[arg(long, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Take an export that is not sealed, which anybody may have changed.
    #[arg(long)]
    pub(crate) plaintext: bool,
    /// Take a dump of the table `credential` of OpenStack Keystone, one row a line as JSON, whose
    /// blobs the keys in this folder open (/etc/keystone/credential-keys); `null` for a Keystone
    /// without keys.
    #[cfg(feature = "keystone")]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) keystone_keys: Option<PathBuf>,
}
