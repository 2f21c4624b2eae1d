//! What was destroyed on Base for the ledger, read from blocks that are final there and checked against the contract's own chain of
//! digests, so that a log left out or made up by an RPC is noticed.

use std::collections::BTreeMap;

use alloy_sol_types::SolEvent as _;
use contracts::abi::ISettlement;
use network::RpcError;
use payments::Address;
use protocol::{Burn, Digest, EvmAddress, transaction::BURNS_MAX};
use thiserror::Error;

use crate::chain::{Chain, ChainError, Seen};

/// Blocks of one question: most RPCs refuse much more.
const RANGE: u64 = 2_000;
/// Questions of one look, so that a long way back is made in steps.
const QUESTIONS: usize = 16;
/// Burns that are kept ahead of what is credited.
const AHEAD: u64 = 256;

/// When a block of Base counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// So many blocks on top of it.
    Blocks(u64),
    /// The chain calls it final.
    Finalized,
}

/// Why burns cannot be told.
#[derive(Clone, Debug, Error)]
pub enum BurnError {
    #[error(transparent)]
    Chain(#[from] ChainError),
    #[error(
        "burn {0} on Base does not continue those that were credited; hint: the RPC is of another chain, or leaves logs out"
    )]
    OtherHistory(u64),
}

/// Reads the burns of one contract.
pub struct BurnReader {
    chain: Chain,
    settlement: Address,
    depth: Depth,
    first_block: u64,
    /// First block that was not read yet.
    next_block: u64,
    /// Burns by serial, with the contract's digest after each.
    known: BTreeMap<u64, (Burn, Digest)>,
}

impl BurnReader {
    /// `first_block` is one before which the contract was not there.
    pub fn new(chain: Chain, settlement: Address, depth: Depth, first_block: u64) -> Self {
        Self { chain, settlement, depth, first_block, next_block: first_block, known: BTreeMap::new() }
    }

    /// The next burns, in order, after `credited` whose last digest is `digest`.
    pub async fn after(&mut self, credited: u64, digest: Digest) -> Result<Vec<Burn>, BurnError> {
        self.look(credited).await?;
        self.known.retain(|serial, _| *serial >= credited);
        let (mut burns, mut before) = (Vec::new(), digest);
        for (serial, (burn, after)) in (credited..).zip(self.known.values()).take(BURNS_MAX) {
            if burn.serial != serial {
                break;
            }
            before = burn.chained(&before);
            if before != *after {
                // What was read does not fit: read it again, from the beginning.
                self.known.clear();
                self.next_block = self.first_block;
                return Err(BurnError::OtherHistory(serial));
            }
            burns.push(burn.clone());
        }
        Ok(burns)
    }

    /// Reads on, to the newest block that counts.
    async fn look(&mut self, credited: u64) -> Result<(), BurnError> {
        let newest = match self.depth {
            Depth::Finalized => Some(self.chain.finalized().await?),
            Depth::Blocks(count) => self.chain.number().await?.checked_sub(count),
        };
        let Some(newest) = newest else { return Ok(()) };
        for _ in 0..QUESTIONS {
            let is_full = self.known.last_key_value().is_some_and(|(last, _)| *last >= credited.saturating_add(AHEAD));
            if self.next_block > newest || is_full {
                break;
            }
            let last = newest.min(self.next_block.saturating_add(RANGE - 1));
            let topics = [vec![ISettlement::SentToLedger::SIGNATURE_HASH]];
            for seen in self.chain.logs(self.settlement, (self.next_block, last), &topics).await? {
                let (burn, after) = read(&seen).ok_or(ChainError::Rpc(RpcError::Answer("eth_getLogs")))?;
                if burn.serial >= credited {
                    self.known.insert(burn.serial, (burn, after));
                }
            }
            self.next_block = last.saturating_add(1);
        }
        Ok(())
    }
}

fn read(seen: &Seen) -> Option<(Burn, Digest)> {
    let event = ISettlement::SentToLedger::decode_raw_log(seen.topics.iter().copied(), &seen.data).ok()?;
    let burn = Burn {
        serial: event.serial,
        from: EvmAddress(event.from.into_array()),
        account: Digest(event.account.0),
        amount: event.amount,
    };
    Some((burn, Digest(event.digest.0)))
}

#[cfg(test)]
mod tests {
    use payments::B256;

    use super::*;

    fn seen(serial: u64, amount: u128) -> Seen {
        let event = ISettlement::SentToLedger {
            serial,
            from: Address::repeat_byte(1),
            account: B256::repeat_byte(2),
            amount,
            digest: B256::repeat_byte(3),
        };
        let data = event.encode_log_data();
        Seen { topics: data.topics().to_vec(), data: data.data.clone() }
    }

    #[test]
    fn an_event_of_the_contract_is_a_burn() {
        let (burn, after) = read(&seen(4, 9)).unwrap();
        assert_eq!((burn.serial, burn.amount, burn.from), (4, 9, EvmAddress([1; 20])));
        assert_eq!((burn.account, after), (Digest([2; 32]), Digest([3; 32])));
    }

    #[test]
    fn anything_else_is_none() {
        let whole = seen(4, 9);
        assert_eq!(read(&Seen { topics: whole.topics[..3].to_vec(), ..whole.clone() }), None);
        assert_eq!(read(&Seen { data: whole.data.slice(..32), ..whole.clone() }), None);
        let mut other = whole;
        other.topics[0] = B256::ZERO;
        assert_eq!(read(&other), None);
    }
}
