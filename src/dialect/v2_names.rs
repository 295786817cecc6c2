//! The names of v2.0's three types of credentials, in paths, JSON and XML.

use crate::domain::Slot;

/// Namespace of v2.0 itself.
pub(super) const IDENTITY: &str = "http://docs.openstack.org/identity/api/v2.0";

const KSEC2: &str = "http://docs.openstack.org/identity/api/ext/OS-KSEC2/v1.0";
const KSS3: &str = "http://docs.openstack.org/identity/api/ext/OS-KSS3/v1.0";

/// Namespace of links in lists.
pub(super) const ATOM: &str = "http://www.w3.org/2005/Atom";

/// The type that a path segment names, in any spelling.
pub(super) fn slot_of_path(name: &str) -> Option<Slot> {
    match name {
        "password" => Some(Slot::Password),
        // The HTML reference of OpenStack Identity v2.0 of April 2014 and OpenStack's API
        // reference of 2016 (WADL, in openstack/api-site) write `s3credentials`.
        name if name.eq_ignore_ascii_case("s3credentials") => Some(Slot::S3),
        name => slot_of_root(name),
    }
}

/// The type that the root member of a JSON body names, in any spelling.
pub(super) fn slot_of_root(name: &str) -> Option<Slot> {
    match name {
        "OS-KSEC2-ec2Credentials" | "OS-KSEC2:ec2Credentials" | "ec2Credentials" => Some(Slot::Ec2),
        "OS-KSS3-s3Credentials" | "OS-KSS3:s3Credentials" | "s3Credentials" => Some(Slot::S3),
        "passwordCredentials" => Some(Slot::Password),
        _ => None,
    }
}

/// The root member in responses.
pub(super) fn root_of(slot: Slot) -> &'static str {
    match slot {
        Slot::Ec2 => "OS-KSEC2-ec2Credentials",
        Slot::Password => "passwordCredentials",
        Slot::S3 => "OS-KSS3:s3Credentials",
    }
}

/// The type that an XML element names.
pub(super) fn slot_of_element(name: &[u8], namespace: &[u8]) -> Option<Slot> {
    let slot = match name {
        b"ec2Credentials" => Slot::Ec2,
        b"passwordCredentials" => Slot::Password,
        b"s3Credentials" => Slot::S3,
        _ => return None,
    };
    let (_, canonical) = element_of(slot);
    // The OS-KSS3 developer guide once prints the namespace under a vendor's host.
    let path = b"/identity/api/ext/OS-KSS3/v1.0";
    let vendors = slot == Slot::S3
        && namespace.starts_with(b"http://docs.rackspace")
        && namespace.ends_with(path);
    (namespace == canonical.as_bytes() || vendors).then_some(slot)
}

/// The XML element in responses, and its namespace.
pub(super) fn element_of(slot: Slot) -> (&'static str, &'static str) {
    match slot {
        Slot::Ec2 => ("ec2Credentials", KSEC2),
        Slot::Password => ("passwordCredentials", IDENTITY),
        Slot::S3 => ("s3Credentials", KSS3),
    }
}
