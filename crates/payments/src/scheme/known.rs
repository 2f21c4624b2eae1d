//! Tokens that are known: where each lies, how many digits it has, and by which name it checks signatures.
//!
//! One table for whoever pays and whoever is paid: no signature holds that was made under another name than the token's own, and the same
//! coin has another name on another chain.

use alloy_primitives::{Address, address};
use contracts::addresses;

use crate::{
    price::{Money, Unit},
    scheme::{Asset, offer::OPG_LEDGER},
    wire::Network,
};

/// USDC where payments are tried out.
const USDC_SEPOLIA: Address = address!("036CbD53842c5426634e7929541eC2318f3dCF7e");

/// Digits as the tokens have them.
const DOLLARS: Money = Money { unit: Unit::Usd, decimals: 6 };
const COINS: Money = Money { unit: Unit::Opg, decimals: 18 };

/// A token that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownToken {
    pub network: Network,
    pub address: Address,
    /// What people call it here; each has its own.
    pub symbol: &'static str,
    /// Of its EIP-712 domain.
    pub name: &'static str,
    pub version: &'static str,
    pub money: Money,
}

/// All of them; what a symbol means without its network comes first.
pub static TOKENS: &[KnownToken] = &[
    KnownToken {
        network: Network::BASE,
        address: addresses::USDC,
        symbol: "USDC",
        name: "USD Coin",
        version: "2",
        money: DOLLARS,
    },
    KnownToken {
        network: Network::BASE,
        address: addresses::OPG,
        symbol: "OPG",
        name: "OpenGradient",
        version: "1",
        money: COINS,
    },
    KnownToken {
        network: Network::BASE_SEPOLIA,
        address: USDC_SEPOLIA,
        symbol: "USDC-sepolia",
        name: "USDC",
        version: "2",
        money: DOLLARS,
    },
    KnownToken {
        network: Network::LEDGER,
        address: OPG_LEDGER,
        symbol: "OPG-ledger",
        name: "OpenGradient",
        version: "1",
        money: COINS,
    },
    KnownToken {
        network: Network::DEVNET_LEDGER,
        address: OPG_LEDGER,
        symbol: "OPG-devnet",
        name: "OpenGradient",
        version: "1",
        money: COINS,
    },
];

impl KnownToken {
    /// Those of one network.
    pub fn on(network: Network) -> impl Iterator<Item = &'static Self> {
        TOKENS.iter().filter(move |token| token.network == network)
    }

    /// The one of a network that is counted in this unit.
    pub fn counted_in(unit: Unit, network: Network) -> Option<&'static Self> {
        Self::on(network).find(|token| token.money.unit == unit)
    }

    /// As it is taken.
    pub fn asset(&self) -> Asset {
        Asset::new(self.network, self.address, self.name, self.version, self.money)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_token_checks_signatures_by_the_domain_that_it_has_on_its_own_chain() {
        // `DOMAIN_SEPARATOR()` of the tokens, as their chains answer.
        let separators = [
            ("USDC", "02fa7265e7c5d81118673727957699e4d68f74cd74b7db77da710fe8a2c7834f"),
            ("USDC-sepolia", "71f17a3b2ff373b803d70a5a07c046c1a2bc8e89c09ef722fcb047abe94c9818"),
            ("OPG-ledger", "2c0f71e03c6fabf094de96fde7641f1a110d3132afb50b12ee394147ece3d2c7"),
            ("OPG-devnet", "abe82a0f673b8b1a19e3b57a430774cdf91f9c044d682aac0fc3c6b036e01830"),
        ];
        for (symbol, separator) in separators {
            let token = TOKENS.iter().find(|token| token.symbol == symbol).unwrap();
            assert_eq!(alloy_primitives::hex::encode(token.asset().domain().0), separator, "{symbol}");
        }
    }

    #[test]
    fn all_tokens_but_bases_opg_take_transfers_by_signature() {
        for token in TOKENS {
            assert_eq!(token.asset().takes_transfers(), token.symbol != "OPG", "{}", token.symbol);
        }
    }

    #[test]
    fn each_token_is_there_once_and_each_network_has_one_of_a_unit() {
        for (index, token) in TOKENS.iter().enumerate() {
            assert_eq!(TOKENS.iter().position(|other| other.symbol == token.symbol), Some(index));
            assert_eq!(KnownToken::counted_in(token.money.unit, token.network), Some(token));
        }
        assert_eq!(KnownToken::counted_in(Unit::Opg, Network::BASE_SEPOLIA), None);
    }
}
