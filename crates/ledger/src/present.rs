//! What actions act on: the state, the epoch that is open, and the list of what happened.

use std::{collections::BTreeSet, sync::Arc};

use crypto::merkle::SumNode;
use evm::modules::{SystemCall, SystemError};
use pages::PageError;
use protocol::{
    Amount, Digest, KeyRecord, Milliseconds, NodeId, PublicKey, ReceiptStatus, Role, SignedReceipt, Standing,
    service::VerdictRecord,
};

use crate::{epochs::EpochAt, event::Event, records::ListedNode, refusal::Refusal, rules::InForce, state::State};

/// The epoch that is not closed yet.
#[derive(Clone, Debug)]
pub(crate) struct OpenEpoch {
    pub epoch: u64,
    /// Where it lies on the grid of epochs; meaningless while it covers no block.
    pub start_ms: Milliseconds,
    pub first_height: u64,
    /// Below `first_height` while it covers no block.
    pub last_height: u64,
    /// Time of the newest block, of this epoch or before.
    pub time_ms: Milliseconds,
    /// Receipts in the order of their anchoring, their ids with their charges, their leaves, and the sum of their charges.
    pub receipts: Vec<Arc<SignedReceipt>>,
    pub ids: Vec<(Digest, Amount)>,
    pub leaves: Vec<SumNode>,
    pub charges: Amount,
    pub verdicts: Vec<VerdictRecord>,
    /// Challenges that ended in this epoch.
    pub ended: Vec<Digest>,
    /// Workers that were slashed for a receipt in this epoch: their others come into question as it ends.
    pub exposed: BTreeSet<NodeId>,
    /// Gateways whose operators took stake out of them in this epoch.
    pub left: BTreeSet<NodeId>,
}

#[derive(Clone, Debug)]
pub(crate) struct Present {
    pub state: State,
    pub open: OpenEpoch,
    pub events: Vec<Event>,
    /// Gas that calls of modules may still use in this block.
    pub call_gas: u64,
    /// Read anew from the state for each block.
    pub rules: InForce,
    /// Workers of which all that could come into question has, and nothing was anchored since. No part of the state: whoever does not
    /// know of one looks through its window again, and finds nothing.
    pub questioned: BTreeSet<NodeId>,
}

/// Where an anchored receipt is: to be read without whoever knows of it.
#[derive(Clone, Debug)]
pub(crate) enum ReceiptAt {
    Here(Arc<SignedReceipt>),
    Closed { epoch: EpochAt, index: u64, id: Digest },
}

impl ReceiptAt {
    /// The same for whoever only asks: what cannot be read is an error of the question.
    pub fn aside(self) -> Self {
        match self {
            Self::Here(receipt) => Self::Here(receipt),
            Self::Closed { epoch, index, id } => Self::Closed { epoch: epoch.aside(), index, id },
        }
    }

    pub fn read(&self) -> Result<Arc<SignedReceipt>, PageError> {
        match self {
            Self::Here(receipt) => Ok(Arc::clone(receipt)),
            Self::Closed { epoch, index, id } => epoch.receipt(*index, id),
        }
    }
}

impl OpenEpoch {
    /// The epoch after the one that ended with `last_height`; it covers no block yet.
    pub fn after(epoch: u64, last_height: u64, time_ms: Milliseconds) -> Self {
        Self {
            epoch: epoch.saturating_add(1),
            start_ms: time_ms,
            first_height: last_height.saturating_add(1),
            last_height,
            time_ms,
            receipts: Vec::new(),
            ids: Vec::new(),
            leaves: Vec::new(),
            charges: 0,
            verdicts: Vec::new(),
            ended: Vec::new(),
            exposed: BTreeSet::new(),
            left: BTreeSet::new(),
        }
    }

    /// Epoch zero; the genesis is its first block.
    pub fn genesis(time_ms: Milliseconds) -> Self {
        Self { epoch: 0, first_height: 0, ..Self::after(0, 0, time_ms) }
    }

