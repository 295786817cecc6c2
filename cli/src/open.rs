//! Opening the store that a command is about.
use crate::{options::StoreArgs, outcome::Failure};
use example_support::store::{Expected, Plain, SecretFiles, Store, key_ring};

/// Opens a store, with its keys if it is sealed.
pub(crate) async fn open(
    args: &StoreArgs,
    files: SecretFiles,
    expected: Expected,
) -> Result<Store, Failure> {
    let Some(name) = &args.key_ring else {
        return Ok(Store::open(&args.url, expected).await?.plain().await?);
    };
    // The keys first: without them no store is to be made.
    let keys = key_ring(name, files)?;
    Ok(Store::open(&args.url, expected).await?.sealed(keys, Plain::Refused).await?)
}

/// Opens a store that may hold plain records too, to seal them.
pub(crate) async fn adopt(
    args: &StoreArgs,
    files: SecretFiles,
    key_ring_name: &str,
) -> Result<Store, Failure> {
    let keys = key_ring(key_ring_name, files)?;
    Ok(Store::open(&args.url, Expected::Existing).await?.sealed(keys, Plain::Adopted).await?)
}
