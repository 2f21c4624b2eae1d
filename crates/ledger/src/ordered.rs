//! Transactions as blocks order them: bytes of two kinds, told apart by the first one.
//!
//! Reading needs nothing of the ledger, so whoever has threads reads on them: signatures and senders are most of the work.

use std::sync::Arc;

use evm::Chain;
use protocol::{Canonical as _, Digest, SignedTransaction, request::OPENING_BYTES_MAX};

use crate::refusal::Refusal;

/// Longest native transaction: a whole batch of receipts, or a challenge with its opening, and room to spare in one block.
pub const TRANSACTION_BYTES_MAX: usize = 960 << 10;

const _: () = assert!(OPENING_BYTES_MAX + (4 << 10) <= TRANSACTION_BYTES_MAX, "a challenge carries its opening");

/// The kinds of transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Native,
    Ethereum,
}

impl Kind {
    /// A native transaction begins with the high byte of its version, which is zero; no Ethereum envelope does.
    pub fn of(bytes: &[u8]) -> Self {
        match bytes.first() {
            None | Some(0) => Self::Native,
            Some(_) => Self::Ethereum,
        }
    }
}

/// A transaction, read.
#[derive(Clone, Debug)]
pub enum Ordered {
    Native {
        signed: Box<SignedTransaction>,
        /// Whether the sender signed it: looked at here, once, and judged where the sender is known.
        is_signed: bool,
    },
    Ethereum(Arc<evm::Transaction>),
    /// No transaction of this chain.
    Unreadable(Refusal),
}

impl Ordered {
    /// Reads the bytes of one.
    pub fn read(bytes: &[u8], chain: &Chain) -> Self {
        match Kind::of(bytes) {
            Kind::Native => match read_native(bytes) {
                Ok(signed) => Self::native(signed),
                Err(refusal) => Self::Unreadable(refusal),
            },
            Kind::Ethereum => match evm::Transaction::decode(bytes, chain) {
                Ok(transaction) => Self::Ethereum(Arc::new(transaction)),
                Err(refusal) => Self::Unreadable(Refusal::Ethereum(refusal)),
            },
        }
    }

    pub fn native(signed: SignedTransaction) -> Self {
        let is_signed = signed.signature_holds();
        Self::Native { signed: Box::new(signed), is_signed }
    }

    /// By what clients ask for it; absent where the bytes were no transaction.
    pub fn id(&self) -> Option<Digest> {
        match self {
            Self::Native { signed, .. } => Some(signed.transaction.id()),
            Self::Ethereum(transaction) => Some(Digest(transaction.hash().0)),
            Self::Unreadable(_) => None,
        }
    }
}

fn read_native(bytes: &[u8]) -> Result<SignedTransaction, Refusal> {
    if bytes.len() > TRANSACTION_BYTES_MAX {
        return Err(Refusal::TooLarge { found: bytes.len(), limit: TRANSACTION_BYTES_MAX });
    }
    SignedTransaction::decode(bytes).map_err(Refusal::Malformed)
}