    pub fn is_empty(&self) -> bool {
        self.last_height < self.first_height
    }
}

impl Present {
    /// Between two blocks.
    pub fn new(state: State, open: OpenEpoch) -> Self {
        let (rules, questioned) = (InForce::default(), BTreeSet::new());
        Self { state, open, events: Vec::new(), call_gas: 0, rules, questioned }
    }

    /// A deed of the ledger on a module, as of now.
    pub fn perform<C: SystemCall>(&mut self, call: &C) -> Result<C::Outcome, SystemError> {
        let before = self.state.purse.logs().len();
        let outcome = self.state.purse.perform(self.open.time_ms, call)?;
        self.follow_logs(before);
        Ok(outcome)
    }

    /// The node for which `key` acts now in `role`.
    pub fn acting(&self, key: &PublicKey, role: Role) -> Result<&ListedNode, Refusal> {
        let node = self.acting_in_any_role(key)?;
        if node.role != role {
            return Err(Refusal::WrongRole { found: node.role, expected: role });
        }
        if self.state.is_jailed(&node.node) {
            return Err(Refusal::Jailed);
        }
        Ok(node)
    }

    /// The node whose valid key this is, jailed or not.
    pub fn acting_in_any_role(&self, key: &PublicKey) -> Result<&ListedNode, Refusal> {
        let record = self.state.keys.get(key).ok_or(Refusal::UnknownKey)?;
        let (from, until, epoch) = (record.valid_from, self.state.acts_until(record), self.open.epoch);
        if !(from..until).contains(&epoch) {
            return Err(Refusal::KeyNotValid { from, until, epoch });
        }
        self.state.nodes.get(&record.node).ok_or(Refusal::UnknownNode(record.node))
    }

    /// A key that may have signed a receipt that this epoch anchors: a worker's also for a while after its node acts by another.
    pub fn signing(&self, key: &PublicKey) -> Result<&KeyRecord, Refusal> {
        let record = self.state.keys.get(key).ok_or(Refusal::UnknownKey)?;
        let (from, until, epoch) = (record.valid_from, record.valid_until, self.open.epoch);
        if record.is_valid_in(epoch) { Ok(record) } else { Err(Refusal::KeyNotValid { from, until, epoch }) }
    }

    /// An anchored receipt, of the open epoch too.
    pub fn receipt(&self, id: &Digest) -> Option<Arc<SignedReceipt>> {
        let status = self.state.statuses.get(id)?;
        self.receipt_at(&status)
    }

    /// The receipt whose status this is.
    pub fn receipt_at(&self, status: &ReceiptStatus) -> Option<Arc<SignedReceipt>> {
        self.receipt_place(status)?.read().ok()
    }

    /// Where it is.
    pub fn receipt_place(&self, status: &ReceiptStatus) -> Option<ReceiptAt> {
        if status.epoch == self.open.epoch {
            return self.open.receipts.get(usize::try_from(status.index).ok()?).cloned().map(ReceiptAt::Here);
        }
        let epoch = self.state.epochs.at(status.epoch)?;
        Some(ReceiptAt::Closed { epoch, index: status.index, id: status.receipt })
    }

    /// Whether a receipt waits for a decision that nobody has been asked for: it is challenged, and no challenge of it is open.
    pub fn is_in_question(&self, status: &ReceiptStatus) -> bool {
        status.standing == Standing::Challenged && !self.state.challenges.contains(&status.receipt)
    }

    /// Refuses a receipt whose challenge window is over.
    pub fn within_window(&self, anchored: u64) -> Result<(), Refusal> {
        let last = anchored.saturating_add(u64::from(self.state.network.rules.challenge_window));
        let epoch = self.open.epoch;
        if epoch > last { Err(Refusal::WindowClosed { last, epoch }) } else { Ok(()) }
    }
}
