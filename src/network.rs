//! Networks of IP addresses.

use std::net::{IpAddr, Ipv6Addr};

/// The addresses with a common prefix. An IPv4 address counts as its IPv6 form, so that
/// `::ffff:192.0.2.1` is `192.0.2.1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Network {
    address: u128,
    mask: u128,
}

impl Network {
    /// Parses `192.0.2.0/24`, `2001:db8::/32` or a single address.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let length = match length {
            Some(length) if length.bytes().all(|byte| byte.is_ascii_digit()) => {
                length.parse::<u32>().ok().filter(|length| *length <= bits)?
            }
            Some(_) => return None,
            None => bits,
        };
        let mask = u128::MAX.checked_shl(bits - length).unwrap_or(0);
        // The prefix of an IPv4 network includes that of all IPv4 addresses.
        let mask = if address.is_ipv4() { mask | !u128::from(u32::MAX) } else { mask };
        Some(Self { address: mapped(address) & mask, mask })
    }

    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        mapped(address) & self.mask == self.address
    }
}

fn mapped(address: IpAddr) -> u128 {
    let address: Ipv6Addr = match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    };
    address.to_bits()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_contains_the_addresses_with_its_prefix() {
        for (network, inside, outside) in [
            ("203.0.113.0/24", "203.0.113.9", "203.0.114.1"),
            ("203.0.113.0/24", "::ffff:203.0.113.9", "2001:db8::1"),
            ("203.0.113.7", "203.0.113.7", "203.0.113.8"),
            ("2001:db8::/32", "2001:db8::1", "2001:db9::1"),
            ("0.0.0.0/0", "198.51.100.1", "2001:db8::1"),
            ("10.1.2.3/8", "10.9.9.9", "11.0.0.0"),
        ] {
            let network = Network::parse(network).unwrap();
            assert!(network.contains(inside.parse().unwrap()), "{network:?} {inside}");
            assert!(!network.contains(outside.parse().unwrap()), "{network:?} {outside}");
        }
        assert!(Network::parse("::/0").unwrap().contains("192.0.2.1".parse().unwrap()));
        for malformed in ["", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/+8", "10.0.0/8", "x"]
        {
            assert_eq!(Network::parse(malformed), None, "{malformed}");
        }
    }
}
