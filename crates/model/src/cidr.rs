//! Ranges of IP addresses.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

/// A range of IP addresses: `10.0.0.0/8`, `::1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cidr(IpNet);

/// A text is no [`Cidr`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected an IP address or a range such as 10.0.0.0/8")]
pub struct NotACidr;

impl Cidr {
    /// Whether `address` is in the range. An IPv4 address that is written as an
    /// IPv6 one (`::ffff:10.0.0.1`, as a dual-stack socket shows it) counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

impl FromStr for Cidr {
    type Err = NotACidr;

    fn from_str(text: &str) -> Result<Self, NotACidr> {
        let one = || text.parse().map(|address: IpAddr| IpNet::from(address));
        text.parse()
            .or_else(|_| one())
            .map(Self)
            .map_err(|_| NotACidr)
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
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
