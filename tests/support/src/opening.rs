//! What every store does in each mode of opening.

use tower_credentials::backend::{OpenError, OpenErrorKind, OpenMode};

/// Opens one place in each mode, first without a store there.
pub async fn mode_decides_whether_a_store_must_or_must_not_exist<B>(
    open: impl AsyncFn(OpenMode) -> Result<B, OpenError>,
) {
    let kind = |opened: Result<B, OpenError>| opened.map(drop).map_err(|error| error.kind());
    assert_eq!(kind(open(OpenMode::Existing).await), Err(OpenErrorKind::NotFound));
    assert_eq!(kind(open(OpenMode::CreateNew).await), Ok(()));
    assert_eq!(kind(open(OpenMode::CreateNew).await), Err(OpenErrorKind::AlreadyExists));
    assert_eq!(kind(open(OpenMode::Existing).await), Ok(()));
    assert_eq!(kind(open(OpenMode::Create).await), Ok(()));
}
