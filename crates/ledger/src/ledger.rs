//! Executing finalized blocks: one height after the other, epochs closing between blocks, natives before Ethereum's.

use alloy_primitives::B256;
use evm::{Chain, modules::governance};
use protocol::{Action, Canonical as _, EpochRecord, Milliseconds, PublicKey, SignedTransaction, Transaction};
use thiserror::Error;

use crate::{
    actions,
    archive::Archive,
    close::close,
    duty,
    executed::{Executed, Outcome},
    genesis::{Genesis, GenesisError},
    ordered::{Checked, Ordered, TRANSACTION_BYTES_MAX},
    present::{OpenEpoch, Present},
    purse::Purse,
    refusal::Refusal,
    rules::{InForce, NewRules},
    settle::take_sendings,
    work::{Begun, Ran, Work, surroundings},
};

/// How far ahead of an account's next nonce the mempool may hold its transactions.
pub const NONCE_WINDOW: u64 = 1_024;

/// A finalized block, as the ledger sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    pub height: u64,
    pub time_ms: Milliseconds,
    /// Who gets the tips of its Ethereum transactions.
    pub proposer: PublicKey,
    pub transactions: Vec<Vec<u8>>,
}

/// A block without its transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heading {
    pub height: u64,
    pub time_ms: Milliseconds,
    pub proposer: PublicKey,
}

/// Why a block cannot be executed here: going on would make another state than everyone else's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BeginError {
    #[error("failed to execute block {found}: {expected} is next; hint: deliver finalized blocks in order")]
    Gap { found: u64, expected: u64 },
    #[error(
        "from block {since} on there are rules that this program does not know ({rules}); hint: install a newer one"
    )]
    UnknownRules { rules: B256, since: u64 },
}

/// The state machine.
#[derive(Clone, Debug)]
pub struct Ledger {
    pub(crate) present: Present,
    pub(crate) archive: Archive,
    pub(crate) height: u64,
}

impl Ledger {
    pub fn new(genesis: &Genesis) -> Result<Self, GenesisError> {
        let open = OpenEpoch::genesis(genesis.time_ms);
        let present = Present::new(genesis.state()?, open);
        Ok(Self { present, archive: Archive::default(), height: 0 })
    }

    /// Executes the next block. One that was executed before is `None` and changes nothing.
    pub fn execute(&mut self, block: &Block) -> Result<Option<Executed>, BeginError> {
        if block.height <= self.height {
            return Ok(None);
        }
        let chain = self.chain();
        let read = block.transactions.iter().map(|bytes| Ordered::read(bytes, &chain)).collect();
        let heading = Heading { height: block.height, time_ms: block.time_ms, proposer: block.proposer };
        let begun = self.begin(heading, read)?;
        Ok(begun.map(|begun| self.finish(begun.run())))
    }

    /// The rules that governance has put in force up to `height`, all of which this program has to know. What cannot be read is found by
    /// whoever keeps the state.
    fn rules_at(&self, height: u64, purse: &Purse) -> Result<InForce, BeginError> {
        let upgrades = purse.read(governance::upgrades).unwrap_or_default();
        InForce::at(height, &upgrades).map_err(|(rules, since)| BeginError::UnknownRules { rules, since })
    }

    /// Executes the native part of the next block, whose transactions were read before. What `Begun::run` makes of the rest
    /// has to come back to `finish`; until then the EVM is the one before the block. A block that was executed before is `None`.
    pub fn begin(&mut self, block: Heading, transactions: Vec<Ordered>) -> Result<Option<Begun>, BeginError> {
        let expected = self.height.saturating_add(1);
        if block.height > expected {
            return Err(BeginError::Gap { found: block.height, expected });
        }
        if block.height < expected {
            return Ok(None);
        }
        self.present.rules = self.rules_at(expected, &self.present.state.purse)?;
        let closed = self.advance(&block);
        self.present.call_gas = actions::BLOCK_CALL_GAS;
        let is_first_of_epoch = self.present.open.first_height == self.height;
        duty::begin_block(&mut self.present, &block.proposer, is_first_of_epoch);
        let (mut outcomes, mut ethereum) = (Vec::with_capacity(transactions.len()), Vec::new());
        for (index, ordered) in transactions.into_iter().enumerate() {
            let id = ordered.id();
            let (is_counted, result) = match ordered {
                Ordered::Native(checked) => self.transact(checked),
                Ordered::Ethereum(transaction) => {
                    ethereum.push((index, transaction));
                    (false, Ok(()))
                }
                Ordered::Unreadable(refusal) => (false, Err(refusal)),
            };
            outcomes.push(Outcome { id, is_counted, result });
        }
        let (head, logs) = self.present.state.settle();
        let earner = self.earner(&block.proposer);
        let next = surroundings(&head.header, self.present.open.time_ms, &earner);
        let events = std::mem::take(&mut self.present.events);
        let executed = Executed { height: block.height, closed, outcomes, events };
        Ok(Some(Begun { executed, work: Work { chain: self.chain(), head, next, logs, transactions: ethereum } }))
    }

