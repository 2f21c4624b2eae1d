//! What the next block's header needs beside its parent.

use alloy_consensus::{Header, Sealed};
use alloy_primitives::{Address, keccak256};
use evm::NextBlock;

/// Who gets the tips, and what time it is.
#[derive(Clone, Copy)]
pub(crate) struct Surroundings {
    pub beneficiary: Address,
    pub clock: fn() -> u64,
}

impl Surroundings {
    pub fn next(&self, parent: &Sealed<Header>) -> NextBlock {
        NextBlock {
            // A clock that was set back must not stop the chain.
            timestamp: (self.clock)().max(parent.timestamp),
            beneficiary: self.beneficiary,
            // Foreseeable, and no worse for that: whoever runs this chain could choose anything.
            prev_randao: keccak256(parent.hash()),
            ..NextBlock::default()
        }
    }
}
