//! Opening the store that a command is about.

use tower_credentials::{
    backend::{OpenMode, Store, encrypted::KeyRing},
    secret_files::SecretFiles,
};

use crate::{
    options::StoreArgs,
    outcome::{Exit, Failure},
};

/// Opens a store, with its keys if it is sealed.
pub(crate) async fn open(
    args: &StoreArgs,
    files: SecretFiles,
    mode: OpenMode,
) -> Result<Store, Failure> {
    let mut store = Store::builder(&args.url).mode(mode);
    if let Some(name) = &args.key_ring {
        store = store.keys(key_ring(name, files)?);
    }
    Ok(store.build().await?)
}

/// Opens a store that may contain plain records too, to seal them.
pub(crate) async fn adopt(
    args: &StoreArgs,
    files: SecretFiles,
    key_ring_name: &str,
) -> Result<Store, Failure> {
    let store = Store::builder(&args.url).mode(OpenMode::Existing);
    Ok(store.keys(key_ring(key_ring_name, files)?).accept_plain(true).build().await?)
}

fn key_ring(name: &str, files: SecretFiles) -> Result<KeyRing, Failure> {
    KeyRing::resolve(name, files).map_err(|error| Failure::of(Exit::Problem, &error))
}
