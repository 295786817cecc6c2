//! The command line.

use std::{
    env,
    io::{self, IsTerminal as _},
    path::PathBuf,
    process,
    time::Duration,
};

use crate::{
    key_options::{KeyCommand, List, Purge, Show, Stats},
    report::Failure,
    times::parse_duration,
};
use age::x25519::Recipient;
use clap::{Args, Parser, Subcommand};
use tower_credentials::{
    audit::file::ChainHead,
    backend::{redact_arguments, resolve_url},
    secret_files::SecretFiles,
};
use tracing_subscriber::{
    filter::Targets, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

/// Creates, moves, counts and checks stores of credentials.
///
/// The URL of a store is `sqlite:PATH`, `postgres://USER:PASSWORD@HOST/DATABASE`, or
/// `etcd://HOST:PORT,HOST:PORT/PREFIX` (`etcds://` with TLS). Other users of the machine can see a
/// password in an argument. `env:NAME` takes the URL from an environment variable, and `@PATH` from
/// the first line of a file that only you can read. A store with sealed secrets needs `--key-ring`.
#[derive(Parser)]
#[command(name = "credentials", version, after_long_help = EXITS)]
pub(crate) struct Options {
    /// Print the report to stdout as one JSON object.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) secret_files: SecretFileOptions,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXITS: &str = "\
Exit codes:
  0  success
  1  a check failed, a store cannot be used, or the command was interrupted
  2  invalid arguments
  3  a store does not exist or cannot be reached: retry later
  4  a store, a file, or a record with the same id, access key or slot already exists
  5  an export cannot be read: it is damaged, truncated, or sealed with another key";

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Check the files that a server writes with `--audit-file`.
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Create a store.
    Init(StoreArgs),
    /// Upgrade a store to the schema of this release.
    Migrate(StoreArgs),
    /// Export all records of a store to a sealed file.
    ///
    /// A record that is written during the export may be missing from it, but is never partial.
    /// Only the owner can read the file. The file appears when it is complete.
    Export(Export),
    /// Import the records of an export into a store.
    ///
    /// An import never overwrites. It skips records that the store already has, and reports those
    /// whose id, access key or slot belongs to another record. After an interruption, run it again.
    /// It checks the whole export before it imports the first record, unless the export comes from
    /// stdin.
    Import(Import),
    /// Copy the records of one store to another.
    ///
    /// Like an import, a copy never overwrites. After an interruption, run it again.
    Copy {
        /// The store to read.
        from: String,
        /// The store to write.
        to: String,
        /// The key ring of the store to read.
        #[arg(long, value_name = "FILE")]
        from_key_ring: Option<String>,
        /// The key ring of the store to write.
        #[arg(long, value_name = "FILE")]
        to_key_ring: Option<String>,
    },
    /// List keys and other records, without their secrets.
    ///
    /// Prints the table to stdout, and the number of records to stderr.
    List(List),
    /// Show one record without its secret: also its boundary, and the policy document that the
    /// boundary compiles to.
    Show(Show),
    /// Create, rotate, disable, enable or delete a key.
    ///
    /// Servers with a cache follow the changes of the store: a change takes effect within a second.
    /// While that is interrupted, it takes effect within their `--key-ttl`.
    #[command(subcommand)]
    Key(KeyCommand),
    /// Delete the keys that expired long ago.
    ///
    /// A key that is extended meanwhile is not deleted. After an interruption, run it again.
    Purge(Purge),
    /// Add a key to a key ring, or make an existing key the newest one.
    ///
    /// The newest key of a ring seals; every key opens. If several processes share a store, rotate
    /// in three steps. Add the key to their rings with --standby, and restart them. Run the same
    /// command without --standby, and restart them again. Then reseal the store.
    Ring {
        /// The file of the ring. The command creates it if it does not exist; only its owner can read it.
        file: PathBuf,
        /// The name of the key: letters, digits, - and _.
        id: String,
        /// Add the key before the newest one: it opens, but does not seal yet.
        #[arg(long)]
        standby: bool,
    },
    /// Delete records by id, for example those that `verify` and `reseal` cannot open.
    ///
    /// Needs no key ring, even if the store is sealed.
    Remove {
        /// The store.
        url: String,
        /// The ids of the records, not their access keys.
        #[arg(required = true)]
        ids: Vec<String>,
    },
    /// Make temporary credentials from a key, without a store and without a server.
    ///
    /// The key is in `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`. The credentials may do what
    /// the key may do, within the policy. They end when the key is disabled, deleted or replaced.
    Session(SessionOptions),
    /// Seal all records of a store with the newest key, so that the other keys can be removed.
    ///
    /// Other processes may read and write meanwhile. After an interruption, run it again.
    Reseal {
        #[command(flatten)]
        store: StoreArgs,
        /// Also seal plain records. First stop the processes that write without a key ring.
        #[arg(long)]
        adopt: bool,
    },
    /// Count the records of a store.
    ///
    /// `ages`, `last uses` and `expiries` count the records with an access key, also disabled ones:
    /// by the time since their creation, by the time since their last use, and by the time until
    /// their expiry. Each record counts once in each of the three. etcd has no log of last uses. In a
    /// terminal, these counts have bars; the longest bar is the largest count of its list. Pipes and
    /// files get the counts without bars.
    Stats(Stats),
    /// Check a store.
    ///
    /// Checks that every record can be read, that lookups by id, access key and slot return it, and
    /// that the quota counters are right.
    Verify {
        #[command(flatten)]
        store: StoreArgs,
        /// Correct the quota counters, if the store has any.
        #[arg(long)]
        repair: bool,
    },
}

impl Command {
    /// Resolves `env:NAME` and `@PATH` to the URLs of stores.
    pub(crate) fn with_urls(mut self, files: SecretFiles) -> Result<Self, Failure> {
        let urls = match &mut self {
            Self::Copy { from, to, .. } => vec![from, to],
            Self::Export(Export { store, .. })
            | Self::Import(Import { store, .. })
            | Self::Init(store)
            | Self::Migrate(store)
            | Self::List(List { store, .. })
            | Self::Purge(Purge { store, .. })
            | Self::Reseal { store, .. }
            | Self::Show(Show { store, .. })
            | Self::Stats(Stats { store, .. })
            | Self::Verify { store, .. } => vec![&mut store.url],
            Self::Key(key) => vec![&mut key.store_mut().url],
            Self::Audit(_) | Self::Ring { .. } | Self::Session(_) => Vec::new(),
            Self::Remove { url, .. } => vec![url],
        };
        for url in urls {
            *url = resolve_url(url, files)?;
        }
        Ok(self)
    }
}

#[derive(Subcommand)]
pub(crate) enum AuditCommand {
    /// Check that no line of an audit log was changed, removed or moved.
    ///
    /// Give all files of one log, the oldest first. If the oldest files are not there any more, give
    /// --after.
    Verify(AuditVerify),
}

#[derive(Args)]
pub(crate) struct AuditVerify {
    /// The key of the log: a file, or `env:NAME` for an environment variable.
    #[arg(long, value_name = "FILE")]
    pub(crate) key: String,
    /// A head of the chain from the server's own log, `SEQ:CODE` (repeatable).
    ///
    /// Without it, the removal of the last lines is not found.
    #[arg(long, value_name = "HEAD", value_parser = parse_head)]
    pub(crate) head: Vec<ChainHead>,
    /// The head of the chain from which the first file continues, as the server logged it when it
    /// rotated or started, `SEQ:CODE` [default: the beginning of the chain].
    #[arg(long, value_name = "HEAD", value_parser = parse_head)]
    pub(crate) after: Option<ChainHead>,
    /// The files, the oldest first.
    #[arg(required = true)]
    pub(crate) files: Vec<PathBuf>,
}

fn parse_head(text: &str) -> Result<ChainHead, String> {
    ChainHead::parse(text).ok_or_else(|| "expected SEQ:CODE, as in the server's log".to_owned())
}

#[derive(Args)]
pub(crate) struct SessionOptions {
    /// A name for the session: 2 to 64 characters of `A-Za-z0-9_+=,.@-`.
    #[arg(long, value_name = "TEXT", default_value = "session")]
    pub(crate) name: String,
    /// How long the credentials are valid: at most 36h.
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = parse_duration)]
    pub(crate) life: Duration,
    /// A file with an IAM policy document: the most that the credentials may do; `-` is stdin.
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<String>,
    /// Print the credentials as AWS clients read them from the program that is set as
    /// `credential_process`.
    #[arg(long, conflicts_with = "json")]
    pub(crate) credential_process: bool,
}

