//! The login of the service user.

use bytes::Bytes;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::domain::SecretText;

/// The login of this service to Keystone, as a user of its own.
///
/// ```
/// use tower_credentials::keystone::ServiceLogin;
///
/// let login = ServiceLogin::password("s3", "a-password", "service").user_domain("Services");
/// assert!(!format!("{login:?}").contains("a-password"));
/// ```
#[derive(Clone, Debug)]
pub struct ServiceLogin(Login);

#[derive(Clone, Debug)]
enum Login {
    ApplicationCredential { id: String, secret: SecretText },
    Password { user: String, user_domain: String, password: SecretText, scope: LoginScope },
}

#[derive(Clone, Debug)]
enum LoginScope {
    Project { name: String, domain: String },
    System,
}

const DEFAULT_DOMAIN: &str = "Default";

impl ServiceLogin {
    /// Logs in with the id and secret of an application credential. It acts in its own project,
    /// with its own roles.
    #[must_use]
    pub fn application_credential(id: impl Into<String>, secret: impl Into<String>) -> Self {
        let secret = SecretText::new(secret);
        Self(Login::ApplicationCredential { id: id.into(), secret })
    }

    /// Logs in with a user's name and password, in the project of this name. Both belong to the
    /// domain named `Default` unless set otherwise.
    #[must_use]
    pub fn password(
        user: impl Into<String>,
        password: impl Into<String>,
        project: impl Into<String>,
    ) -> Self {
        let domain = DEFAULT_DOMAIN.into();
        Self::with_scope(user, password, LoginScope::Project { name: project.into(), domain })
    }

    /// Logs in with a user's name and password, for the whole system. There the role `reader` may
    /// look up everything and change nothing.
    #[must_use]
    pub fn system(user: impl Into<String>, password: impl Into<String>) -> Self {
        Self::with_scope(user, password, LoginScope::System)
    }

    fn with_scope(user: impl Into<String>, password: impl Into<String>, scope: LoginScope) -> Self {
        let password = SecretText::new(password);
        let user_domain = DEFAULT_DOMAIN.into();
        Self(Login::Password { user: user.into(), user_domain, password, scope })
    }

    /// Sets the name of the user's domain. Has no effect on an application credential.
    #[must_use]
    pub fn user_domain(mut self, name: impl Into<String>) -> Self {
        if let Login::Password { user_domain, .. } = &mut self.0 {
            *user_domain = name.into();
        }
        self
    }

    /// Sets the name of the project's domain. Has an effect only on a login in a project.
    #[must_use]
    pub fn project_domain(mut self, name: impl Into<String>) -> Self {
        if let Login::Password { scope: LoginScope::Project { domain, .. }, .. } = &mut self.0 {
            *domain = name.into();
        }
        self
    }

    /// The body of `POST /v3/auth/tokens`; wiped when it has been sent.
    pub(super) fn body(&self) -> Bytes {
        let auth = match &self.0 {
            Login::ApplicationCredential { id, secret } => Auth {
                identity: Identity {
                    methods: ["application_credential"],
                    application_credential: Some(IdAndSecret { id, secret: secret.expose() }),
                    password: None,
                },
                scope: None,
            },
            Login::Password { user, user_domain, password, scope } => Auth {
                identity: Identity {
                    methods: ["password"],
                    application_credential: None,
                    password: Some(Password {
                        user: User {
                            name: user,
                            domain: Named { name: user_domain },
                            password: password.expose(),
                        },
                    }),
                },
                scope: Some(match scope {
                    LoginScope::Project { name, domain } => {
                        Scope::Project { name, domain: Named { name: domain } }
                    }
                    LoginScope::System => Scope::System { all: true },
                }),
            },
        };
        // Large enough for all but absurd names. Growing would leave copies of the secret behind.
        let mut text = Zeroizing::new(Vec::with_capacity(4096));
        serde_json::to_writer(&mut *text, &Envelope { auth })
            .expect("strings always serialize to memory");
        Bytes::from_owner(text)
    }
}

#[derive(Serialize)]
struct Envelope<'a> {
    auth: Auth<'a>,
}

#[derive(Serialize)]
struct Auth<'a> {
    identity: Identity<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<Scope<'a>>,
}

#[derive(Serialize)]
struct Identity<'a> {
    methods: [&'static str; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    application_credential: Option<IdAndSecret<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<Password<'a>>,
}

#[derive(Serialize)]
struct IdAndSecret<'a> {
    id: &'a str,
    secret: &'a str,
}

#[derive(Serialize)]
struct Password<'a> {
    user: User<'a>,
}

#[derive(Serialize)]
struct User<'a> {
    name: &'a str,
    domain: Named<'a>,
    password: &'a str,
}

#[derive(Serialize)]
struct Named<'a> {
    name: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Scope<'a> {
    Project { name: &'a str, domain: Named<'a> },
    System { all: bool },
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn sent(login: &ServiceLogin) -> Value {
        serde_json::from_slice(&login.body()).unwrap()
    }

    #[test]
    fn login_is_sent_in_keystones_format() {
        let login = ServiceLogin::password("s3", "p\"w", "service")
            .user_domain("Services")
            .project_domain("Projects");
        let user = json!({"name": "s3", "domain": {"name": "Services"}, "password": "p\"w"});
        assert_eq!(
            sent(&login),
            json!({"auth": {
                "identity": {"methods": ["password"], "password": {"user": user}},
                "scope": {"project": {"name": "service", "domain": {"name": "Projects"}}},
            }})
        );
        let system = sent(&ServiceLogin::system("s3", "pw"));
        assert_eq!(system["auth"]["scope"], json!({"system": {"all": true}}));
        assert_eq!(
            sent(&ServiceLogin::application_credential("i", "s")),
            json!({"auth": {"identity": {
                "methods": ["application_credential"],
                "application_credential": {"id": "i", "secret": "s"},
            }}})
        );
    }
}
