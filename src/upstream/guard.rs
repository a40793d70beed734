//! Which addresses may be dialled for a host that nobody vouched for.
//!
//! The filter works on the address that is dialled, not on how it was spelt, so that neither a
//! literal in a strange spelling nor a name that resolves to loopback gets past it.

use std::{
    collections::HashSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// IPv4 blocks that are not the public internet: IANA's special-purpose registry, multicast, and
/// one public-looking address behind which a cloud keeps its machines' secrets.
const SPECIAL_V4: [([u8; 4], u32); 19] = [
    ([0, 0, 0, 0], 8),        // this network
    ([10, 0, 0, 0], 8),       // private
    ([100, 64, 0, 0], 10),    // carrier-grade NAT
    ([127, 0, 0, 0], 8),      // loopback
    ([168, 63, 129, 16], 32), // Azure's platform services
    ([169, 254, 0, 0], 16),   // link-local, where clouds keep their metadata
    ([172, 16, 0, 0], 12),    // private
    ([192, 0, 0, 0], 24),     // protocol assignments
    ([192, 0, 2, 0], 24),     // documentation
    ([192, 31, 196, 0], 24),  // AS112
    ([192, 52, 193, 0], 24),  // multicast tunnels
    ([192, 88, 99, 0], 24),   // 6to4 relay
    ([192, 168, 0, 0], 16),   // private
    ([192, 175, 48, 0], 24),  // AS112
    ([198, 18, 0, 0], 15),    // benchmarking
    ([198, 51, 100, 0], 24),  // documentation
    ([203, 0, 113, 0], 24),   // documentation
    ([224, 0, 0, 0], 4),      // multicast
    ([240, 0, 0, 0], 4),      // reserved, and broadcast
];

/// The blocks of global unicast IPv6 (2000::/3) that are not the public internet.
const SPECIAL_V6: [(u128, u32); 5] = [
    (0x2001_0000 << 96, 23), // protocol assignments: Teredo, benchmarking, ORCHID
    (0x2001_0db8 << 96, 32), // documentation
    (0x2002_0000 << 96, 16), // 6to4, which leads to any IPv4 address
    (0x2620_004f_8000 << 80, 48), // AS112
    (0x3fff_0000 << 96, 20), // documentation
];

/// 64:ff9b::/96, in which NAT64 writes an IPv4 address.
const NAT64: u128 = 0x0064_ff9b << 96;

/// Whether `address` belongs to the public internet.
///
/// Loopback, private, link-local, shared, multicast, documentation and the other blocks of IANA's
/// special-purpose registries do not, nor does an IPv6 address that stands for such an IPv4 one.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(mapped) => is_public_v4(mapped),
            None => is_public_v6(address),
        },
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let special = |&(block, length): &([u8; 4], u32)| {
        let differing = address.to_bits() ^ u32::from_be_bytes(block);
        differing.leading_zeros() >= length
    };
    !SPECIAL_V4.iter().any(special)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let bits = address.to_bits();
    let within = |&(block, length): &(u128, u32)| (bits ^ block).leading_zeros() >= length;
    if within(&(NAT64, 96)) {
        // The low 32 bits are the IPv4 address.
        return is_public_v4(Ipv4Addr::from_bits(bits as u32));
    }
    within(&(0x2000 << 112, 3)) && !SPECIAL_V6.iter().any(within)
}

