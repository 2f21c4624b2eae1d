//! What gateways owe to those who share in what their receipts charged, and to whom how much (`specs/payments.md`, *Payouts*).
//!
//! Only ever grows by receipts that are decided, once each: by those that nobody can refute any more, divided by the ledger's own parameters
//! and registry, and by those that fell, for their payers (`refunds`). No gateway says who gets what. Only ever is paid out of a gateway's
//! own money, or out of its stake where it is late.

use std::collections::BTreeMap;

use alloy_primitives::B256;
use evm::modules::{models, parameters, staking::Fill};
use protocol::{
    Amount, Digest, DuesRecord, EvmAddress, Lineage, NodeId, Receipt, ReceiptStatus, ShareRecord, SignedReceipt,
    Standing,
    share::{Holders, Part, Parts},
};

use crate::{
    present::Present,
    purse::{STAKING, is_nobodys},
    refusal::Refusal,
    rules::proportion,
    settle::{BRIDGE, PayoutCause},
    state::State,
};

impl State {
    /// Where a gateway stands with those whom it owes.
    pub fn dues_of(&self, gateway: &NodeId) -> DuesRecord {
        self.dues.get(gateway).cloned().unwrap_or(DuesRecord::none(*gateway))
    }

    /// What of a charge goes to whom but the worker, as governance has it now.
    pub fn parts(&self) -> Parts {
        Parts {
            publisher: self.small(&parameters::SHARE_PUBLISHER),
            auditors: self.small(&parameters::SHARE_AUDITORS),
            protocol: self.small(&parameters::SHARE_PROTOCOL),
            burn: self.small(&parameters::SHARE_BURN),
        }
    }

    /// Keeps what a payee is owed, or forgets it where that is nothing.
    pub fn put_share(&mut self, row: ShareRecord) {
        let key = (row.gateway, row.payee);
        if let Some(before) = self.shares.get(&key) {
            self.turns.remove(&(before.since, row.gateway, row.payee));
        }
        if row.due() == 0 {
            self.shares.remove(&key);
        } else {
            self.turns.insert((row.since, row.gateway, row.payee));
            self.shares.put(row);
        }
    }

    /// Writes off what was paid, the older part first.
    pub fn write_off(&mut self, gateway: NodeId, payee: EvmAddress, paid: Amount) {
        let Some(row) = self.shares.get(&(gateway, payee)).cloned() else { return };
        let fresh = row.fresh.saturating_sub(paid.saturating_sub(row.old));
        self.put_share(ShareRecord { old: row.old.saturating_sub(paid), fresh, ..row });
    }

    /// A gateway owes so much more in all. It cannot saturate, nor can what is owed to one: no more than was charged, which fits, is ever due.
    pub fn add_due(&mut self, gateway: NodeId, amount: Amount) {
        let dues = self.dues_of(&gateway);
        self.dues.put(DuesRecord { due: dues.due.saturating_add(amount), ..dues });
    }

    /// A gateway owes a payee so much more, from this epoch on.
    pub fn owe(&mut self, gateway: NodeId, payee: EvmAddress, amount: Amount, epoch: u64) {
        let none = ShareRecord { gateway, payee, old: 0, fresh: 0, since: epoch };
        let row = self.shares.get(&(gateway, payee)).cloned().unwrap_or(none);
        self.put_share(ShareRecord { fresh: row.fresh.saturating_add(amount), ..row });
    }

    /// Who earns with a model, as its publisher wrote into the registry.
    fn lineage(&self, model: &Digest) -> Option<Lineage> {
        self.purse.read(|state| models::lineage(state, B256::from(model.0))).flatten()
    }
}

impl Present {
    /// Pays a share out of an account: on Base where its payee named a home there, into the pool of rewards, burned where it is for
    /// nobody, else here.
    pub fn pay_share(&mut self, from: &EvmAddress, payee: &EvmAddress, amount: Amount) -> Result<(), Refusal> {
        if *payee == STAKING {
            let fill = Fill { from: from.0.into(), coins: amount };
            return self.perform(&fill).map_err(|error| Refusal::module(&error));
        }
        // A payee may be whatever a publisher wrote into its model's registry, and must not stand in the way of the others.
        if is_nobodys(payee) {
            return self.state.purse.burn(from, amount);
        }
        let Some(base) = self.state.homes.get(payee).map(|home| home.base) else {
            return self.state.purse.pay(from, payee, amount);
        };
        self.state.purse.pay(from, &BRIDGE, amount)?;
        // Locked, it is part of the supply, and room for all of that is kept: this cannot fail.
        self.state.credit_payout(base, amount, PayoutCause::Sent)
    }
}

