//! How a devnet's Base begins: what clients look for at canonical addresses, and tokens for keys that the devnet made itself.
//!
//! Nobody else is given anything: what is signed for this chain is valid on the real one too.

use alloy_primitives::{Address, Bytes, U256};
use contracts::{Artefact, CANONICAL, SettlementStart, addresses, bridged_opg, settlement, token};
use evm::{Genesis, GenesisAccount};
use thiserror::Error;

/// What a devnet's Base begins with.
#[derive(Clone, Debug)]
pub struct BaseStart {
    pub timestamp: u64,
    /// Keys that the devnet made itself.
    pub funded: Vec<Address>,
    /// Of each funded key: coins, OPG (which the ledger must hold locked), and dollars.
    pub coins: U256,
    pub opg: U256,
    pub dollars: U256,
    /// The network that the settlement listens to: the id of its ledger's chain and its key, uncompressed.
    pub ledger_chain_id: u64,
    pub network_key: [u8; 192],
}

#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum BaseError {
    #[error("failed to fund Base's keys: together more than 256 bits hold")]
    Supply,
    #[error("failed to fund {0}: a contract lies there")]
    Taken(Address),
}

impl BaseStart {
    pub fn genesis(&self) -> Result<Genesis, BaseError> {
        let mut genesis = Genesis { timestamp: self.timestamp, ..Genesis::default() };
        for (address, account) in self.contracts()? {
            genesis.accounts.insert(address, account);
        }
        for address in &self.funded {
            if genesis.accounts.get(address).is_some_and(|account| !account.code.is_empty()) {
                return Err(BaseError::Taken(*address));
            }
            genesis.accounts.insert(*address, GenesisAccount { balance: self.coins, ..GenesisAccount::default() });
        }
        Ok(genesis)
    }

    fn contracts(&self) -> Result<Vec<(Address, GenesisAccount)>, BaseError> {
        let all = |amount: U256| self.funded.iter().map(|key| (*key, amount)).collect::<Vec<_>>();
        let opg = bridged_opg(addresses::DEVNET_SETTLEMENT, &all(self.opg)).ok_or(BaseError::Supply)?;
        let dollars = token(&all(self.dollars)).ok_or(BaseError::Supply)?;
        let start =
            SettlementStart { token: addresses::OPG, ledger_chain_id: self.ledger_chain_id, key: self.network_key };
        let mut placed: Vec<_> = canonical_accounts().collect();
        placed.push((addresses::OPG, GenesisAccount { storage: opg, ..holding(&Artefact::BRIDGED_OPG) }));
        placed.push((addresses::USDC, GenesisAccount { storage: dollars, ..holding(&Artefact::DEVNET_DOLLAR) }));
        let settled = GenesisAccount { storage: settlement(&start), ..holding(&Artefact::SETTLEMENT) };
        placed.push((addresses::DEVNET_SETTLEMENT, settled));
        Ok(placed)
    }
}

/// What any chain may have at canonical addresses from the start.
pub fn canonical_accounts() -> impl Iterator<Item = (Address, GenesisAccount)> {
    CANONICAL.iter().map(|placed| (placed.address, holding(&placed.contract)))
}

/// A contract's nonce is one from its creation on.
fn holding(contract: &Artefact) -> GenesisAccount {
    GenesisAccount { nonce: 1, code: Bytes::from_static(contract.code), ..GenesisAccount::default() }
}
