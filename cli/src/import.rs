//! From a file to a store.

use crate::{
    format::{ReadError, Reader},
    load::Loader,
    open::open,
    options::{Import, OpenWith},
    outcome::{Exit, Failure, Outcome},
    passphrase,
    progress::Progress,
    seal::{Counting, Key, SealOf, seal_of},
    walk::Records,
};
use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    mem,
    path::Path,
    sync::Arc,
};
use tokio::{
    sync::mpsc,
    task::{JoinError, spawn_blocking},
};
use tower_credentials::{
    backend::{OpenMode, redact_url},
    secret_files::SecretFiles,
};

/// How many records are handed on together, and how many such parts wait.
const PART: usize = 1_000;
const PARTS: usize = 8;

type Input = BufReader<Box<dyn Read + Send>>;

pub(crate) async fn run(options: Import, files: SecretFiles) -> Result<Outcome, Failure> {
    let Import { store: args, file, salvage, key } = options;
    let from_stdin = file == Path::new("-");
    let mut input = open_file(&file, "reading")?;
    #[cfg(feature = "keystone")]
    if let Some(folder) = &key.keystone_keys {
        let keys = crate::keystone::keys(folder)?;
        let store = open(&args, files, OpenMode::Create).await?;
        let outcome = crate::keystone::import(input, &keys, &store).await?;
        return Ok(outcome.with("store", redact_url(&args.url)));
    }
    let key = Arc::new(open_with(key, &mut input, files)?);
    if !from_stdin && !salvage {
        // Nothing is taken from an export that is not whole.
        let key = Arc::clone(&key);
        spawn_blocking(move || read(input, &key, |_| true))
            .await
            .map_err(|error| panicked(&error))??;
        input = open_file(&file, "importing")?;
    }
    let store = open(&args, files, OpenMode::Create).await?;
    let mut loader = Loader::new(store.backend(), store.usage_log());
    let imported = import(input, key, &mut loader).await;
    let outcome = Outcome::default()
        .with("store", redact_url(&args.url))
        .with("file", file.display().to_string())
        .failing(imported.err());
    Ok(loader.tally().tell(outcome))
}

/// Loads the records of an export, up to its end or the damage.
async fn import(input: Input, key: Arc<Key>, loader: &mut Loader) -> Result<(), Failure> {
    let (parts, mut records) = mpsc::channel(PARTS);
    let reading =
        spawn_blocking(move || read(input, &key, |part| parts.blocking_send(part).is_ok()));
    while let Some(part) = records.recv().await {
        loader.push(part).await?;
    }
    let is_whole = reading.await.map_err(|error| panicked(&error))?;
    loader.finish().await?;
    is_whole
}

/// Reads an export, in parts, until it ends or nobody takes them any more.
fn read(input: Input, key: &Key, mut take: impl FnMut(Records) -> bool) -> Result<(), Failure> {
    let mut reader = Reader::new(key.open(input)?).map_err(|error| unreadable(&error))?;
    let mut part = Records::default();
    loop {
        let next = reader.next();
        let is_over = !matches!(next, Ok(Some(_)));
        let result = next.map(|next| {
            if let Some((record, last_used)) = next {
                part.uses.extend(last_used.map(|time| (record.id.clone(), time)));
                part.records.push(Arc::new(record));
            }
        });
        if is_over || part.records.len() == PART {
            // What precedes the damage is handed on too: it was read, and may be wanted.
            if !take(mem::take(&mut part)) {
                return Ok(());
            }
            if is_over {
                return result.map_err(|error| unreadable(&error));
            }
        }
    }
}

/// Opens a file, or stdin; shows how much of it was read.
fn open_file(file: &Path, doing: &'static str) -> Result<Input, Failure> {
    let input: Box<dyn Read + Send> = if file == Path::new("-") {
        Box::new(io::stdin())
    } else {
        let cannot = |error| {
            let what = format!("cannot read {}: {error}", file.display());
            Failure::new(Exit::Unreadable, what)
        };
        let opened = File::open(file).map_err(cannot)?;
        let progress = Progress::of_bytes(doing, opened.metadata().map_err(cannot)?.len());
        Box::new(Counting { inner: opened, count: move |read| progress.add(read as u64) })
    };
    Ok(BufReader::with_capacity(1 << 16, input))
}

/// The key to an export, or what asks for it.
fn open_with(options: OpenWith, input: &mut Input, files: SecretFiles) -> Result<Key, Failure> {
    let OpenWith { identity, passphrase_file, plaintext, .. } = options;
    if plaintext {
        return Ok(Key::None);
    }
    if let Some(path) = identity {
        return Key::from_file(&path, files);
    }
    if let Some(path) = passphrase_file {
        return passphrase::from_file(&path, files).map(Key::Passphrase);
    }
    let usage = |what: &str| Failure::new(Exit::Usage, what);
    match seal_of(input.fill_buf()?) {
        SealOf::Keys => Err(usage("the export is sealed to a key: it takes --identity")),
        SealOf::Nothing => Err(usage("the export is not sealed: it takes --plaintext")),
        SealOf::Passphrase => {
            let passphrase = match passphrase::from_env()? {
                None => passphrase::from_terminal(false)?,
                passphrase => passphrase,
            };
            let what = "the export is sealed with a passphrase: it takes --passphrase-file, or \
                CREDENTIALS_PASSPHRASE";
            passphrase.map(Key::Passphrase).ok_or_else(|| usage(what))
        }
    }
}

fn unreadable(error: &ReadError) -> Failure {
    Failure::new(Exit::Unreadable, error.to_string())
}

fn panicked(error: &JoinError) -> Failure {
    Failure::of(Exit::Problem, error)
}
