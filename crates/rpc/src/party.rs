//! Who takes turns, and has a part of what is bounded for all.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use network::Peer;

/// Everybody at one address; where a proxy may stand before many, everybody on one connection.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Party {
    Address(IpAddr),
    Connection(u64),
}

/// What one owner of addresses is given at least, in version 6.
const OWNED: u128 = !0 << 64;

impl Party {
    pub fn of(peer: Peer) -> Self {
        let address = match peer.address.to_canonical() {
            IpAddr::V4(address) if address.is_loopback() || address.is_private() || is_shared(address) => None,
            IpAddr::V6(address) if address.is_loopback() || address.is_unique_local() => None,
            IpAddr::V6(address) if address.is_unicast_link_local() => None,
            IpAddr::V4(address) => Some(IpAddr::V4(address)),
            IpAddr::V6(address) => Some(IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & OWNED))),
        };
        address.map_or(Self::Connection(peer.connection), Self::Address)
    }
}

/// Of the link alone (RFC 3927), or of a provider's many customers (RFC 6598).
fn is_shared(address: Ipv4Addr) -> bool {
    address.is_link_local() || address.to_bits() & 0xffc0_0000 == 0x6440_0000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn party(address: &str, connection: u64) -> Party {
        Party::of(Peer { address: address.parse().unwrap(), connection })
    }

    #[test]
    fn all_connections_of_an_address_are_one_party() {
        assert_eq!(party("203.0.113.5", 1), party("203.0.113.5", 2));
        assert_eq!(party("203.0.113.5", 1), party("::ffff:203.0.113.5", 2));
        assert_ne!(party("203.0.113.5", 1), party("203.0.113.6", 1));
        // One owner has all of these.
        assert_eq!(party("2001:db8:1:2::5", 1), party("2001:db8:1:2:3:4:5:6", 2));
        assert_ne!(party("2001:db8:1:2::5", 1), party("2001:db8:1:3::5", 1));
    }

    #[test]
    fn where_a_proxy_may_stand_each_connection_is_a_party() {
        for address in ["127.0.0.1", "::1", "::ffff:127.0.0.1", "10.1.2.3", "172.17.0.1", "192.168.1.1", "fd00::1"] {
            assert_eq!(party(address, 7), Party::Connection(7), "{address}");
        }
    }
}
