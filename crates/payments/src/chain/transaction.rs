//! Transactions of our own key: EIP-1559, signed here, so that their hash is known before they are sent.

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_rlp::{BufMut, Decodable, Encodable, Header};

use crate::{
    chain::settle::Call,
    signing::{SignerKey, recover},
};

const TYPE: u8 = 2;

/// What a transaction may cost its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fees {
    pub gas: u64,
    pub max_fee_per_gas: u128,
    pub max_priority_fee_per_gas: u128,
}

/// A quarter more: nodes want an eighth or a tenth of what takes another's place.
fn more(fee: u128) -> u128 {
    fee.saturating_add(fee.div_ceil(4).max(1))
}

/// So much for a unit of gas, or the most at once where it could not be raised to that any more: it would wait below it for good.
fn bounded(fee: u128, most: u128) -> u128 {
    if more(fee) > most { most } else { fee }
}

impl Fees {
    /// What is offered for so much gas where a unit of it costs `price`: twice that, which may be asked for by the time of its block. `None`
    /// where a unit costs more than `most`.
    pub fn offered(gas: u64, price: u128, tip: u128, most: u128) -> Option<Self> {
        let max_fee_per_gas = bounded(price.saturating_mul(2).saturating_add(tip), most);
        let max_priority_fee_per_gas = tip.min(max_fee_per_gas);
        (price <= most).then_some(Self { gas, max_fee_per_gas, max_priority_fee_per_gas })
    }

    /// What takes the place of a transaction of these fees, where its chain asks for `base` by now: a quarter more at least. `None` where
    /// that is more than `most` a unit of gas.
    pub fn raised(self, base: u128, most: u128) -> Option<Self> {
        let max_priority_fee_per_gas = more(self.max_priority_fee_per_gas);
        let (least, wanted) =
            (more(self.max_fee_per_gas), base.saturating_mul(2).saturating_add(max_priority_fee_per_gas));
        let max_fee_per_gas = bounded(least.max(wanted), most);
        let is_in = max_fee_per_gas >= least.max(base) && max_priority_fee_per_gas <= max_fee_per_gas;
        is_in.then_some(Self { max_fee_per_gas, max_priority_fee_per_gas, ..self })
    }
}

/// A transaction as it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    pub raw: Bytes,
    pub hash: B256,
    /// Of its sender.
    pub nonce: u64,
}

/// A transaction that somebody else signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreign {
    pub sender: Address,
    pub chain_id: u64,
    pub nonce: u64,
    pub fees: Fees,
    pub value: U256,
    pub call: Call,
    pub hash: B256,
}

/// Reads a transaction of the kind that is made here; `None` for any other, and for one in another spelling.
pub fn read(raw: &[u8]) -> Option<Foreign> {
    let (kind, mut rest) = raw.split_first()?;
    let list = Header::decode(&mut rest).ok()?;
    if *kind != TYPE || !list.list || list.payload_length != rest.len() {
        return None;
    }
    let rest = &mut rest;
    let (chain_id, nonce) = (u64::decode(rest).ok()?, u64::decode(rest).ok()?);
    let (max_priority_fee_per_gas, max_fee_per_gas) = (u128::decode(rest).ok()?, u128::decode(rest).ok()?);
    let fees = Fees { gas: u64::decode(rest).ok()?, max_fee_per_gas, max_priority_fee_per_gas };
    let to = Header::decode_bytes(rest, false).ok()?;
    let to = Address::try_from(to).ok()?;
    let value = number(rest)?;
    let call = Call { to, data: Bytes::copy_from_slice(Header::decode_bytes(rest, false).ok()?) };
    let access = Header::decode(rest).ok()?;
    if !access.list || access.payload_length > 0 {
        return None;
    }
    let is_odd = bool::decode(rest).ok()?;
    let (r, s) = (number(rest)?, number(rest)?);
    let body = body(call.to.as_slice(), &call.data, u128::try_from(value).ok()?, (chain_id, nonce, fees));
    let mut unsigned = vec![TYPE];
    list_of(&body, &mut unsigned);
    let signature = [&r.to_be_bytes::<32>()[..], &s.to_be_bytes::<32>(), &[27 + u8::from(is_odd)]].concat();
    let sender = recover(&keccak256(&unsigned), &signature).ok()?;
    let is_whole = rest.is_empty();
    is_whole.then(|| Foreign { sender, chain_id, nonce, fees, value, call, hash: keccak256(raw) })
}

