//! The command `export`: from a store to a file.

use std::{
    io::{self, BufWriter, IsTerminal, Write},
    path::Path,
};

use crate::{
    files,
    format::Writer,
    options::{Export, SealWith},
    passphrase,
    progress::Progress,
    report::{Exit, Failure, Report},
    scan::{DamagedRecords, Records, Scan, Scanned},
    seal::Seal,
    store::open,
};
use tower_credentials::{
    backend::{OpenMode, Order, Store, redact_url},
    clock::{Clock, SystemClock},
    secret_files::SecretFiles,
};

pub(crate) async fn run(options: Export, files: SecretFiles) -> Result<Report, Failure> {
    let Export { store: args, file, seal } = options;
    let to_stdout = file == Path::new("-");
    let is_sealed = !seal.plaintext;
    if to_stdout && is_sealed && io::stdout().is_terminal() {
        let message = "cannot write a sealed export to a terminal: name a file";
        return Err(Failure::new(Exit::Usage, message));
    }
    if !to_stdout && file.exists() {
        return Err(files::already_exists(&file));
    }
    let seal = seal_with(seal, files)?;
    let store = open(&args, files, OpenMode::Existing).await?;

    let mut damaged = DamagedRecords::default();
    let records = if to_stdout {
        let (mut out, records) = write(&store, seal, io::stdout(), &mut damaged).await?;
        out.flush()?;
        records
    } else {
        let (new, records) =
            write(&store, seal, files::create_beside(&file)?, &mut damaged).await?;
        files::persist_new(new, &file)?;
        records
    };
    let report = Report::default()
        .with("store", redact_url(&args.url))
        .with("file", file.display().to_string())
        .with("sealed", is_sealed)
        .with("records", records);
    Ok(damaged.add_to(report))
}

/// Writes all records; returns the writer and the number of records.
async fn write<W: Write>(
    store: &Store,
    seal: Seal,
    to: W,
    damaged: &mut DamagedRecords,
) -> Result<(W, u64), Failure> {
    let progress = Progress::of_records("exporting", None);
    let sealing = seal.wrap(BufWriter::with_capacity(1 << 16, to))?;
    let mut writer = Writer::new(sealing, SystemClock.now())?;
    let scan = Scan::new(store.backend(), Order::Key).with_last_used(store.usage_log());
    let mut scan = scan.read_ahead();
    while let Some(scanned) = scan.next().await? {
        match scanned {
            Scanned::Damaged(record) => damaged.add(record),
            Scanned::Records(Records { records, last_used }) => {
                for record in &records {
                    writer.write(record, last_used.get(&record.id).copied())?;
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
        let message = "one of --recipient, --passphrase-file, CREDENTIALS_PASSPHRASE and \
            --plaintext is required";
        Failure::new(Exit::Usage, message)
    })
}
