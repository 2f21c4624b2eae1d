//! What a chain fixes for all of its blocks: its id, how much gas a block holds, which native modules it has.
//!
//! The rules are Osaka's, with one change: a transaction may use a whole block's gas, because official clients send
//! 30,000,000 and Osaka would stop at 16,777,216.

use alloy_consensus::Header;
use alloy_eips::eip7840::BlobParams;
use alloy_primitives::U256;
use revm::context::{BlockEnv, CfgEnv};
use revm::context_interface::block::BlobExcessGasAndPrice;
use revm::primitives::hardfork::SpecId;

use crate::modules::{self, Module};

/// One chain's constants.
#[derive(Clone, Copy, Debug)]
pub struct Chain {
    pub id: u64,
    /// Gas in a block, which is also the most that one transaction may ask for.
    pub gas_limit: u64,
    /// Native modules, each at its address.
    pub modules: &'static [Module],
}

impl Chain {
    /// A chain with the network's native modules: its coin is OPG.
    pub const fn network(id: u64) -> Self {
        Self { id, gas_limit: 30_000_000, modules: modules::ALL }
    }

    /// A chain of contracts only, as the devnet's Base is.
    pub const fn plain(id: u64) -> Self {
        Self { id, gas_limit: 30_000_000, modules: &[] }
    }

    /// The same chain with other blocks.
    #[must_use]
    pub const fn with_gas_limit(self, gas_limit: u64) -> Self {
        Self { gas_limit, ..self }
    }

    /// Whether its coin is OPG, whose books say what was burned.
    pub(crate) fn has_opg(&self) -> bool {
        self.modules.iter().any(|module| module.address == modules::opg::ADDRESS)
    }

    pub(crate) fn rules(&self) -> CfgEnv {
        let mut rules = CfgEnv::new_with_spec(SpecId::OSAKA).with_chain_id(self.id);
        rules.tx_gas_limit_cap = Some(self.gas_limit);
        rules
    }

    /// What transactions of the block with this header see around them.
    pub(crate) fn surroundings(header: &Header) -> BlockEnv {
        let blob_fraction = u64::try_from(BlobParams::osaka().update_fraction).unwrap_or(u64::MAX);
        BlockEnv {
            number: U256::from(header.number),
            beneficiary: header.beneficiary,
            timestamp: U256::from(header.timestamp),
            gas_limit: header.gas_limit,
            basefee: header.base_fee_per_gas.unwrap_or_default(),
            difficulty: U256::ZERO,
            prevrandao: Some(header.mix_hash),
            blob_excess_gas_and_price: Some(BlobExcessGasAndPrice::new(0, blob_fraction)),
            ..BlockEnv::default()
        }
    }
}