/// A whole number in its one spelling.
fn number(rest: &mut &[u8]) -> Option<U256> {
    let bytes = Header::decode_bytes(rest, false).ok()?;
    let is_shortest = bytes.first() != Some(&0);
    U256::try_from_be_slice(bytes).filter(|_| is_shortest)
}

/// Signs `call` for a chain.
pub fn sign(call: &Call, chain_id: u64, nonce: u64, fees: Fees, key: &SignerKey) -> Signed {
    sign_paying(call, 0, chain_id, nonce, fees, key)
}

/// The same with so many of the chain's coins.
pub fn sign_paying(call: &Call, value: u128, chain_id: u64, nonce: u64, fees: Fees, key: &SignerKey) -> Signed {
    signed(body(call.to.as_slice(), &call.data, value, (chain_id, nonce, fees)), nonce, key)
}

/// Signs what makes a contract by running `init`.
pub fn sign_creating(init: &[u8], chain_id: u64, nonce: u64, fees: Fees, key: &SignerKey) -> Signed {
    signed(body(&[], init, 0, (chain_id, nonce, fees)), nonce, key)
}

fn signed(body: Vec<u8>, nonce: u64, key: &SignerKey) -> Signed {
    let mut unsigned = vec![TYPE];
    list_of(&body, &mut unsigned);
    let signature = key.sign(&keccak256(&unsigned));
    let (r, s) = (U256::from_be_slice(&signature[..32]), U256::from_be_slice(&signature[32..64]));
    let mut signed = body;
    (signature[64] == 28).encode(&mut signed);
    r.to_be_bytes_trimmed_vec().as_slice().encode(&mut signed);
    s.to_be_bytes_trimmed_vec().as_slice().encode(&mut signed);
    let mut raw = vec![TYPE];
    list_of(&signed, &mut raw);
    Signed { hash: keccak256(&raw), raw: raw.into(), nonce }
}

/// What is signed; `to` is nothing where a contract is made. Last come the chain's id, the sender's nonce, and the fees.
fn body(to: &[u8], data: &[u8], value: u128, (chain_id, nonce, fees): (u64, u64, Fees)) -> Vec<u8> {
    let mut body = Vec::new();
    chain_id.encode(&mut body);
    nonce.encode(&mut body);
    fees.max_priority_fee_per_gas.encode(&mut body);
    fees.max_fee_per_gas.encode(&mut body);
    fees.gas.encode(&mut body);
    to.encode(&mut body);
    value.encode(&mut body);
    data.encode(&mut body);
    // No access list.
    Header { list: true, payload_length: 0 }.encode(&mut body);
    body
}

