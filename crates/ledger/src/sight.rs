//! What strangers ask of a ledger: pointers that are taken from it in no time, and read without it.
//!
//! What cannot be read is an error of the question, and of nothing else: whoever keeps the ledger goes on, because execution may never
//! need what a stranger asked for. Answers are as of the block after which they were taken.

use std::sync::Arc;

use alloy_primitives::B256;
use evm::{
    StateError,
    modules::{opg, staking},
};
use pages::PageError;
use protocol::{
    Amount, Digest, DuesRecord, EpochRecord, EvmAddress, NodeId, NodeRecord, Opening, PublicKey, ReceiptStatus,
    SignedReceipt,
    service::{ChallengeView, GatewayCredit, ReceiptView},
};

use crate::{
    credit::credit_of,
    epochs::EpochAt,
    ledger::Ledger,
    present::ReceiptAt,
    purse::Purse,
    records::{ChallengeRecord, ListedNode},
    statuses::Statuses,
};

/// Where receipts stand.
#[derive(Clone, Debug)]
pub struct Sight(Statuses);

/// A closed epoch, and where its receipts stand.
#[derive(Clone, Debug)]
pub struct EpochSight {
    epoch: EpochAt,
    statuses: Statuses,
}

/// The open epoch, and where its receipts stand.
#[derive(Clone, Debug)]
pub struct OpenSight {
    receipts: Vec<Arc<SignedReceipt>>,
    leaves: Vec<(Digest, Amount)>,
    statuses: Statuses,
}

/// Where an anchored receipt is.
#[derive(Clone, Debug)]
pub struct ReceiptSight(ReceiptAt);

/// Accounts, and what the EVM knows of nodes.
#[derive(Clone, Debug)]
pub struct Accounts(Purse);

/// An open challenge without its receipt.
#[derive(Clone, Debug)]
pub struct ChallengeSight {
    pub receipt: Digest,
    pub challenger: PublicKey,
    pub opened_epoch: u64,
    pub opening: Option<Arc<Opening>>,
}

impl Ledger {
    /// Where receipts stand now.
    pub fn sight(&self) -> Sight {
        Sight(self.present.state.statuses.aside())
    }

    /// A closed epoch; `None` of one that is not.
    pub fn epoch_sight(&self, epoch: u64) -> Option<EpochSight> {
        let epoch = self.present.state.epochs.at(epoch)?.aside();
        Some(EpochSight { epoch, statuses: self.present.state.statuses.aside() })
    }

    /// The epoch that is open.
    pub fn open_sight(&self) -> OpenSight {
        let open = &self.present.open;
        let (receipts, leaves) = (open.receipts.clone(), open.ids.clone());
        OpenSight { receipts, leaves, statuses: self.present.state.statuses.aside() }
    }

    /// The receipt with this status.
    pub fn receipt_sight(&self, status: &ReceiptStatus) -> Option<ReceiptSight> {
        self.present.receipt_place(status).map(|receipt| ReceiptSight(receipt.aside()))
    }

    pub fn accounts(&self) -> Accounts {
        Accounts(self.present.state.purse.aside())
    }

    /// Nodes as they are listed, in the order of their ids.
    pub fn listed(&self) -> impl Iterator<Item = &ListedNode> {
        self.present.state.nodes.rows()
    }

    pub fn listed_node(&self, node: &NodeId) -> Option<&ListedNode> {
        self.present.state.nodes.get(node)
    }

    /// At most `count` open challenges, in the order of their receipts, behind `after`.
    pub fn challenge_sights(&self, after: Option<Digest>, count: usize) -> Vec<ChallengeSight> {
        let rows = self.present.state.challenges.range(after.unwrap_or(Digest::ZERO)..=Digest([u8::MAX; 32]));
        let rows = rows.filter(|row| Some(row.receipt) != after).take(count);
        rows.map(|row| self.challenge_of(row)).collect()
    }

