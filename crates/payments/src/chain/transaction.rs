//! Transactions of our own key: EIP-1559, signed here, so that their hash is known before they are sent.

use alloy_primitives::{B256, Bytes, U256, keccak256};
use alloy_rlp::{BufMut, Encodable, Header};

use crate::{chain::settle::Call, signing::SignerKey};

const TYPE: u8 = 2;

/// What a transaction may cost its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fees {
    pub gas: u64,
    pub max_fee_per_gas: u128,
    pub max_priority_fee_per_gas: u128,
}

/// A transaction as it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    pub raw: Bytes,
    pub hash: B256,
    /// Of its sender.
    pub nonce: u64,
}

/// Signs `call` for a chain.
pub fn sign(call: &Call, chain_id: u64, nonce: u64, fees: Fees, key: &SignerKey) -> Signed {
    sign_paying(call, 0, chain_id, nonce, fees, key)
}

/// The same with so many of the chain's coins.
pub fn sign_paying(call: &Call, value: u128, chain_id: u64, nonce: u64, fees: Fees, key: &SignerKey) -> Signed {
    let body = body(call, value, chain_id, nonce, fees);
    let mut unsigned = vec![TYPE];
    list(&body, &mut unsigned);
    let signature = key.sign(&keccak256(&unsigned));
    let (r, s) = (U256::from_be_slice(&signature[..32]), U256::from_be_slice(&signature[32..64]));
    let mut signed = body;
    (signature[64] == 28).encode(&mut signed);
    r.to_be_bytes_trimmed_vec().as_slice().encode(&mut signed);
    s.to_be_bytes_trimmed_vec().as_slice().encode(&mut signed);
    let mut raw = vec![TYPE];
    list(&signed, &mut raw);
    Signed { hash: keccak256(&raw), raw: raw.into(), nonce }
}

fn body(call: &Call, value: u128, chain_id: u64, nonce: u64, fees: Fees) -> Vec<u8> {
    let mut body = Vec::new();
    chain_id.encode(&mut body);
    nonce.encode(&mut body);
    fees.max_priority_fee_per_gas.encode(&mut body);
    fees.max_fee_per_gas.encode(&mut body);
    fees.gas.encode(&mut body);
    call.to.encode(&mut body);
    value.encode(&mut body);
    call.data.encode(&mut body);
    // No access list.
    Header { list: true, payload_length: 0 }.encode(&mut body);
    body
}

fn list(payload: &[u8], out: &mut Vec<u8>) {
    Header { list: true, payload_length: payload.len() }.encode(out);
    out.put_slice(payload);
}
