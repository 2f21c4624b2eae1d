//! Which block a client means, and the state and surroundings that belong to it.

use std::sync::Arc;

use alloy_consensus::Header;
use alloy_eips::{BlockId, BlockNumberOrTag};
use evm::{Block, Snapshot};

use crate::error::RpcError;
use crate::node::State;
use crate::state::Desk;

/// What `block` parameters look like, for refusals.
pub(crate) const EXPECTED: &str =
    "a number as 0x…, latest, safe, finalized, pending, earliest, or {\"blockHash\": …} or {\"blockNumber\": …}";

impl Desk {
    /// What is in a block is final, so that the newest is the safe and the finalized one too.
    pub fn number(&self, tag: BlockNumberOrTag) -> u64 {
        match tag {
            BlockNumberOrTag::Latest
            | BlockNumberOrTag::Safe
            | BlockNumberOrTag::Finalized
            | BlockNumberOrTag::Pending => self.node.head(),
            BlockNumberOrTag::Earliest => 0,
            BlockNumberOrTag::Number(number) => number,
        }
    }

    /// The number of the block that is meant, if there is such a block.
    pub fn find(&self, id: BlockId) -> Result<Option<u64>, RpcError> {
        let number = match id {
            BlockId::Number(tag) => Some(self.number(tag)),
            BlockId::Hash(hash) => self.node.number_of(&hash.block_hash)?,
        };
        Ok(number.filter(|number| *number <= self.node.head()))
    }

    pub fn existing(&self, id: BlockId) -> Result<u64, RpcError> {
        self.find(id)?.ok_or_else(|| RpcError::not_found(format!("header not found: block {}", words(id))))
    }

    pub fn block(&self, number: u64) -> Result<Arc<Block>, RpcError> {
        self.node.block(number)?.ok_or_else(|| RpcError::not_found(format!("block not found: {number}")))
    }

    pub fn header(&self, number: u64) -> Result<Header, RpcError> {
        let header = self.node.header(number)?;
        header
            .map(|header| header.into_inner())
            .ok_or_else(|| RpcError::not_found(format!("header not found: {number}")))
    }

    /// The header of the next block, as far as it is known.
    pub fn upcoming(&self) -> Result<Header, RpcError> {
        let parent = self.header(self.node.head())?;
        self.node.upcoming().header(self.node.chain(), &parent).map_err(|error| RpcError::internal(error.to_string()))
    }

    /// State and surroundings of a request at `id`: those of the block, or on the newest state those of the next one.
    pub fn moment(&self, id: Option<BlockId>) -> Result<Moment, RpcError> {
        let id = id.unwrap_or(BlockId::latest());
        let number = self.existing(id)?;
        let header = if id.is_pending() { self.upcoming()? } else { self.header(number)? };
        Ok(Moment { state: self.node.state(number)?, header })
    }
}

fn words(id: BlockId) -> String {
    match id {
        BlockId::Hash(hash) => hash.block_hash.to_string(),
        BlockId::Number(tag) => tag.to_string(),
    }
}

/// A state, and the block that a request on it believes to be in.
pub(crate) struct Moment {
    pub state: State,
    pub header: Header,
}

impl Moment {
    pub fn snapshot<'a>(&'a self, desk: &'a Desk) -> Snapshot<'a> {
        Snapshot { chain: desk.node.chain(), state: self.state.as_ref(), header: &self.header }
    }
}
