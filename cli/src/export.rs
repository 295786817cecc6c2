//! From a store to a file.

use std::{
    io::{self, BufWriter, IsTerminal, Write},
    path::Path,
};

use crate::{
    files,
    format::Writer,
    open::open,
    options::{Export, SealWith},
    outcome::{Exit, Failure, Outcome},
    passphrase,
    progress::Progress,
    seal::Seal,
    walk::{Damages, Met, Records, Walk},
};
use tempfile::{NamedTempFile, PersistError};
use tower_credentials::{
    backend::{OpenMode, Order, Store, redact_url},
    clock::{Clock, SystemClock},
    secret_files::SecretFiles,
};

pub(crate) async fn run(options: Export, files: SecretFiles) -> Result<Outcome, Failure> {
    let Export { store: args, file, seal } = options;
    let to_stdout = file == Path::new("-");
    let is_sealed = !seal.plaintext;
    if to_stdout && is_sealed && io::stdout().is_terminal() {
        let what = "a sealed export is nothing for a terminal: name a file";
        return Err(Failure::new(Exit::Usage, what));
    }
    if !to_stdout && file.exists() {
        return Err(there_already(&file));
    }
    let seal = seal_with(seal, files)?;
    let store = open(&args, files, OpenMode::Existing).await?;

    let mut damages = Damages::default();
    let records = if to_stdout {
        let (mut out, records) = write(&store, seal, io::stdout(), &mut damages).await?;
        out.flush()?;
        records
    } else {
        let (new, records) = write(&store, seal, files::beside(&file)?, &mut damages).await?;
        put_in_place(new, &file)?;
        records
    };
    let outcome = Outcome::default()
        .with("store", redact_url(&args.url))
        .with("file", file.display().to_string())
        .with("sealed", is_sealed)
        .with("records", records);
    Ok(damages.tell(outcome))
}

/// Writes all records; returns what they were written to, and how many they are.
async fn write<W: Write>(
    store: &Store,
    seal: Seal,
    to: W,
    damages: &mut Damages,
) -> Result<(W, u64), Failure> {
    let progress = Progress::of_records("exporting");
    let sealing = seal.wrap(BufWriter::with_capacity(1 << 16, to))?;
    let mut writer = Writer::new(sealing, SystemClock.now())?;
    let walk = Walk::new(store.backend(), Order::Id).with_uses(store.usage_log());
    let mut walk = walk.ahead();
    while let Some(met) = walk.next().await? {
        match met {
            Met::Damaged(record) => damages.add(record),
            Met::Records(Records { records, uses }) => {
                for record in &records {
                    writer.write(record, uses.get(&record.id).copied())?;
                }
                progress.add(records.len() as u64);
            }
        }
    }
    let (sealing, records) = writer.finish()?;
    let to = sealing.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
    Ok((to, records))
}

fn seal_with(options: SealWith, files: SecretFiles) -> Result<Seal, Failure> {
    if options.plaintext {
        return Ok(Seal::Plaintext);
    }
    if !options.recipient.is_empty() {
        return Ok(Seal::Recipients(options.recipient));
    }
    if let Some(path) = options.passphrase_file {
        return passphrase::from_file(&path, files).map(Seal::Passphrase);
    }
    let passphrase = match passphrase::from_env()? {
        None => passphrase::from_terminal(true)?,
        passphrase => passphrase,
    };
    passphrase.map(Seal::Passphrase).ok_or_else(|| {
        let what = "an export is sealed: it takes --recipient, --passphrase-file, or \
            CREDENTIALS_PASSPHRASE; or --plaintext";
        Failure::new(Exit::Usage, what)
    })
}

/// Gives a file that is whole, and on the disk, its name.
fn put_in_place(new: NamedTempFile, file: &Path) -> Result<(), Failure> {
    new.as_file().sync_all()?;
    new.persist_noclobber(file).map_err(|PersistError { error, .. }| match error.kind() {
        io::ErrorKind::AlreadyExists => there_already(file),
        _ => Failure::from(error),
    })?;
    files::sync_folder(file)
}

fn there_already(file: &Path) -> Failure {
    Failure::new(Exit::Conflict, format!("{} is there already", file.display()))
}