/// What receipts charged that nobody can refute any more, on its way to being owed.
pub(crate) struct Ripe {
    parts: Parts,
    due: BTreeMap<NodeId, Amount>,
    shares: BTreeMap<(NodeId, EvmAddress), Amount>,
    /// Publishers' parts by gateway and model. A model's lineage divides their sum once, however many receipts there are.
    incomes: BTreeMap<(NodeId, Digest), Amount>,
}

impl Ripe {
    pub fn new(state: &State) -> Self {
        let (due, shares, incomes) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { parts: state.parts(), due, shares, incomes }
    }

    /// Adds the charge of a receipt, if it stands. Called once a receipt: as its window closes, or with the verdict that comes later.
    pub fn add(&mut self, state: &State, status: Option<ReceiptStatus>, signed: &SignedReceipt) {
        if signed.receipt.charge == 0 {
            return;
        }
        let Some(status) = status.filter(|status| stands(status.standing)) else { return };
        add(&mut self.due, status.gateway, signed.receipt.charge);
        self.divide(state, &status, &signed.receipt);
    }

    fn divide(&mut self, state: &State, status: &ReceiptStatus, receipt: &Receipt) {
        let worker = state.nodes.get(&status.worker).map_or(STAKING, |node| node.payout);
        // The publisher's and the auditors' parts are divided further, so their holders here do not count.
        let holders = Holders { worker, publisher: STAKING, auditors: STAKING, protocol: STAKING };
        let Some(split) = self.parts.split(&holders) else {
            // Out of bounds that the parameters keep: nobody could say whose it is.
            return add(&mut self.shares, (status.gateway, STAKING), receipt.charge);
        };
        for share in split.shares(receipt.charge) {
            match share.part {
                Part::Publisher => add(&mut self.incomes, (status.gateway, receipt.model), share.amount),
                Part::Auditors => self.reward_auditors(state, status, share.amount),
                Part::Worker | Part::Lineage | Part::Data | Part::Protocol | Part::Burn => {
                    add(&mut self.shares, (status.gateway, share.holder), share.amount);
                }
            }
        }
    }

    /// Alike to those that found the answer equal; where none looked, it goes into the pool that pays for looking.
    fn reward_auditors(&mut self, state: &State, status: &ReceiptStatus, amount: Amount) {
        let (low, high) = ((status.receipt, Digest::ZERO), (status.receipt, Digest([u8::MAX; 32])));
        let auditors = state.audits.range(low..=high).filter_map(|audit| state.nodes.get(&audit.auditor));
        let mut accounts: Vec<_> = auditors.map(|node| node.payout).collect();
        if accounts.is_empty() {
            accounts.push(STAKING);
        }
        let (count, mut given) = (Amount::try_from(accounts.len()).unwrap_or(Amount::MAX), 0);
        for (upto, account) in (1..).zip(accounts) {
            let sum = proportion(amount, upto, count);
            add(&mut self.shares, (status.gateway, account), sum.saturating_sub(given));
            given = sum;
        }
    }

    /// Owes all of it from this epoch on.
    pub fn owe(mut self, state: &mut State, epoch: u64) {
        for ((gateway, model), income) in std::mem::take(&mut self.incomes) {
            match state.lineage(&model) {
                Some(lineage) => {
                    let shares = lineage.divide(income);
                    shares.iter().for_each(|share| add(&mut self.shares, (gateway, share.holder), share.amount));
                }
                // It has no model of that root, or cannot be read.
                None => {
                    let publisher = state.models.get(&model).map_or(STAKING, |model| model.publisher);
                    add(&mut self.shares, (gateway, publisher), income);
                }
            }
        }
        self.due.into_iter().for_each(|(gateway, charge)| state.add_due(gateway, charge));
        for ((gateway, payee), amount) in self.shares {
            state.owe(gateway, payee, amount, epoch);
        }
    }
}

fn add<K: Ord>(sums: &mut BTreeMap<K, Amount>, key: K, amount: Amount) {
    if amount > 0 {
        let sum = sums.entry(key).or_default();
        *sum = sum.saturating_add(amount);
    }
}

const fn stands(standing: Standing) -> bool {
    match standing {
        Standing::Anchored | Standing::Audited | Standing::Upheld => true,
        Standing::Challenged | Standing::Refuted | Standing::Withheld => false,
    }
}