fn list_of(payload: &[u8], out: &mut Vec<u8>) {
    Header { list: true, payload_length: payload.len() }.encode(out);
    out.put_slice(payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed() -> (Signed, Address, Call) {
        let key = SignerKey::from_secret([7; 32]).unwrap();
        let call = Call { to: Address::repeat_byte(1), data: vec![9; 68].into() };
        let fees = Fees { gas: 70_000, max_fee_per_gas: 1_000_000, max_priority_fee_per_gas: 1_000 };
        (sign_paying(&call, 5, 8_453, 3, fees, &key), key.address(), call)
    }

    #[test]
    fn what_somebody_else_signed_is_read_as_it_was_signed() {
        let (signed, sender, call) = signed();
        let read = read(&signed.raw).unwrap();
        assert_eq!((read.sender, read.chain_id, read.nonce, read.hash), (sender, 8_453, 3, signed.hash));
        assert_eq!((read.value, read.call, read.fees.gas), (U256::from(5), call, 70_000));
    }

    #[test]
    fn what_makes_a_contract_is_signed_for_nobody_and_calls_nothing() {
        let key = SignerKey::from_secret([7; 32]).unwrap();
        let fees = Fees { gas: 70_000, max_fee_per_gas: 1_000_000, max_priority_fee_per_gas: 1_000 };
        let made = sign_creating(&[9; 68], 8_453, 3, fees, &key);
        assert!(read(&made.raw).is_none(), "it is no call");
        assert_eq!((made.hash, made.nonce), (keccak256(&made.raw), 3));
        // Behind the gas: nobody, nothing, and 68 bytes of code.
        assert!(made.raw.windows(8).any(|bytes| bytes == [0x11, 0x70, 0x80, 0x80, 0xb8, 68, 9, 9]));
    }

    #[test]
    fn what_takes_anothers_place_offers_a_quarter_more_at_least_and_what_its_chain_asks_for() {
        let fees =
            |max_fee_per_gas, max_priority_fee_per_gas| Fees { gas: 7, max_fee_per_gas, max_priority_fee_per_gas };
        assert_eq!(fees(1_000, 10).raised(1_001, 10_000), Some(fees(2_015, 13)), "twice what is asked for");
        assert_eq!(fees(1_000, 10).raised(0, 10_000), Some(fees(1_250, 13)));
        assert_eq!(fees(1_001, 1_001).raised(0, 10_000), Some(fees(1_252, 1_252)), "rounded up");
        assert_eq!(fees(0, 0).raised(0, 1), Some(fees(1, 1)));
        assert_eq!(fees(1_000, 10).raised(9_000, 10_000), Some(fees(10_000, 13)), "as far as it may");
        assert_eq!(fees(1_000, 10).raised(10_001, 10_000), None, "it would wait all the same");
        assert_eq!(fees(9_000, 10).raised(9_001, 10_000), None, "nodes would not take so little more");
        assert_eq!(fees(u128::MAX, 1).raised(u128::MAX, u128::MAX), Some(fees(u128::MAX, 2)), "and it never overflows");
    }

    #[test]
    fn what_is_offered_can_be_raised_or_is_the_most_that_ever_is() {
        for price in 0..=1_000 {
            let mut fees = Fees::offered(7, price, 10, 1_000).unwrap();
            assert!(fees.max_fee_per_gas >= price && fees.max_priority_fee_per_gas <= fees.max_fee_per_gas, "{price}");
            while fees.max_fee_per_gas < 1_000 {
                let before = fees.max_fee_per_gas;
                fees = fees.raised(before + 1, 1_000).unwrap();
                assert!(fees.max_fee_per_gas > before && fees.max_fee_per_gas <= 1_000, "{price}");
            }
        }
        assert_eq!(Fees::offered(7, 1_001, 10, 1_000), None, "no block would take it");
        let all = Fees { gas: 7, max_fee_per_gas: u128::MAX, max_priority_fee_per_gas: 10 };
        assert_eq!(Fees::offered(7, u128::MAX, 10, u128::MAX), Some(all), "and it never overflows");
    }

    #[test]
    fn what_is_no_such_transaction_is_none_and_never_a_panic() {
        let (signed, sender, _) = signed();
        assert!(read(&[]).is_none() && read(&[2]).is_none() && read(&[2, 0xc0]).is_none());
        for at in 0..signed.raw.len() {
            let mut other = signed.raw.to_vec();
            other[at] ^= 1;
            assert!(read(&other).is_none_or(|read| read.sender != sender || read.hash != signed.hash), "{at}");
            assert!(read(&signed.raw[..at]).is_none(), "{at}");
        }
        assert!(read(&[&signed.raw[..], &[0]].concat()).is_none());
    }
}
