//! What a transaction of a block came to.

use alloy_consensus::{Receipt as Body, ReceiptEnvelope, TxType};
use alloy_primitives::{Address, Bloom, Bytes, Log};
use revm::context::result::{ExecutionResult, HaltReason};

use crate::transaction::Transaction;

/// Ethereum's receipt, and what clients want to know beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// What the block's receipts root commits to.
    pub envelope: ReceiptEnvelope,
    pub gas_used: u64,
    pub effective_gas_price: u128,
    /// Where a contract was made, if one was.
    pub contract: Option<Address>,
    /// How many logs the block has before this transaction's.
    pub logs_before: u64,
    /// What was returned, or with what it was reverted.
    pub output: Bytes,
    /// Why it halted (out of gas, bad jump, …), if it did: no part of the block, lost when the block is read back.
    pub halt: Option<HaltReason>,
}

impl Receipt {
    pub fn succeeded(&self) -> bool {
        self.envelope.status()
    }

    pub fn logs(&self) -> &[Log] {
        self.envelope.logs()
    }

    pub fn bloom(&self) -> Bloom {
        *self.envelope.logs_bloom()
    }
}

/// Where a block stands before a transaction.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sums {
    pub gas_used: u64,
    pub logs: u64,
}

/// Of what the ledger did before the first transaction of a block.
pub(crate) fn of_deeds(logs: Vec<Log>) -> Receipt {
    let body = Body { status: true.into(), cumulative_gas_used: 0, logs }.with_bloom();
    Receipt {
        envelope: ReceiptEnvelope::Legacy(body),
        gas_used: 0,
        effective_gas_price: 0,
        contract: None,
        logs_before: 0,
        output: Bytes::new(),
        halt: None,
    }
}

pub(crate) fn receipt(transaction: &Transaction, result: ExecutionResult, base_fee: u64, sums: Sums) -> Receipt {
    let gas_used = result.tx_gas_used();
    let (status, logs, output, contract, halt) = match result {
        ExecutionResult::Success { logs, output, .. } => {
            let contract = output.address().copied();
            (true, logs, output.into_data(), contract, None)
        }
        ExecutionResult::Revert { output, .. } => (false, Vec::new(), output, None, None),
        ExecutionResult::Halt { reason, .. } => (false, Vec::new(), Bytes::new(), None, Some(reason)),
    };
    let cumulative_gas_used = sums.gas_used.saturating_add(gas_used);
    let body = Body { status: status.into(), cumulative_gas_used, logs }.with_bloom();
    let envelope = match transaction.envelope().tx_type() {
        TxType::Legacy => ReceiptEnvelope::Legacy(body),
        TxType::Eip2930 => ReceiptEnvelope::Eip2930(body),
        TxType::Eip1559 => ReceiptEnvelope::Eip1559(body),
        TxType::Eip4844 => ReceiptEnvelope::Eip4844(body),
        TxType::Eip7702 => ReceiptEnvelope::Eip7702(body),
    };
    let effective_gas_price = transaction.gas_price(base_fee);
    Receipt { envelope, gas_used, effective_gas_price, contract, logs_before: sums.logs, output, halt }
}
