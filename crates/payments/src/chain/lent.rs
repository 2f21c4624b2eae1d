//! Approvals by a payer's own transaction (extension `erc20ApprovalGasSponsoring`), for tokens that take none by signature: the payer signs
//! it, and whoever settles lends it the coins that its gas costs and sends it.
//!
//! The payer's coins are its own from then on, so that what is lent is bounded, and lent only for a payment that can be settled after it.

use alloy_primitives::{Address, Bytes, U256, address};
use alloy_sol_types::SolCall as _;
use contracts::abi::{IGasPriceOracle, IToken};
use serde_json::{Map, Value};

use crate::{
    chain::{
        Ask,
        transaction::{self, Foreign},
    },
    scheme::{Offer, Refused, all_hold},
    signing::permit2::PERMIT2,
    wire::extension,
};

/// The extension's name.
pub const LENT: &str = "erc20ApprovalGasSponsoring";
/// Longest transaction; an approval has about 180 bytes.
const RAW_BYTES_MAX: usize = 512;
/// What an approval may take: official clients ask for 70,000.
const GAS_MAX: u64 = 100_000;

/// Where a rollup of the OP stack says what a transaction costs beside its gas.
const GAS_PRICE_ORACLE: Address = address!("420000000000000000000000000000000000000F");

/// What a server declares that takes such payments.
pub fn declared() -> Value {
    extension::declared("Gas is lent for an approval of Permit2.")
}

/// A payer's own approval of Permit2, checked as far as no chain is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LentApproval {
    pub raw: Vec<u8>,
    pub transaction: Foreign,
}

impl LentApproval {
    /// The one that came with a payment of `least` by `payer`, if one did.
    pub fn brought(
        extensions: &Map<String, Value>,
        payer: Address,
        least: u128,
        offer: &Offer,
    ) -> Result<Option<Self>, Refused> {
        let Some(info) = extension::said(extensions, LENT, "signedTransaction")? else { return Ok(None) };
        let raw = info.bytes("signedTransaction", RAW_BYTES_MAX)?;
        let transaction = transaction::read(&raw).ok_or(Refused::Approval("it is no transaction of EIP-1559"))?;
        let told = (info.address("from")?, info.address("asset")?, info.address("spender")?);
        let approve = IToken::approveCall::abi_decode(&transaction.call.data).ok();
        let is_whole = approve.as_ref().is_some_and(|approve| approve.abi_encode() == transaction.call.data);
        let approve = approve.filter(|_| is_whole).ok_or(Refused::Approval("it calls something else than approve"))?;
        let truths = [
            (told == (payer, offer.asset.address, PERMIT2), "it names another payer, token or spender"),
            (transaction.sender == payer, "another key than the payer's signed it"),
            (transaction.call.to == offer.asset.address, "it is sent to another contract than the token"),
            (transaction.chain_id == offer.asset.network.chain_id(), "it is signed for another chain"),
            (approve.spender == PERMIT2, "it approves another than Permit2"),
            (approve.value >= U256::from(least), "it approves less than is paid"),
            (transaction.value.is_zero(), "it sends coins"),
            (transaction.fees.gas <= GAS_MAX, "it asks for more than 100,000 of gas"),
            (
                transaction.fees.max_priority_fee_per_gas <= transaction.fees.max_fee_per_gas,
                "its tip is above its price of gas",
            ),
        ];
        all_hold(truths).map_err(Refused::Approval)?;
        Ok(Some(Self { raw, transaction }))
    }

    /// Asks what its bytes cost beside its gas, where its chain lies on another.
    pub fn data_fee(&self) -> Ask {
        let data = IGasPriceOracle::getL1FeeCall { transaction: self.raw.clone().into() }.abi_encode();
        Ask { to: GAS_PRICE_ORACLE, data: data.into() }
    }

    /// What its payer must hold for it, in the chain's coins. That of its bytes follows another chain's price, so that there is a quarter
    /// more of it; where there is no such contract, the answer is empty and so is the fee.
    pub fn cost(&self, data_fee: &Bytes) -> u128 {
        let bytes = U256::try_from_be_slice(data_fee).map_or(0, |fee| u128::try_from(fee).unwrap_or(u128::MAX));
        let gas = u128::from(self.transaction.fees.gas).saturating_mul(self.transaction.fees.max_fee_per_gas);
        gas.saturating_add(bytes).saturating_add(bytes.div_ceil(4))
    }
}
