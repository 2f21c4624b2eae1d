//! Payments that somebody else had settled: what a chain is asked about a nonce that it says is used.

use alloy_primitives::{Address, B256};

use crate::{
    books::PurseRecord,
    chain::settle::SettleError,
    price,
    scheme::{Method, Question, Scheme},
    wire::{
        Network, PermitAuthorization, SIGNATURE_BYTES_MAX, TransferAuthorization,
        json::{self, Object},
    },
};

/// `Transfer(address,address,uint256)` of every token.
pub const TRANSFER: B256 = alloy_primitives::b256!("ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef");

/// What a purse's payer signed, as its chain can be asked about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    pub question: Question,
    pub payee: Address,
    /// What its settlement moves: what was charged, and by `exact` all of it, whatever was.
    pub amount: u128,
    /// `r` and `s`: whoever settles it has to show them.
    pub bytes: Vec<u8>,
}

impl Signature {
    /// Of a payment; channels have none that is used up.
    pub fn of(purse: &PurseRecord, network: Network) -> Result<Self, SettleError> {
        if purse.scheme == Scheme::Batch {
            return Err(SettleError::Channel);
        }
        let proof = json::parse(&purse.proof)?;
        let object = Object::new("proof", &proof);
        let bytes = object.bytes("signature", SIGNATURE_BYTES_MAX)?;
        let bytes = bytes.get(..64).ok_or(SettleError::Signature(bytes.len()))?.to_vec();
        let nonce = match purse.method {
            Method::Transfer => TransferAuthorization::read(object.object("authorization")?)?.nonce,
            Method::Permit2 => B256::from(PermitAuthorization::read(object.object("permit2Authorization")?)?.nonce),
        };
        let (asset, payer, method) = (price::address(&purse.asset), price::address(&purse.payer), purse.method);
        let question = Question { network, asset, payer, method, nonce, contract_signature: None };
        let amount = if purse.scheme == Scheme::Exact { purse.cap } else { purse.spent };
        Ok(Self { question, payee: price::address(&purse.payee), amount, bytes })
    }

    /// Topics of the transfer from payer to payee.
    pub fn topics(&self) -> [B256; 3] {
        [TRANSFER, self.question.payer.into_word(), self.payee.into_word()]
    }

    /// Whether a transaction with this calldata, which moved `amount` from payer to payee, was this payment.
    pub fn is_settled_by(&self, calldata: &[u8], amount: u128) -> bool {
        amount == self.amount && calldata.windows(self.bytes.len()).any(|window| window == self.bytes)
    }
}