#[derive(Args)]
pub(crate) struct StoreArgs {
    /// The store: its URL, `env:NAME` or `@PATH`.
    pub(crate) url: String,
    /// The keys that seal its secrets, one `id = base64` per line, the newest one last. `env:NAME`
    /// takes them from an environment variable.
    #[arg(long, value_name = "FILE")]
    pub(crate) key_ring: Option<String>,
    /// The name of the option above, for error messages.
    #[arg(skip = "--key-ring")]
    pub(crate) key_ring_option: &'static str,
}

#[derive(Args)]
pub(crate) struct Export {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// The file to create; `-` is stdout.
    #[arg(default_value = "-")]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) seal: SealWith,
}

/// How to seal an export. The default is a prompt for a passphrase.
#[derive(Args)]
#[group(multiple = false)]
pub(crate) struct SealWith {
    /// Seal to this public key (age1...); may be repeated.
    #[arg(long, value_name = "KEY")]
    pub(crate) recipient: Vec<Recipient>,
    /// Seal with the passphrase in the first line of this file [default: the environment variable
    /// `CREDENTIALS_PASSPHRASE`, or a prompt].
    #[arg(long, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Do not seal: the file shows every secret.
    #[arg(long)]
    pub(crate) plaintext: bool,
}

#[derive(Args)]
pub(crate) struct Import {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// The export; `-` is stdin.
    pub(crate) file: PathBuf,
    /// Import the records before the damage in a damaged or truncated export.
    #[arg(long)]
    pub(crate) salvage: bool,
    #[command(flatten)]
    pub(crate) key: OpenWith,
}

