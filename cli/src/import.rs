//! The command `import`: from a file to a store.

use crate::{
    format::{ReadError, Reader},
    load::Loader,
    options::{Import, OpenWith},
    passphrase,
    progress::Progress,
    report::{Exit, Failure, Report},
    scan::Records,
    seal::{Counting, Key, SealKind, seal_kind},
    store::open,
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

/// Records per batch, and how many batches are read ahead.
const BATCH: usize = 1_000;
const READ_AHEAD: usize = 8;

/// The bytes that are read at once.
const BUFFER: usize = 1 << 16;

type Input = BufReader<Box<dyn Read + Send>>;

pub(crate) async fn run(options: Import, files: SecretFiles) -> Result<Report, Failure> {
    let Import { store: args, file, salvage, key } = options;
    let from_stdin = file == Path::new("-");
    let (mut input, bytes) = open_file(&file)?;
    #[cfg(feature = "keystone")]
    if let Some(folder) = &key.keystone_keys {
        let keys = crate::keystone::keys(folder)?;
        let store = open(&args, files, OpenMode::Create).await?;
        let input = with_progress(input, "reading", bytes);
        let report = crate::keystone::import(input, &keys, &store).await?;
        return Ok(report.with("store", redact_url(&args.url)));
    }
    let key = Arc::new(open_with(key, &mut input, files)?);
    if !from_stdin && !salvage {
        // Checks the whole export first.
        let key = Arc::clone(&key);
        let checked = with_progress(input, "reading", bytes);
        spawn_blocking(move || read(checked, &key, |_| true))
            .await
            .map_err(|error| panicked(&error))??;
        (input, _) = open_file(&file)?;
    }
    let store = open(&args, files, OpenMode::Create).await?;
    let mut loader = Loader::new(store.backend(), store.usage_log());
    let input = with_progress(input, "importing", bytes);
    let imported = import(input, key, &mut loader).await;
    let report = Report::default()
        .with("store", redact_url(&args.url))
        .with("file", file.display().to_string())
        .failing(imported.err());
    Ok(loader.tally().add_to(report))
}

/// Loads the records of an export up to its end, or up to the damage.
async fn import(input: Input, key: Arc<Key>, loader: &mut Loader) -> Result<(), Failure> {
    let (sender, mut batches) = mpsc::channel(READ_AHEAD);
    let reading =
        spawn_blocking(move || read(input, &key, |batch| sender.blocking_send(batch).is_ok()));
    while let Some(batch) = batches.recv().await {
        loader.push(batch).await?;
    }
    let checked = reading.await.map_err(|error| panicked(&error))?;
    loader.finish().await?;
    checked
}

/// Reads an export in batches until it ends or `push` returns `false`.
fn read(input: Input, key: &Key, mut push: impl FnMut(Records) -> bool) -> Result<(), Failure> {
    let mut reader = Reader::new(key.open(input)?).map_err(|error| unreadable(&error))?;
    let mut batch = Records::default();
    loop {
        let next = reader.next();
        let is_last = !matches!(next, Ok(Some(_)));
        let result = next.map(|next| {
            if let Some((record, last_used)) = next {
                batch.last_used.extend(last_used.map(|time| (record.id.clone(), time)));
                batch.records.push(Arc::new(record));
            }
        });
        if is_last || batch.records.len() == BATCH {
            // Also the records before the damage, for `--salvage`.
            if !push(mem::take(&mut batch)) {
                return Ok(());
            }
            if is_last {
                return result.map_err(|error| unreadable(&error));
            }
        }
    }
}

/// Opens a file or stdin. Also returns the length of a file; stdin and a pipe have none.
fn open_file(file: &Path) -> Result<(Input, Option<u64>), Failure> {
    let (input, bytes): (Box<dyn Read + Send>, _) = if file == Path::new("-") {
        (Box::new(io::stdin()), None)
    } else {
        let cannot = |error| {
            let message = format!("cannot read {}: {error}", file.display());
            Failure::new(Exit::Unreadable, message)
        };
        let opened = File::open(file).map_err(cannot)?;
        let metadata = opened.metadata().map_err(cannot)?;
        (Box::new(opened), metadata.is_file().then_some(metadata.len()))
    };
    Ok((BufReader::with_capacity(BUFFER, input), bytes))
}

/// Shows the progress through an input, from now on: a bar must not hide a prompt.
fn with_progress(input: Input, activity: &'static str, bytes: Option<u64>) -> Input {
    let progress = Progress::of_bytes(activity, bytes);
    let count = move |read| progress.add(read as u64);
    BufReader::with_capacity(BUFFER, Box::new(Counting { inner: input, count }))
}

/// The key of an export: from the options, the environment or a prompt.
fn open_with(options: OpenWith, input: &mut Input, files: SecretFiles) -> Result<Key, Failure> {
    let OpenWith { identity, passphrase_file, plaintext, .. } = options;
    if plaintext {
        return Ok(Key::Plaintext);
    }
    if let Some(path) = identity {
        return Key::from_file(&path, files);
    }
    if let Some(path) = passphrase_file {
        return passphrase::from_file(&path, files).map(Key::Passphrase);
    }
    let usage = |message: &str| Failure::new(Exit::Usage, message);
    match seal_kind(input.fill_buf()?) {
        SealKind::Keys => Err(usage("the export is sealed to a key: --identity is required")),
        SealKind::None => Err(usage("the export is not sealed: --plaintext is required")),
        SealKind::Passphrase => {
            let passphrase = match passphrase::from_env()? {
                None => passphrase::from_terminal(false)?,
                passphrase => passphrase,
            };
            let message = "the export is sealed with a passphrase: --passphrase-file or \
                CREDENTIALS_PASSPHRASE is required";
            passphrase.map(Key::Passphrase).ok_or_else(|| usage(message))
        }
    }
}

fn unreadable(error: &ReadError) -> Failure {
    Failure::new(Exit::Unreadable, error.to_string())
}

fn panicked(error: &JoinError) -> Failure {
    Failure::of(Exit::Problem, error)
}
