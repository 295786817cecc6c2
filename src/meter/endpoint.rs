//! [`Endpoint`]: the operation of a request, for labels.

macro_rules! endpoints {
    ($($name:ident = $dialect:literal $operation:literal,)*) => {
        /// An operation of a dialect.
        ///
        /// `Other` of a dialect is a request that the dialect refuses before it is an operation.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Endpoint {
            $($name,)*
        }

        impl Endpoint {
            /// Every endpoint, in the order of their numbers.
            #[cfg(feature = "metrics")]
            pub(super) const ALL: &[Self] = &[$(Self::$name,)*];

            /// The labels `dialect` and `operation`.
            pub(crate) fn labels(self) -> (&'static str, &'static str) {
                match self {
                    $(Self::$name => ($dialect, $operation),)*
                }
            }
        }
    };
}

endpoints! {
    IbmCosCreate = "ibm_cos" "create",
    IbmCosDelete = "ibm_cos" "delete",
    IbmCosList = "ibm_cos" "list",
    IbmCosRotate = "ibm_cos" "rotate",
    IbmCosShow = "ibm_cos" "show",
    IbmCosUpdate = "ibm_cos" "update",
    IbmCosOther = "ibm_cos" "other",
    V2Create = "keystone_v2" "create",
    V2Delete = "keystone_v2" "delete",
    V2List = "keystone_v2" "list",
    V2Show = "keystone_v2" "show",
    V2Update = "keystone_v2" "update",
    V2Other = "keystone_v2" "other",
    V3Create = "keystone_v3" "create",
    V3Delete = "keystone_v3" "delete",
    V3List = "keystone_v3" "list",
    V3Rotate = "keystone_v3" "rotate",
    V3Show = "keystone_v3" "show",
    V3Update = "keystone_v3" "update",
    V3Ec2Tokens = "keystone_v3" "ec2tokens",
    V3S3Tokens = "keystone_v3" "s3tokens",
    V3Other = "keystone_v3" "other",
    OsEc2Create = "os_ec2" "create",
    OsEc2Delete = "os_ec2" "delete",
    OsEc2List = "os_ec2" "list",
    OsEc2Rotate = "os_ec2" "rotate",
    OsEc2Show = "os_ec2" "show",
    OsEc2Other = "os_ec2" "other",
    IamCreateAccessKey = "aws_iam" "create_access_key",
    IamDeleteAccessKey = "aws_iam" "delete_access_key",
    IamGetAccessKeyLastUsed = "aws_iam" "get_access_key_last_used",
    IamGetUser = "aws_iam" "get_user",
    IamListAccessKeys = "aws_iam" "list_access_keys",
    IamUpdateAccessKey = "aws_iam" "update_access_key",
    IamOther = "aws_iam" "other",
    StsAssumeRole = "aws_sts" "assume_role",
    StsGetCallerIdentity = "aws_sts" "get_caller_identity",
    StsGetFederationToken = "aws_sts" "get_federation_token",
    StsGetSessionToken = "aws_sts" "get_session_token",
    StsOther = "aws_sts" "other",
}

impl Endpoint {
    /// The endpoint of an action of IAM, as AWS spells it.
    pub(crate) fn of_iam(action: &str) -> Self {
        match action {
            "CreateAccessKey" => Self::IamCreateAccessKey,
            "DeleteAccessKey" => Self::IamDeleteAccessKey,
            "GetAccessKeyLastUsed" => Self::IamGetAccessKeyLastUsed,
            "GetUser" => Self::IamGetUser,
            "ListAccessKeys" => Self::IamListAccessKeys,
            "UpdateAccessKey" => Self::IamUpdateAccessKey,
            _ => Self::IamOther,
        }
    }

    /// The endpoint of an action of STS, as AWS spells it.
    pub(crate) fn of_sts(action: &str) -> Self {
        match action {
            "AssumeRole" => Self::StsAssumeRole,
            "GetCallerIdentity" => Self::StsGetCallerIdentity,
            "GetFederationToken" => Self::StsGetFederationToken,
            "GetSessionToken" => Self::StsGetSessionToken,
            _ => Self::StsOther,
        }
    }

    /// Returns whether a success issues a session.
    #[cfg(feature = "metrics")]
    pub(super) fn issues_session(self) -> bool {
        matches!(self, Self::StsAssumeRole | Self::StsGetFederationToken | Self::StsGetSessionToken)
    }
}