#[derive(Args)]
#[group(multiple = false)]
pub(crate) struct OpenWith {
    /// Open with the keys in this file, which age-keygen wrote.
    #[arg(long, value_name = "FILE")]
    pub(crate) identity: Option<PathBuf>,
    /// Open with the passphrase in the first line of this file [default: the environment variable
    /// `CREDENTIALS_PASSPHRASE`, or a prompt].
    #[arg(long, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Accept an export that is not sealed. Nothing protects it against changes.
    #[arg(long)]
    pub(crate) plaintext: bool,
    /// Import a dump of OpenStack Keystone's table `credential`, one row per line as JSON. The keys
    /// in this folder (/etc/keystone/credential-keys) decrypt the blobs; `null` is for a Keystone
    /// without keys.
    #[cfg(feature = "keystone")]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) keystone_keys: Option<PathBuf>,
}

/// Parses the command line. An error message hides the passwords in it.
pub(crate) fn parse() -> Options {
    Options::try_parse().unwrap_or_else(|error| {
        let message = error.render().to_string();
        let redacted = redact_arguments(&message, env::args_os());
        if redacted == message {
            error.exit();
        }
        eprint!("{redacted}");
        process::exit(error.exit_code())
    })
}

/// Which files with secrets are accepted.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct SecretFileOptions {
    /// Accept files with secrets that other users can read or write.
    ///
    /// By default, a file with a password, a passphrase, tokens or keys must belong to the user of
    /// this process or to root, and its group and others must have no permissions.
    #[arg(long, global = true)]
    accept_open_files: bool,
}

impl From<SecretFileOptions> for SecretFiles {
    fn from(options: SecretFileOptions) -> Self {
        Self::new()
            .accept_exposed(options.accept_open_files)
            .hint("--accept-open-files accepts the file as it is")
    }
}

/// Logs to stderr by the filter in `RUST_LOG`, or warnings if that is unset or not valid.
pub(crate) fn log_to_stderr() {
    let filter: Option<Targets> = env::var("RUST_LOG").ok().and_then(|filter| filter.parse().ok());
    let filter = filter.unwrap_or_else(|| Targets::new().with_default(tracing::Level::WARN));
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    let lines = lines.with_ansi(io::stderr().is_terminal());
    tracing_subscriber::registry().with(filter).with(lines).init();
}
