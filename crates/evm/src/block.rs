//! Blocks: parent, surroundings and transactions in; header, receipts and changes out.
//!
//! `BlockBuilder` takes one transaction after the other and leaves out what is refused: a proposer's way. `execute` takes a
//! block as it was ordered: there a refused transaction is an error of the whole block, and nothing of it happens.

use alloy_consensus::constants::{EMPTY_OMMER_ROOT_HASH, EMPTY_WITHDRAWALS};
use alloy_consensus::proofs::{calculate_receipt_root, ordered_trie_root_with_encoder};
use alloy_consensus::{Header, ReceiptEnvelope, Sealable as _, Sealed};
use alloy_eips::eip1559::BaseFeeParams;
use alloy_eips::eip7685::EMPTY_REQUESTS_HASH;
use alloy_evm::Evm as _;
use alloy_primitives::{Address, B256, Bloom, Bytes, Log};
use thiserror::Error;

use crate::chain::Chain;
use crate::history;
use crate::machine::{self, Machine, Stopped};
use crate::modules::{SystemCall, SystemError, opg};
use crate::overlay::Overlay;
use crate::receipt::{Receipt, Sums, of_deeds, receipt};
use crate::refusal::Refusal;
use crate::state::{Changes, StateError, StateRead};
use crate::system;
use crate::transaction::Transaction;

/// What whoever orders blocks decides about the next one; the rest follows from its parent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NextBlock {
    /// Seconds; not before the parent's. A chain may make several blocks in one.
    pub timestamp: u64,
    /// Who gets the tips.
    pub beneficiary: Address,
    /// What contracts see as randomness: anyone who orders blocks can bias it.
    pub prev_randao: B256,
    /// At most 32 bytes.
    pub extra_data: Bytes,
}

/// A block executed, but for the root of the state that its changes lead to.
#[derive(Clone, Debug)]
pub struct Executed {
    header: Header,
    pub transactions: Vec<Transaction>,
    pub receipts: Vec<Receipt>,
    pub changes: Changes,
}

/// A whole block.
#[derive(Clone, Debug)]
pub struct Block {
    pub header: Sealed<Header>,
    pub transactions: Vec<Transaction>,
    pub receipts: Vec<Receipt>,
}

/// Why there is no block.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum BlockError {
    #[error("transaction {index} is refused: {refusal}")]
    Refused { index: usize, refusal: Refusal },
    #[error("timestamp {found} is before the parent's, {parent}")]
    Timestamp { found: u64, parent: u64 },
    #[error("extra data of {found} bytes, expected at most 32")]
    ExtraData { found: usize },
    #[error("no block can follow number {0}")]
    Number(u64),
    #[error(transparent)]
    State(#[from] StateError),
}

/// Why a transaction is not in the block.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum PushError {
    /// It does not fit this block, or none; the block goes on without it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The block cannot go on.
    #[error(transparent)]
    State(#[from] StateError),
}

impl BlockError {
    pub(crate) fn at(index: usize, error: PushError) -> Self {
        match error {
            PushError::Refused(refusal) => Self::Refused { index, refusal },
            PushError::State(error) => Self::State(error),
        }
    }
}

/// What a unit of gas costs at least in the block after this one (EIP-1559).
pub fn base_fee_after(parent: &Header) -> u64 {
    parent.next_block_base_fee(BaseFeeParams::ethereum()).unwrap_or_default()
}

impl NextBlock {
    /// The header as far as it is known before execution: what a call on the pending block sees.
    pub fn header(&self, chain: &Chain, parent: &Header) -> Result<Header, BlockError> {
        if self.timestamp < parent.timestamp {
            return Err(BlockError::Timestamp { found: self.timestamp, parent: parent.timestamp });
        }
        if self.extra_data.len() > 32 {
            return Err(BlockError::ExtraData { found: self.extra_data.len() });
        }
        let number = parent.number.checked_add(1).ok_or(BlockError::Number(parent.number))?;
        Ok(Header {
            parent_hash: parent.hash_slow(),
            ommers_hash: EMPTY_OMMER_ROOT_HASH,
            beneficiary: self.beneficiary,
            number,
            gas_limit: chain.gas_limit,
            timestamp: self.timestamp,
            extra_data: self.extra_data.clone(),
            mix_hash: self.prev_randao,
            base_fee_per_gas: parent.next_block_base_fee(BaseFeeParams::ethereum()),
            withdrawals_root: Some(EMPTY_WITHDRAWALS),
            blob_gas_used: Some(0),
            excess_blob_gas: Some(0),
            parent_beacon_block_root: Some(B256::ZERO),
            requests_hash: Some(EMPTY_REQUESTS_HASH),
            ..Header::default()
        })
    }
}

/// A block in the making.
pub struct BlockBuilder<'a> {
    chain: Chain,
    machine: Machine<'a>,
    header: Header,
    transactions: Vec<Transaction>,
    receipts: Vec<Receipt>,
    sums: Sums,
}

