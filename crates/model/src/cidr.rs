//! Ranges of IP addresses.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A range of IP addresses: `10.0.0.0/8`, `::1`.
///
/// Invariant: `prefix` is at most the number of bits of `address`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cidr {
    address: IpAddr,
    prefix: u8,
}

/// A text is no [`Cidr`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected an IP address or a range such as 10.0.0.0/8")]
pub struct NotACidr;

impl Cidr {
    /// Whether `address` is in the range. An IPv4 address that is written as an
    /// IPv6 one (`::ffff:10.0.0.1`, as a dual-stack socket shows it) counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(range), IpAddr::V4(address)) => same_start(
                range.to_bits().into(),
                address.to_bits().into(),
                32 - self.prefix,
            ),
            (IpAddr::V6(range), IpAddr::V6(address)) => {
                same_start(range.to_bits(), address.to_bits(), 128 - self.prefix)
            }
            _ => false,
        }
    }
}

/// Whether two numbers are equal but for so many of their lowest bits.
fn same_start(left: u128, right: u128, free_bits: u8) -> bool {
    // A shift by all 128 bits leaves nothing to compare.
    (left ^ right).checked_shr(free_bits.into()).unwrap_or(0) == 0
}

impl FromStr for Cidr {
    type Err = NotACidr;

    fn from_str(text: &str) -> Result<Self, NotACidr> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| NotACidr)?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => bits,
            // `parse` would take a sign too.
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().map_err(|_| NotACidr)?
            }
            Some(_) => return Err(NotACidr),
        };
        if prefix > bits {
            return Err(NotACidr);
        }
        Ok(Self { address, prefix })
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_the_addresses_of_its_range() {
        let rows = [
            ("10.0.0.0/8", "10.1.2.3", true),
            ("10.0.0.0/8", "11.1.2.3", false),
            ("10.9.9.9/8", "10.1.2.3", true),
            ("127.0.0.1", "127.0.0.1", true),
            ("127.0.0.1", "127.0.0.2", false),
            ("0.0.0.0/0", "8.8.8.8", true),
            ("::/0", "2001:db8::1", true),
            ("::/0", "8.8.8.8", false),
            ("fe80::/10", "febf::1", true),
            ("fe80::/10", "fec0::1", false),
            ("10.0.0.0/8", "::ffff:10.1.2.3", true),
        ];
        for (range, address, expected) in rows {
            let contains = range
                .parse::<Cidr>()
                .unwrap()
                .contains(address.parse().unwrap());
            assert_eq!(contains, expected, "{address} in {range}");
        }
    }

    #[test]
    fn refuses_what_is_no_range() {
        for text in [
            "",
            "x",
            "10.0.0.0/33",
            "::/129",
            "10.0.0/8",
            "10.0.0.0/+8",
            "10.0.0.0/",
        ] {
            assert_eq!(text.parse::<Cidr>(), Err(NotACidr), "{text:?}");
        }
    }
}
