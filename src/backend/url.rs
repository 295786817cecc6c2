use super::open_error::OpenError;
#[cfg(any(
    test,
    not(all(feature = "etcd", feature = "memory", feature = "postgres", feature = "sqlite"))
))]
use super::open_error::OpenErrorKind;
use crate::log::redact_url;

/// The URLs of stores, for messages.
const FORMS: &str = "memory:, sqlite:PATH, postgres://USER:PASSWORD@HOST/DATABASE or \
    etcd://HOST:PORT,HOST:PORT";

/// The kind of store that a URL names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Engine {
    Etcd,
    Memory,
    Postgres,
    Sqlite,
}

impl Engine {
    pub(super) fn of_url(url: &str) -> Result<Self, OpenError> {
        match url.split_once(':') {
            Some(("etcd" | "etcds", _)) => Ok(Self::Etcd),
            Some(("memory", "")) => Ok(Self::Memory),
            Some(("postgres" | "postgresql", _)) => Ok(Self::Postgres),
            Some(("sqlite", path)) if !path.is_empty() => Ok(Self::Sqlite),
            _ => {
                let message = format!("{} is not a store URL: expected {FORMS}", redact_url(url));
                Err(OpenError::invalid_setting(message))
            }
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::Memory => "memory",
            Self::Postgres => "postgres",
            Self::Sqlite => "sqlite",
        }
    }

    /// The error for a kind of store that is not compiled in.
    #[cfg(any(
        test,
        not(all(feature = "etcd", feature = "memory", feature = "postgres", feature = "sqlite"))
    ))]
    pub(super) fn unsupported(self) -> OpenError {
        let name = self.name();
        let message =
            format!("{name} stores are not compiled in: build with the cargo feature `{name}`");
        OpenError::new(OpenErrorKind::Unsupported, message)
    }
}

/// Returns the URL that a command line or a configuration names.
///
/// Other users of the machine can read command lines, and a URL may contain a password. So
/// `name` is one of these:
///
/// * `env:NAME`: the environment variable `NAME` contains the URL.
/// * `@PATH`: the first line of the file is the URL; `files` says which files are accepted.
/// * anything else: the URL itself.
///
/// # Errors
///
/// [`InvalidSetting`](super::OpenErrorKind::InvalidSetting) if the variable is not set, the file is
/// rejected or cannot be read, or what they contain is not the URL of a store. The error
/// contains neither the value nor a password.
#[cfg(any(feature = "encryption", feature = "etcd", feature = "postgres", feature = "sqlite"))]
pub fn resolve_url(
    name: &str,
    files: crate::secret_files::SecretFiles,
) -> Result<String, OpenError> {
    let first_line = |text: &str, place: &str| {
        let url = text.lines().next().unwrap_or_default().trim();
        if Engine::of_url(url).is_ok() {
            return Ok(url.to_owned());
        }
        // The text is not repeated: it may be another secret.
        let message = format!("{} does not contain the URL of a store", redact_url(place));
        Err(OpenError::invalid_setting(message))
    };
    if let Some(variable) = name.strip_prefix("env:") {
        // Without the source, whose message repeats a value that is not Unicode.
        let text = std::env::var(variable).map_err(|_| {
            let variable = redact_url(variable);
            let message =
                format!("the environment variable {variable} is not set or is not valid UTF-8");
            OpenError::invalid_setting(message)
        })?;
        first_line(&text, variable)
    } else if let Some(path) = name.strip_prefix('@') {
        let text = files.read(path.as_ref()).map_err(|error| {
            let (message, source) = error.into_parts();
            let error = OpenError::invalid_setting(message);
            match source {
                Some(source) => error.with_source(source),
                None => error,
            }
        })?;
        first_line(text.expose(), path)
    } else {
        Ok(name.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_for_an_unsupported_store_names_the_cargo_feature() {
        let error = Engine::of_url("etcd://127.0.0.1").unwrap().unsupported();
        assert_eq!(error.kind(), OpenErrorKind::Unsupported);
        let expected = "etcd stores are not compiled in: build with the cargo feature `etcd`";
        assert_eq!(error.to_string(), expected);
    }
}
