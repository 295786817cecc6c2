//! [`ClientTls`]: whether the client's connection is encrypted.

/// Whether the client's connection is encrypted. The server inserts it into the extensions of each
/// request; without it, this is unknown.
///
/// Links to this service start with `https://` if the connection is encrypted. Keys can have
/// conditions on `aws:SecureTransport` and `s3:TlsVersion`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ClientTls {
    /// The connection is not encrypted.
    None,
    /// The connection is encrypted, with this version, such as 1.3, if it is known.
    Version(Option<f64>),
}
