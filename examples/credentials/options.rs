//! The command line.

use std::path::PathBuf;

use age::x25519::Recipient;
use clap::{Args, Parser, Subcommand};

/// Looks after stores of credentials: makes, moves, counts and checks them.
///
/// A store is named by its URL: sqlite:PATH, postgres://USER:PASSWORD@HOST/DATABASE or
/// etcd://HOST:PORT,HOST:PORT (etcds:// with TLS).
#[derive(Parser)]
#[command(after_long_help = EXITS)]
pub(crate) struct Options {
    /// Tell the outcome as one JSON object on stdout.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXITS: &str = "\
Exit codes:
  0  all went well
  1  something is wrong with a store, or it was found to be
  2  the command line makes no sense
  3  a store is not there, or cannot be reached: try again
  4  something else is there already: a store, a file, or other records with the same names
  5  an export cannot be read: it is damaged, cut short, or sealed otherwise";

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make a store where there is none.
    Init {
        /// The store.
        url: String,
    },
    /// Bring a store to the schema of this release.
    Migrate {
        /// The store.
        url: String,
    },
    /// Write all records of a store to a file, sealed.
    ///
    /// Records that are written while it runs are in the export or not; each is whole. The
    /// file is readable by its owner only, and is there once it is whole. When keys were last
    /// used is not in it.
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
    },
    /// Count what is in a store.
    Stats {
        /// The store.
        url: String,
    },
    /// Look for what is wrong in a store.
    ///
    /// Every record must be readable, and be what its id, its access key and its slot find.
    Verify {
        /// The store.
        url: String,
    },
}

#[derive(Args)]
pub(crate) struct Export {
    /// The store.
    pub(crate) url: String,
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
    /// environment's CREDENTIALS_PASSPHRASE, or what is typed].
    #[arg(long, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Do not seal it: whoever reads the file has every secret.
    #[arg(long)]
    pub(crate) plaintext: bool,
}

#[derive(Args)]
pub(crate) struct Import {
    /// The store.
    pub(crate) url: String,
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
    /// environment's CREDENTIALS_PASSPHRASE, or what is typed].
    #[arg(long, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Take an export that is not sealed, which anybody may have changed.
    #[arg(long)]
    pub(crate) plaintext: bool,
}
