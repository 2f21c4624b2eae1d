//! Blocks, transactions, receipts and logs in the shapes that clients read, complete, because each client insists on other fields.

use alloy_consensus::transaction::Recovered;
use alloy_consensus::{Header as ChainHeader, ReceiptEnvelope, Sealed, Transaction as _, TxEnvelope};
use alloy_primitives::{Log, U64, U256};
use alloy_rlp::Encodable as _;
use alloy_rpc_types_eth::{
    Block as BlockFace, BlockTransactions, Filter, Header as HeaderFace, Log as LogFace,
    Transaction as TransactionFace, TransactionReceipt, Withdrawals,
};
use evm::{Block, Receipt, Transaction};
use serde::Serialize;

use crate::node::Syncing;

/// How far a node is that is behind, in the words of `eth_syncing`.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SyncingFace {
    starting_block: U64,
    current_block: U64,
    highest_block: U64,
}

pub(crate) fn syncing(syncing: Syncing) -> SyncingFace {
    SyncingFace {
        starting_block: U64::from(syncing.starting),
        current_block: U64::from(syncing.current),
        highest_block: U64::from(syncing.highest),
    }
}

pub(crate) type ReceiptFace = TransactionReceipt<ReceiptEnvelope<LogFace>>;

pub(crate) fn header(header: &Sealed<ChainHeader>) -> HeaderFace {
    // There was never any work on these chains; older clients want to read so.
    HeaderFace::from_sealed(header.clone()).with_total_difficulty(Some(U256::ZERO))
}

/// With whole transactions, or with their hashes.
pub(crate) fn block(block: &Block, whole: bool) -> BlockFace {
    let header = header(&block.header).with_size(Some(U256::from(size(block))));
    let transactions = if whole {
        let faces = block.transactions.iter().enumerate();
        BlockTransactions::Full(faces.filter_map(|(index, _)| transaction_at(block, index)).collect())
    } else {
        BlockTransactions::Hashes(block.transactions.iter().map(Transaction::hash).collect())
    };
    BlockFace::new(header, transactions).with_withdrawals(Some(Withdrawals::default()))
}

/// The length of the block in RLP: header, transactions, no uncles, no withdrawals.
fn size(block: &Block) -> usize {
    let transactions: usize = block.transactions.iter().map(transaction_size).sum();
    let empty = 1;
    listed(block.header.inner().length() + listed(transactions) + empty + empty)
}

fn transaction_size(transaction: &Transaction) -> usize {
    let raw = transaction.raw();
    // A legacy transaction is a list itself, the others are byte strings in the list.
    if transaction.envelope().is_legacy() { raw.len() } else { raw.length() }
}

fn listed(payload: usize) -> usize {
    alloy_rlp::Header { list: true, payload_length: payload }.length_with_payload()
}

fn recovered(transaction: &Transaction) -> Recovered<TxEnvelope> {
    Recovered::new_unchecked(transaction.envelope().clone(), transaction.sender())
}

pub(crate) fn transaction_at(block: &Block, index: usize) -> Option<TransactionFace> {
    let transaction = block.transactions.get(index)?;
    let header = block.header.inner();
    Some(TransactionFace {
        inner: recovered(transaction),
        block_hash: Some(block.header.hash()),
        block_number: Some(header.number),
        transaction_index: Some(index as u64),
        effective_gas_price: Some(transaction.gas_price(header.base_fee_per_gas.unwrap_or_default())),
        block_timestamp: Some(header.timestamp),
    })
}

/// One that waits: what it will cost is not known yet, so what it may cost is told.
pub(crate) fn transaction_waiting(transaction: &Transaction) -> TransactionFace {
    TransactionFace {
        inner: recovered(transaction),
        block_hash: None,
        block_number: None,
        transaction_index: None,
        effective_gas_price: Some(transaction.envelope().max_fee_per_gas()),
        block_timestamp: None,
    }
}

pub(crate) fn receipt_at(block: &Block, index: usize) -> Option<ReceiptFace> {
    let (transaction, receipt) = (block.transactions.get(index)?, block.receipts.get(index)?);
    let mut logs = logs_at(block, index, |_| true).into_iter();
    let inner = receipt.envelope.clone().map_logs(|log| {
        // As many as the receipt has, in its order.
        logs.next().unwrap_or_else(|| LogFace { inner: log, ..LogFace::default() })
    });
    Some(TransactionReceipt {
        inner,
        transaction_hash: transaction.hash(),
        transaction_index: Some(index as u64),
        block_hash: Some(block.header.hash()),
        block_number: Some(block.header.inner().number),
        gas_used: receipt.gas_used,
        effective_gas_price: receipt.effective_gas_price,
        blob_gas_used: None,
        blob_gas_price: None,
        from: transaction.sender(),
        to: transaction.envelope().to(),
        contract_address: receipt.contract,
    })
}

/// Those logs of a block that a filter matches, in order.
pub(crate) fn logs<'a>(block: &'a Block, filter: &'a Filter) -> impl Iterator<Item = LogFace> + 'a {
    (0..block.receipts.len()).flat_map(move |index| logs_at(block, index, |log| filter.matches(log)))
}

fn logs_at(block: &Block, index: usize, is_wanted: impl Fn(&Log) -> bool) -> Vec<LogFace> {
    let (Some(transaction), Some(receipt)) = (block.transactions.get(index), block.receipts.get(index)) else {
        return Vec::new();
    };
    let before = receipt.logs_before;
    let of = |(place, log): (usize, &Log)| LogFace {
        inner: log.clone(),
        block_hash: Some(block.header.hash()),
        block_number: Some(block.header.inner().number),
        block_timestamp: Some(block.header.inner().timestamp),
        transaction_hash: Some(transaction.hash()),
        transaction_index: Some(index as u64),
        log_index: Some(before + place as u64),
        removed: false,
    };
    Receipt::logs(receipt).iter().enumerate().filter(|(_, log)| is_wanted(log)).map(of).collect()
}
