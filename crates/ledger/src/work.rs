//! The Ethereum part of a block: a snapshot and transactions in, the next head out. Needs the ledger no longer.

use std::sync::Arc;

use alloy_consensus::{Header, Sealed};
use alloy_primitives::{Address, Log, keccak256};
use evm::{BlockBuilder, BlockError, Chain, NextBlock, PushError};
use protocol::PublicKey;

use crate::{
    executed::Executed,
    purse::{Head, address_of},
    refusal::Refusal,
};

/// What is to be executed.
#[derive(Debug)]
pub(crate) struct Work {
    pub chain: Chain,
    /// The state after the block's native transactions.
    pub head: Head,
    pub next: NextBlock,
    /// What modules logged when the ledger acted on them.
    pub logs: Vec<Log>,
    /// With their places among the block's transactions.
    pub transactions: Vec<(usize, Arc<evm::Transaction>)>,
}

/// A block whose native transactions are executed. `Ledger::finish` has to follow, before the next block.
#[derive(Debug)]
pub struct Begun {
    pub(crate) executed: Executed,
    pub(crate) work: Work,
}

/// A block that is executed, but that the ledger has not taken over yet.
#[derive(Clone, Debug)]
pub struct Ran {
    pub(crate) executed: Executed,
    /// The state before the first of the Ethereum transactions, and after the last.
    pub(crate) before: Head,
    pub(crate) after: Head,
    pub(crate) block: Option<Arc<evm::Block>>,
}

/// What a block sees around it.
pub fn surroundings(parent: &Sealed<Header>, time_ms: u64, proposer: &PublicKey) -> NextBlock {
    let seconds = time_ms.checked_div(1_000).unwrap_or_default();
    NextBlock {
        timestamp: seconds.max(parent.timestamp),
        beneficiary: Address::from(address_of(proposer).0),
        // Foreseeable: contracts that need chance need another source, as on every chain whose proposers choose.
        prev_randao: keccak256(parent.hash()),
        ..NextBlock::default()
    }
}

impl Begun {
    /// Executes the Ethereum transactions, on what this thread alone holds.
    pub fn run(self) -> Ran {
        let Self { mut executed, work } = self;
        let refuse = |executed: &mut Executed, index: usize, refusal: Refusal| {
            if let Some(outcome) = executed.outcomes.get_mut(index) {
                outcome.result = Err(refusal);
            }
        };
        let made = match make(&work, &work.transactions) {
            Ok(made) => Some(made),
            Err(error) => {
                // The state contradicts itself, the same way on every validator: the block stays, without these transactions.
                for (index, _) in &work.transactions {
                    refuse(&mut executed, *index, Refusal::Unexecutable(error.to_string()));
                }
                make(&work, &[]).ok()
            }
        };
        let before = work.head;
        let Some((done, refused)) = made else {
            return Ran { executed, after: before.clone(), before, block: None };
        };
        for (index, refusal) in refused {
            refuse(&mut executed, index, Refusal::Ethereum(refusal));
        }
        let mut world = before.world.clone();
        let Ok(root) = world.apply(&done.changes) else {
            return Ran { executed, after: before.clone(), before, block: None };
        };
        let (block, _) = done.seal(root);
        let after = Head { world, header: block.header.clone() };
        Ran { executed, before, after, block: Some(Arc::new(block)) }
    }
}

type Made = (evm::Executed, Vec<(usize, evm::Refusal)>);

fn make(work: &Work, transactions: &[(usize, Arc<evm::Transaction>)]) -> Result<Made, BlockError> {
    let mut builder = BlockBuilder::begin(&work.chain, work.head.header.inner(), &work.head.world, &work.next)?;
    builder.note(work.logs.clone());
    let mut refused = Vec::new();
    for (index, transaction) in transactions {
        match builder.push(transaction.as_ref().clone()) {
            Ok(_) => {}
            Err(PushError::Refused(refusal)) => refused.push((*index, refusal)),
            Err(PushError::State(error)) => return Err(error.into()),
        }
    }
    Ok((builder.finish(), refused))
}

impl Ran {
    pub fn executed(&self) -> &Executed {
        &self.executed
    }

    /// The EVM block; absent only where the EVM could not make any.
    pub fn block(&self) -> Option<&Arc<evm::Block>> {
        self.block.as_ref()
    }

    /// The EVM before the block's first Ethereum transaction.
    pub fn before(&self) -> &Head {
        &self.before
    }

    /// The EVM after the block.
    pub fn after(&self) -> &Head {
        &self.after
    }
}