impl<'a> BlockBuilder<'a> {
    /// Begins the block after `parent`, on the state that its execution led to.
    pub fn begin(
        chain: &Chain,
        parent: &Header,
        state: &'a dyn StateRead,
        next: &NextBlock,
    ) -> Result<Self, BlockError> {
        let header = next.header(chain, parent)?;
        let mut overlay = Overlay::over(state);
        let (address, slot, value) = history::entry(parent.number, header.parent_hash);
        overlay.set_slot(address, slot, value);
        let machine = machine::build(chain, chain.rules(), Chain::surroundings(&header), overlay);
        let (transactions, receipts) = (Vec::new(), Vec::new());
        Ok(Self { chain: *chain, machine, header, transactions, receipts, sums: Sums::default() })
    }

    /// The header so far.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Gas that transactions may still ask for.
    pub fn gas_left(&self) -> u64 {
        self.header.gas_limit.saturating_sub(self.sums.gas_used)
    }

    /// Executes one more transaction; refused, it leaves no trace.
    pub fn push(&mut self, transaction: Transaction) -> Result<&Receipt, PushError> {
        let (gas, left) = (transaction.gas_limit(), self.gas_left());
        if gas > left {
            return Err(Refusal::NoRoom { gas, left }.into());
        }
        let base_fee = self.header.base_fee_per_gas.unwrap_or_default();
        let quoted = transaction.quoted(&self.chain, base_fee);
        let ran = machine::run(&mut self.machine, transaction.prepared(), quoted).map_err(|stopped| match stopped {
            Stopped::Refused(refusal) => PushError::Refused(refusal),
            Stopped::State(error) => PushError::State(error),
        })?;
        let overlay = self.machine.db_mut();
        let burned = overlay.absorb(ran.state)?;
        let burned = burned.ok_or_else(|| StateError(format!("transaction {} made coins", transaction.hash())))?;
        if self.chain.has_opg() {
            opg::book_burned(overlay, burned)?;
        }
        let receipt = receipt(&transaction, ran.result, base_fee, self.sums);
        self.sums.gas_used = self.sums.gas_used.saturating_add(receipt.gas_used);
        self.sums.logs = self.sums.logs.saturating_add(u64::try_from(receipt.logs().len()).unwrap_or(u64::MAX));
        self.transactions.push(transaction);
        self.receipts.push(receipt);
        self.receipts.last().ok_or_else(|| StateError("a receipt was lost".to_owned()).into())
    }

    /// Writes down what the ledger did since the parent, on the state that this block began on: one transaction of the ledger's own
    /// before all others, whose receipt has the logs. Nothing where there are none, or where others came first.
    pub fn note(&mut self, logs: Vec<Log>) {
        if logs.is_empty() || !self.transactions.is_empty() {
            return;
        }
        self.sums.logs = u64::try_from(logs.len()).unwrap_or(u64::MAX);
        self.transactions.push(Transaction::of_ledger(&self.chain, self.header.number));
        self.receipts.push(of_deeds(logs));
    }

    /// Does what the ledger itself has to do at this place of the block; refused, it leaves no trace. Its logs are no
    /// transaction's: whoever wants them in the block does it before the block, and notes them.
    pub fn system<C: SystemCall>(&mut self, call: &C) -> Result<(C::Outcome, Vec<Log>), SystemError> {
        system::run(&mut self.machine, &self.chain, call)
    }

    /// What the block did so far, over the state that it began on.
    pub(crate) fn into_overlay(self) -> Overlay<'a> {
        self.machine.finish().0
    }

    /// Closes the block: roots of transactions and receipts, bloom, gas. Only the state's root is missing.
    pub fn finish(self) -> Executed {
        let Self { machine, mut header, transactions, receipts, sums, .. } = self;
        let envelopes: Vec<&ReceiptEnvelope> = receipts.iter().map(|receipt| &receipt.envelope).collect();
        header.gas_used = sums.gas_used;
        header.transactions_root = ordered_trie_root_with_encoder(&transactions, |transaction, out| {
            out.extend_from_slice(transaction.raw());
        });
        header.receipts_root = calculate_receipt_root(&envelopes);
        header.logs_bloom = receipts.iter().fold(Bloom::ZERO, |bloom, receipt| bloom | receipt.bloom());
        let (overlay, _) = machine.finish();
        Executed { header, transactions, receipts, changes: overlay.into_changes() }
    }
}

/// Executes a block as it was ordered, whole or not at all.
pub fn execute(
    chain: &Chain,
    parent: &Header,
    state: &dyn StateRead,
    next: &NextBlock,
    transactions: Vec<Transaction>,
) -> Result<Executed, BlockError> {
    let mut builder = BlockBuilder::begin(chain, parent, state, next)?;
    for (index, transaction) in transactions.into_iter().enumerate() {
        builder.push(transaction).map_err(|error| BlockError::at(index, error))?;
    }
    Ok(builder.finish())
}

impl Executed {
    /// The header but for the root of the state.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The block, once it is known what root its changes lead to.
    pub fn seal(self, state_root: B256) -> (Block, Changes) {
        let header = Header { state_root, ..self.header }.seal_slow();
        (Block { header, transactions: self.transactions, receipts: self.receipts }, self.changes)
    }
}
