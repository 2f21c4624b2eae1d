//! Transactions as blocks order them: bytes of two kinds, told apart by the first one.
//!
//! Reading needs nothing of the ledger, so whoever has threads reads on them: signatures and senders are most of the work.

use std::sync::Arc;

use crypto::Claim;
use evm::Chain;
use protocol::{Action, Digest, SignedTransaction, Transaction, request::OPENING_BYTES_MAX, transaction::Identified};

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

/// A native transaction, read. Nothing that it says of signatures is looked at yet.
#[derive(Clone, Debug)]
pub struct Native {
    signed: SignedTransaction,
    id: Digest,
    claim: Claim,
    /// Ids of the receipts that it posts, in order, and what their signatures claim.
    receipts: Vec<(Digest, Claim)>,
}

impl Native {
    /// Reads its bytes.
    pub fn read(bytes: &[u8]) -> Result<Self, Refusal> {
        if bytes.len() > TRANSACTION_BYTES_MAX {
            return Err(Refusal::TooLarge { found: bytes.len(), limit: TRANSACTION_BYTES_MAX });
        }
        let Identified { signed, id, claim, receipts } =
            SignedTransaction::identified(bytes).map_err(Refusal::Malformed)?;
        Ok(Self { signed, id, claim, receipts })
    }

    pub fn id(&self) -> Digest {
        self.id
    }

    pub fn transaction(&self) -> &Transaction {
        &self.signed.transaction
    }

    /// Whether its sender signed it.
    pub fn is_signed(&self) -> bool {
        self.claim.holds()
    }

    /// How many signatures are in it.
    pub fn signatures(&self) -> usize {
        self.receipts.len().saturating_add(1)
    }
}

/// A native transaction, and what came of the claims in it.
#[derive(Clone, Debug)]
pub struct Checked {
    native: Arc<Native>,
    is_signed: bool,
    /// Of each of its receipts, whether its worker signed it.
    receipts: Vec<bool>,
}

impl Checked {
    /// Checks all signatures of many at once. Judged they are where senders and workers are known.
    pub fn all(natives: Vec<Arc<Native>>) -> Vec<Self> {
        let mut claims = Vec::with_capacity(natives.iter().map(|native| native.signatures()).sum());
        for native in &natives {
            claims.push(native.claim);
            claims.extend(native.receipts.iter().map(|(_, claim)| *claim));
        }
        let mut verdicts = Claim::all(&claims).into_iter();
        let checked = |native: Arc<Native>| {
            let is_signed = verdicts.next().unwrap_or(false);
            let receipts = verdicts.by_ref().take(native.receipts.len()).collect();
            Self { native, is_signed, receipts }
        };
        natives.into_iter().map(checked).collect()
    }

    pub(crate) fn is_signed(&self) -> bool {
        self.is_signed
    }

    pub(crate) fn transaction(&self) -> &Transaction {
        &self.native.signed.transaction
    }

    /// What it does, and what is known of the receipts that it posts: id, and whether it is signed.
    pub(crate) fn into_parts(self) -> (Action, Vec<(Digest, bool)>) {
        let ids = self.native.receipts.iter().map(|(id, _)| *id);
        let receipts = ids.zip(self.receipts).collect();
        // Where nobody else holds it, nothing is copied.
        let action = match Arc::try_unwrap(self.native) {
            Ok(native) => native.signed.transaction.action,
            Err(shared) => shared.signed.transaction.action.clone(),
        };
        (action, receipts)
    }
}

/// A transaction, read.
#[derive(Clone, Debug)]
pub enum Ordered {
    Native(Checked),
    Ethereum(Arc<evm::Transaction>),
    /// No transaction of this chain.
    Unreadable(Refusal),
}

impl Ordered {
    /// Reads the bytes of one.
    pub fn read(bytes: &[u8], chain: &Chain) -> Self {
        match Kind::of(bytes) {
            Kind::Native => match Native::read(bytes) {
                Ok(native) => Checked::all(vec![Arc::new(native)])
                    .pop()
                    .map_or(Self::Unreadable(Refusal::BadSignature), Self::Native),
                Err(refusal) => Self::Unreadable(refusal),
            },
            Kind::Ethereum => match evm::Transaction::decode(bytes, chain) {
                Ok(transaction) => Self::Ethereum(Arc::new(transaction)),
                Err(refusal) => Self::Unreadable(Refusal::Ethereum(refusal)),
            },
        }
    }

    /// By what clients ask for it; absent where the bytes were no transaction.
    pub fn id(&self) -> Option<Digest> {
        match self {
            Self::Native(checked) => Some(checked.native.id),
            Self::Ethereum(transaction) => Some(Digest(transaction.hash().0)),
            Self::Unreadable(_) => None,
        }
    }
}