/// Whether `host`, which is no literal, is a name of no public domain, or a number that some
/// would read as an address.
pub(super) fn is_local_name(host: &str) -> bool {
    const SPECIAL: [&str; 4] = ["localhost", "local", "internal", "home.arpa"];
    let host = plain(host);
    let (_, last) = host.rsplit_once('.').unwrap_or(("", ""));
    let hex = last.strip_prefix("0x");
    let is_number = last.bytes().all(|b| b.is_ascii_digit())
        || hex.is_some_and(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
    let is_below = |domain: &str| {
        let above = host.strip_suffix(domain);
        above.is_some_and(|above| above.is_empty() || above.ends_with('.'))
    };
    // Without a dot the last label is empty: such names are known to one network alone.
    is_number || SPECIAL.into_iter().any(is_below)
}

/// The hosts that may lead anywhere, as (host, port).
#[derive(Clone, Debug, Default)]
pub(super) struct Trusted {
    hosts: HashSet<(String, u16)>,
}

impl Trusted {
    pub(super) fn add(&mut self, host: &str, port: u16) {
        self.hosts.insert((plain(host), port));
    }

    pub(super) fn contains(&self, host: &str, port: u16) -> bool {
        !self.hosts.is_empty() && self.hosts.contains(&(plain(host), port))
    }
}

/// The address that a URI's host is a literal of, read as hyper's connector reads it.
pub(super) fn literal(host: &str) -> Option<IpAddr> {
    let inside = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    inside.unwrap_or(host).parse().ok()
}

/// The one spelling under which a host is compared: lower case, no trailing dot, no brackets.
fn plain(host: &str) -> String {
    match literal(host) {
        Some(address) => address.to_string(),
        None => host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn public(address: &str) -> bool {
        is_public(address.parse().expect(address))
    }

    #[test]
    fn special_blocks_are_not_public_to_their_last_address() {
        for address in [
            "0.0.0.0",
            "0.255.255.255",
            "10.0.0.1",
            "10.255.255.255",
            "100.64.0.0",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.255",
            "168.63.129.16",
            "169.254.169.254",
            "172.16.0.0",
            "172.31.255.255",
            "192.0.0.0",
            "192.0.0.255",
            "192.0.2.7",
            "192.31.196.1",
            "192.52.193.255",
            "192.88.99.1",
            "192.175.48.6",
            "2620:4f:8000::6",
            "192.168.0.1",
            "198.18.0.0",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.255",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::7f00:1",
            "::ffff:127.0.0.1",
            "::ffff:10.1.2.3",
            "::ffff:0:127.0.0.1",
            "64:ff9b::127.0.0.1",
            "64:ff9b::169.254.169.254",
            "64:ff9b:1::8.8.8.8",
            "100::1",
            "2001::1",
            "2001:2::1",
            "2001:10::1",
            "2001:20::1",
            "2001:1ff:ffff::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "3fff:fff:ffff::1",
            "5f00::1",
            "fc00::1",
            "fdff::1",
            "fd00:ec2::254",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
            "4000::1",
        ] {
            assert!(!public(address), "{address}");
        }
    }

    #[test]
    fn their_neighbours_are_public() {
        for address in [
            "1.0.0.0",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "168.63.129.15",
            "169.253.255.255",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.0.3.0",
            "192.167.255.255",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "2001:200::1",
            "2001:4860:4860::8888",
            "2606:4700::1111",
            "2a00:1450::1",
            "3ffe:ffff::1",
            "3fff:1000::1",
        ] {
            assert!(public(address), "{address}");
        }
    }

    #[test]
    fn names_that_only_a_network_knows() {
        for local in [
            "localhost",
            "a.LOCALHOST.",
            "redis",
            "redis.",
            "printer.local",
            "metadata.google.internal",
            "nas.home.arpa",
            "2130706433",
            "127.1",
            "0x7f.1",
            "127.0.0.1.",
            "0x7f.0x1",
            "",
        ] {
            assert!(is_local_name(local), "{local}");
        }
        for public in [
            "example.com",
            "example.com.",
            "notlocal.example",
            "internal.example",
            "a.mylocal",
            "1.2.3.in-addr.arpa",
            "0x7f.ex",
        ] {
            assert!(!is_local_name(public), "{public}");
        }
    }

    #[test]
    fn trust_is_for_a_host_in_any_case_and_for_one_port() {
        let mut trusted = Trusted::default();
        assert!(!trusted.contains("localhost", 80));
        trusted.add("LocalHost.", 80);
        trusted.add("::1", 81);
        assert!(trusted.contains("LOCALHOST", 80));
        assert!(trusted.contains("localhost.", 80));
        assert!(!trusted.contains("localhost", 81));
        assert!(trusted.contains("[0:0::1]", 81));
        assert!(!trusted.contains("127.0.0.1", 80));
    }
}
