//! The options of a server for the AWS wires.

use std::str::FromStr;

use clap::Args;
use tower_credentials::{
    CredentialLayerBuilder,
    aws::{AwsWires, RoleSource},
};

/// Whether and where a server speaks STS and IAM.
#[derive(Clone, Debug, Args)]
pub struct AwsOptions {
    /// Serve STS and IAM, for temporary credentials and for users' own keys [default: only with
    /// the development identities].
    ///
    /// Alone: at `/`, where S3 is. `=prefix:/PATH` or `=host:NAME`: at a path or a host of their
    /// own. `=off`: not at all.
    #[arg(
        long,
        value_name = "PLACE",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "root"
    )]
    aws_wires: Option<Place>,
    /// The AWS account of all users: 12 digits.
    #[arg(long, value_name = "ID", default_value = "000000000000")]
    account_id: String,
}

/// Where requests to STS and IAM arrive.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Host(String),
    Nowhere,
    Path(String),
    Root,
}

impl AwsOptions {
    /// The account of all users.
    pub fn account_id(&self) -> &str {
        &self.account_id
    }

    /// Sets the options of a layer. By default, the wires are served if the identities
    /// `are_public`; then an unknown role is the caller itself.
    pub fn apply(
        self,
        layer: CredentialLayerBuilder,
        roles: impl RoleSource,
        are_public: bool,
    ) -> CredentialLayerBuilder {
        let wires = AwsWires::new().account_id(self.account_id).roles(roles);
        let wires = wires.any_role_is_self(are_public);
        match self.aws_wires {
            Some(Place::Nowhere) => layer,
            None if !are_public => layer,
            None | Some(Place::Root) => layer.aws(wires),
            Some(Place::Path(path)) => layer.aws(wires.path(path)),
            Some(Place::Host(host)) => layer.aws(wires.host(host)),
        }
    }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("prefix", path)) => Ok(Self::Path(path.to_owned())),
            Some(("host", host)) => Ok(Self::Host(host.to_owned())),
            None if text == "root" => Ok(Self::Root),
            None if text == "off" => Ok(Self::Nowhere),
            _ => Err("expected prefix:/PATH, host:NAME, root or off".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_a_path_a_host_or_a_word() {
        assert_eq!("prefix:/aws".parse(), Ok(Place::Path("/aws".into())));
        let host = Place::Host("sts.example.org:8443".into());
        assert_eq!("host:sts.example.org:8443".parse(), Ok(host));
        assert_eq!("root".parse(), Ok(Place::Root));
        assert_eq!("off".parse(), Ok(Place::Nowhere));
        for bad in ["", "/", "on", "path:/aws", "host"] {
            assert!(bad.parse::<Place>().is_err(), "{bad}");
        }
    }
}
