//! Who signed a request.

use http::Extensions;

/// The project of the key that a request is signed with.
#[derive(Clone, Debug)]
pub(crate) struct Signer(pub(crate) String);

/// Whose a request is; nobody's, if it is not signed.
pub(crate) fn project_of(extensions: &Extensions) -> Option<&str> {
    extensions.get::<Signer>().map(|Signer(project)| project.as_str())
}