    /// An open challenge.
    pub fn challenge_sight(&self, receipt: &Digest) -> Option<ChallengeSight> {
        self.present.state.challenges.get(receipt).map(|row| self.challenge_of(row))
    }

    fn challenge_of(&self, row: &ChallengeRecord) -> ChallengeSight {
        let openings = &self.present.state.openings;
        ChallengeSight {
            receipt: row.receipt,
            challenger: row.challenger,
            opened_epoch: row.opened_epoch,
            opening: row.opening.and_then(|_| openings.get(&row.receipt).cloned()),
        }
    }
}

impl Sight {
    pub fn status(&self, receipt: &Digest) -> Result<Option<ReceiptStatus>, PageError> {
        self.0.find(receipt)
    }

    /// Of these receipts, those that are anchored.
    pub fn anchored(&self, receipts: &[Digest]) -> Result<Vec<Digest>, PageError> {
        let found = self.0.find_all(receipts)?;
        Ok(receipts.iter().zip(found).filter_map(|(id, status)| status.map(|_| *id)).collect())
    }
}

impl ReceiptSight {
    pub fn read(&self) -> Result<Arc<SignedReceipt>, PageError> {
        self.0.read()
    }
}

impl EpochSight {
    pub fn record(&self) -> Result<EpochRecord, PageError> {
        self.epoch.record()
    }

    /// Its receipts, in the order of its tree.
    pub fn receipts(&self) -> Result<Vec<ReceiptView>, PageError> {
        let closed = self.epoch.closed()?;
        receipt_views(&closed.receipts, &closed.leaves, &self.statuses)
    }
}

impl OpenSight {
    /// Its receipts so far, in the order in which they came.
    pub fn receipts(&self) -> Result<Vec<ReceiptView>, PageError> {
        receipt_views(&self.receipts, &self.leaves, &self.statuses)
    }
}

/// Receipts with where they stand.
pub(crate) fn receipt_views(
    receipts: &[Arc<SignedReceipt>],
    leaves: &[(Digest, Amount)],
    statuses: &Statuses,
) -> Result<Vec<ReceiptView>, PageError> {
    let ids: Vec<Digest> = leaves.iter().map(|(id, _)| *id).collect();
    let view = |(signed, status): (&Arc<SignedReceipt>, Option<ReceiptStatus>)| {
        Some(ReceiptView { receipt: SignedReceipt::clone(signed), status: status? })
    };
    Ok(receipts.iter().zip(statuses.find_all(&ids)?).filter_map(view).collect())
}

impl ChallengeSight {
    pub fn with(&self, receipt: &SignedReceipt) -> ChallengeView {
        ChallengeView {
            receipt: receipt.clone(),
            challenger: self.challenger,
            opened_epoch: self.opened_epoch,
            opening: self.opening.as_deref().cloned(),
        }
    }
}

impl Accounts {
    pub fn balance(&self, address: &EvmAddress) -> Result<Amount, StateError> {
        let account = self.0.try_read(|state| state.account(&address.0.into()))?;
        Ok(account.map_or(0, |account| Amount::try_from(account.balance).unwrap_or(Amount::MAX)))
    }

    /// What is burned for ever.
    pub fn burned(&self) -> Result<Amount, StateError> {
        let booked = self.0.try_read(|state| state.slot(&opg::ADDRESS, &opg::BURNED))?;
        Ok(Amount::try_from(booked).unwrap_or(Amount::MAX))
    }

    /// A node with its stake.
    pub fn node(&self, listed: ListedNode) -> Result<NodeRecord, StateError> {
        let staked = self.0.try_read(|state| staking::staked(state, B256::from(listed.node.0)))?;
        Ok(listed.with(staked))
    }

    /// How far a gateway may owe that stands so, and how far it does.
    pub fn credit(&self, dues: &DuesRecord) -> Result<GatewayCredit, StateError> {
        let staked = self.0.try_read(|state| staking::staked(state, B256::from(dues.gateway.0)))?;
        Ok(credit_of(dues, staked))
    }
}
