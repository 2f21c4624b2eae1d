//! Networks by their CAIP-2 names, and by the names of the protocol's first version.

use std::{fmt, str::FromStr};

use alloy_rlp::{Decodable, Header};

use crate::wire::json::WireError;

/// The kind of transactions that are made here: EIP-1559's.
const TRANSACTION: u8 = 2;

/// An EVM chain: `eip155:<id>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Network(pub u64);

impl Network {
    pub const BASE: Self = Self(8_453);
    pub const BASE_SEPOLIA: Self = Self(84_532);
    /// The network's own ledger.
    pub const LEDGER: Self = Self(10_740);
    /// That of a devnet.
    pub const DEVNET_LEDGER: Self = Self(10_744_001);

    pub const fn chain_id(self) -> u64 {
        self.0
    }

    /// The name that version 1 of the protocol has for it.
    pub fn legacy_name(self) -> Option<&'static str> {
        LEGACY.iter().find(|(_, network)| *network == self).map(|(name, _)| *name)
    }

    /// The chain that takes a signed transaction of the kind that is made here; `None` of any other bytes.
    pub fn of_transaction(raw: &[u8]) -> Option<Self> {
        let (kind, mut rest) = raw.split_first()?;
        let list = Header::decode(&mut rest).ok()?;
        if *kind != TRANSACTION || !list.list {
            return None;
        }
        u64::decode(&mut rest).ok().map(Self)
    }

    pub fn from_legacy_name(name: &str) -> Option<Self> {
        LEGACY.iter().find(|(known, _)| *known == name).map(|(_, network)| *network)
    }
}

static LEGACY: &[(&str, Network)] = &[("base", Network::BASE), ("base-sepolia", Network::BASE_SEPOLIA)];

impl fmt::Display for Network {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "eip155:{}", self.0)
    }
}

impl FromStr for Network {
    type Err = WireError;

    fn from_str(text: &str) -> Result<Self, WireError> {
        let wrong = || WireError::field("network", format!("{:?}", short(text)), "a CAIP-2 name such as eip155:8453");
        let id = text.strip_prefix("eip155:").ok_or_else(wrong)?;
        let number: u64 = id.parse().map_err(|_| wrong())?;
        // One chain, one name: no sign, no leading zero, and no chain of id 0.
        if number == 0 || number.to_string() != id { Err(wrong()) } else { Ok(Self(number)) }
    }
}

fn short(text: &str) -> String {
    text.chars().take(48).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_one_name() {
        assert_eq!("eip155:8453".parse(), Ok(Network::BASE));
        assert_eq!(Network::LEDGER.to_string(), "eip155:10740");
        for text in
            ["", "eip155", "eip155:", "eip155:0", "eip155:08453", "eip155:+1", "EIP155:1", "solana:1", "8453", "base"]
        {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_transaction_says_which_chain_takes_it() {
        // The head of a list of twelve fields, and the first one of them: 8,453.
        let begins = [2, 0xf8, 0x6c, 0x82, 0x21, 0x05];
        let raw = [begins.as_slice(), &[0; 107]].concat();
        assert_eq!(Network::of_transaction(&raw), Some(Network::BASE));
        for bytes in [[].as_slice(), &[2], &begins, &raw[1..], &[2, 0x82, 0x21, 0x05], &[9, 8]] {
            assert_eq!(Network::of_transaction(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn old_names_are_read() {
        assert_eq!(Network::from_legacy_name("base-sepolia"), Some(Network::BASE_SEPOLIA));
        assert_eq!(Network::BASE.legacy_name(), Some("base"));
        assert_eq!(Network::from_legacy_name("eip155:8453"), None);
        assert_eq!(Network::LEDGER.legacy_name(), None);
    }
}