    /// Takes over what the Ethereum part of the block that was begun has come to.
    pub fn finish(&mut self, mut ran: Ran) -> Executed {
        self.present.state.purse.set_head(ran.after);
        if let Some(block) = &ran.block {
            take_sendings(&mut self.present.state, block);
            self.present.follow_block(block);
            ran.executed.events.append(&mut self.present.events);
        }
        ran.executed
    }

    /// Moves time to the block: closes the epoch if the block lies beyond it.
    ///
    /// Epochs lie on a grid from the genesis time, so that they do not drift; at most one closes, because a second
    /// without a block is one in which nobody could have challenged.
    fn advance(&mut self, block: &Heading) -> Option<EpochRecord> {
        // A final block is executed whatever its time says; time that goes back stands still.
        let time_ms = block.time_ms.max(self.present.open.time_ms);
        let length = u64::from(self.present.state.network.rules.epoch_ms);
        let end = self.present.open.start_ms.saturating_add(length);
        let closed =
            (!self.present.open.is_empty() && time_ms >= end).then(|| close(&mut self.present, &mut self.archive));
        let genesis_ms = self.present.state.network.genesis_time_ms;
        let open = &mut self.present.open;
        if open.is_empty() {
            let into = time_ms.saturating_sub(genesis_ms).checked_rem(length).unwrap_or(0);
            open.start_ms = time_ms.saturating_sub(into);
        }
        open.time_ms = time_ms;
        open.last_height = block.height;
        self.height = block.height;
        closed
    }

    /// Whether the sender's nonce is used up, and what came of the transaction.
    fn transact(&mut self, checked: Checked) -> (bool, Result<(), Refusal>) {
        if let Err(refusal) = self.check_next(&checked) {
            return (false, Err(refusal));
        }
        let sender = checked.transaction().sender;
        // Used up even if the action is refused: else what follows would wait for it for ever, and a refused transaction could
        // be executed much later, when nobody expects it.
        self.present.state.count(&sender);
        let (action, receipts) = checked.into_parts();
        (true, actions::apply(&mut self.present, &sender, action, &receipts))
    }

    /// Authentic, and its sender's next one.
    fn check_next(&self, checked: &Checked) -> Result<(), Refusal> {
        let transaction = checked.transaction();
        self.check_sender(transaction, &self.present.state.purse)?;
        if !checked.is_signed() {
            return Err(Refusal::BadSignature);
        }
        let (given, next) = (transaction.nonce, self.present.state.nonce(&transaction.sender));
        if given > next {
            return Err(Refusal::NonceTooHigh { given, next });
        }
        Ok(())
    }

    /// What the mempool asks before it keeps a native transaction and shows it to others.
    pub fn admit(&self, signed: &SignedTransaction) -> Result<(), Refusal> {
        let found = signed.encode().len();
        if found > TRANSACTION_BYTES_MAX {
            return Err(Refusal::TooLarge { found, limit: TRANSACTION_BYTES_MAX });
        }
        self.admissible(&signed.transaction)?;
        if !signed.signature_holds() {
            return Err(Refusal::BadSignature);
        }
        self.admit_signed(&signed.transaction)
    }

    /// The same for one whose signature holds: what is left to ask is quick.
    pub fn admit_signed(&self, transaction: &Transaction) -> Result<(), Refusal> {
        self.admissible(transaction)?;
        let given = transaction.nonce;
        let next = self.present.state.nonce(&transaction.sender);
        if given >= next.saturating_add(NONCE_WINDOW) {
            return Err(Refusal::NonceTooHigh { given, next });
        }
        Ok(())
    }

    /// For this chain, by a known sender, not executed before, and no transfer where the next block refuses all; signed or not. An account
    /// that cannot be read is nobody's: anyone may ask.
    pub fn admissible(&self, transaction: &Transaction) -> Result<(), Refusal> {
        let purse = self.present.state.purse.aside();
        self.check_sender(transaction, &purse)?;
        let is_transfer = matches!(transaction.action, Action::Transfer(_));
        // Let in, it would be acknowledged and then use its nonce up for nothing.
        if is_transfer
            && self.rules_at(self.height.saturating_add(1), &purse).is_ok_and(|rules| rules.has(NewRules::NoTransfers))
        {
            return Err(Refusal::TransfersEnded);
        }
        Ok(())
    }

    fn check_sender(&self, transaction: &Transaction, purse: &Purse) -> Result<(), Refusal> {
        let state = &self.present.state;
        let expected = state.network.chain_id;
        if transaction.chain_id != expected {
            return Err(Refusal::WrongChain { found: transaction.chain_id, expected });
        }
        let sender = &transaction.sender;
        // Strangers cost nothing: without this, refused transactions of made-up senders would fill the state.
        if !state.knows(sender, purse) {
            return Err(Refusal::UnknownSender(*sender));
        }
        let next = state.nonce(sender);
        if transaction.nonce < next {
            return Err(Refusal::NonceTooLow { given: transaction.nonce, next });
        }
        Ok(())
    }

    /// The EVM's constants on this network.
    pub fn chain(&self) -> Chain {
        Chain::network(self.present.state.network.chain_id)
    }
}
