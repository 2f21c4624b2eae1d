//! One supply over both chains: whatever is sent to and fro, in whatever order it arrives.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod network;
mod stage;

use alloy_primitives::{Address, B256, U256};
use contracts::abi::{ISettlement, IToken};
use contracts::addresses;
use crypto::Digest;
use network::{Committee, Ledger};
use proptest::prelude::*;
use protocol::{Burn, Canonical as _, EpochRecord, EvmAddress, Payout, PayoutKind, SettlementRecord};
use stage::{LEDGER, OPG, Stage, account, start};

const SETTLEMENT: Address = addresses::DEVNET_SETTLEMENT;
const SUPPLY: u128 = 1_000_000_000 * OPG;

/// What happens next.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// An account of the ledger sends to Base: locked at once, minted when settled and paid.
    ToBase(u8, u64),
    /// A holder on Base sends to the ledger: burnt at once, unlocked when seen.
    ToLedger(u32, u64),
    /// Validators see the next burn.
    See,
    /// The ledger settles what is waiting.
    Settle,
    /// Somebody carries the next settlement to Base.
    Carry,
    /// Somebody asks for a payout, perhaps for one that was paid.
    Pay(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (1_u8..5, 1_u64..1_000).prop_map(|(to, amount)| Step::ToBase(to, amount)),
        (0_u32..4, 1_u64..1_000).prop_map(|(from, amount)| Step::ToLedger(from, amount)),
        Just(Step::See),
        Just(Step::Settle),
        Just(Step::Carry),
        any::<u8>().prop_map(Step::Pay),
    ]
}

/// Both chains with a model of the ledger's books.
struct World {
    base: Stage,
    ledger: Ledger,
    committee: Committee,
    /// OPG that moves on the ledger, and what is locked there for Base.
    free: u128,
    locked: u128,
    waiting: Vec<Payout>,
    /// Burns that validators have not seen yet.
    unseen: Vec<Burn>,
    burnt: u64,
    epochs: Vec<(SettlementRecord, EpochRecord, ISettlement::Proof)>,
    carried: usize,
    payouts: Vec<(u64, usize)>,
    paid: u128,
}

impl World {
    fn new() -> Self {
        let committee = Committee::dealt(LEDGER, 7, 4);
        let base = Stage::new(8_453, &start(committee.key.uncompressed().unwrap()).genesis().unwrap());
        // What a devnet's keys hold on Base from the start, its ledger holds locked.
        let locked = 4_000 * OPG;
        Self {
            base,
            ledger: Ledger::new(LEDGER, 20),
            committee,
            free: SUPPLY - locked,
            locked,
            waiting: Vec::new(),
            unseen: Vec::new(),
            burnt: 0,
            epochs: Vec::new(),
            carried: 0,
            payouts: Vec::new(),
            paid: 0,
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::ToBase(to, amount) => {
                let amount = u128::from(amount) * OPG / 7;
                self.free -= amount;
                self.locked += amount;
                let account = EvmAddress([to; 20]);
                self.waiting.push(Payout { kind: PayoutKind::Mint, account, amount });
            }
            Step::ToLedger(from, amount) => self.send(from, u128::from(amount) * OPG / 7),
            Step::See => self.see(),
            Step::Settle => {
                let payouts = std::mem::take(&mut self.waiting);
                let record = self.ledger.settle(payouts);
                let epoch = self.ledger.close();
                let key = SettlementRecord::state_key(record.number);
                let proof = self.ledger.prove(&self.committee, &epoch, &key);
                self.epochs.push((record, epoch, proof));
            }
            Step::Carry => self.carry(),
            Step::Pay(which) => self.pay(usize::from(which)),
        }
    }

    fn send(&mut self, from: u32, amount: u128) {
        let account_on_ledger = B256::repeat_byte(0x77);
        let call = ISettlement::sendToLedgerCall { amount, account: account_on_ledger };
        if self.base.send(from, SETTLEMENT, &call).is_ok() {
            let (serial, from) = (self.burnt, EvmAddress(account(from).0.0));
            self.unseen.push(Burn { serial, from, account: Digest([0x77; 32]), amount });
            self.burnt += 1;
        }
    }

    fn see(&mut self) {
        if self.unseen.is_empty() {
            return;
        }
        let burn = self.unseen.remove(0);
        self.ledger.burns_digest = burn.chained(&self.ledger.burns_digest);
        self.ledger.burns += 1;
        self.locked -= burn.amount;
        self.free += burn.amount;
    }

    fn carry(&mut self) {
        let Some((record, _, proof)) = self.epochs.get(self.carried) else { return };
        let call = ISettlement::advanceCall { proof: proof.clone(), record: record.encode().into() };
        self.base.send(3, SETTLEMENT, &call).unwrap();
        let count = self.ledger.settlements[self.carried].1.len();
        self.payouts.extend((0..count).map(|index| (self.carried as u64, index)));
        self.carried += 1;
    }

    fn pay(&mut self, which: usize) {
        if self.payouts.is_empty() {
            return;
        }
        let (number, index) = self.payouts[which % self.payouts.len()];
        let call = self.ledger.payment(number, index);
        if self.base.send(2, SETTLEMENT, &call).is_ok() {
            self.paid += self.ledger.settlements[number as usize].1[index].amount;
        }
    }

    fn check(&self) {
        let on_base = u128::try_from(self.base.view(addresses::OPG, &IToken::totalSupplyCall {})).unwrap();
        let settled: u128 = self.ledger.settlements.iter().flat_map(|(_, payouts)| payouts).map(|p| p.amount).sum();
        let waiting: u128 = self.waiting.iter().map(|payout| payout.amount).sum();
        let unseen: u128 = self.unseen.iter().map(|burn| burn.amount).sum();
        assert_eq!(on_base + (settled - self.paid) + waiting + unseen, self.locked, "each is locked for one");
        assert_eq!(self.free + self.locked, SUPPLY);
        let holders = (0..4).map(account).chain((1..5).map(Address::repeat_byte)).chain([SETTLEMENT]);
        let held: U256 =
            holders.map(|account| self.base.view(addresses::OPG, &IToken::balanceOfCall { account })).sum();
        assert_eq!(held, U256::from(on_base));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn opg_on_base_is_what_the_ledger_holds_locked(steps in prop::collection::vec(step(), 0..60)) {
        let mut world = World::new();
        for step in steps {
            world.take(step);
            world.check();
        }
    }
}
