//! One supply over both chains, each of which is the real one: the ledger's state machine here, the contracts in Base's EVM there. Whatever is
//! sent to and fro, in whatever order it is seen, carried and paid, by whichever key of the network.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod network;
mod stage;

use alloy_consensus::{SignableTransaction as _, TxEip1559, TxEnvelope};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, B256, Signature, TxKind, U256};
use contracts::abi::{ISettlement, IToken};
use contracts::addresses;
use crypto::{Digest, PublicKey, SigningKey};
use evm::{Receipt, StateRead as _};
use ledger::{
    BRIDGE, Block, Executed, FirstTrust, Genesis, GenesisNode, GenesisWallet, LOCKED, Ledger, Refusal, Rules,
};
use network::Committee;
use proptest::prelude::*;
use protocol::settled::ProvenPayout;
use protocol::transaction::{BURNS_MAX, NameKey, ReportBurns};
use protocol::{
    Action, Beneficiary, Burn, Canonical as _, Certificate, EvmAddress, List, Noun as _, Role, Text, Transaction,
    Version,
};
use relayer::Call;
use stage::{LEDGER, OPG, START, Stage, account, events, sign, start};

const SETTLEMENT: Address = addresses::DEVNET_SETTLEMENT;
/// What `start` funds on Base.
const BRIDGED: u128 = 4_000 * OPG;
const HOLDERS: u32 = 4;
const VALIDATORS: [u8; 4] = [10, 11, 12, 13];
const BOB: u8 = 2;
/// Keys that the network has, one after the other.
const KEYS: u64 = 3;

/// What happens next.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// A wallet of the ledger sends to a holder on Base: locked at once, minted when settled and paid.
    ToBase(u32, u32, u64),
    /// A holder on Base sends to the ledger, to one of three: burnt at once, unlocked when seen.
    ToLedger(u32, u8, u64),
    /// A liar invents a burn, and the validators, but for so many, report what they see.
    See(usize),
    /// An epoch closes: what is waiting is settled.
    Close,
    /// Somebody carries a key that signs to Base, or else a settlement: the next, the one before again, or the one after too soon.
    Carry(u8),
    /// Somebody asks for a payout, perhaps for one that was paid or is not there yet.
    Pay(u8),
    /// The network's key signs for another, and validators name that.
    Rotate,
}

fn step() -> impl Strategy<Value = Step> {
    let holder = || 0..HOLDERS;
    prop_oneof![
        3 => (holder(), holder(), 1_u64..1_000).prop_map(|(from, to, amount)| Step::ToBase(from, to, amount)),
        3 => (holder(), 0_u8..3, 1_u64..10_000).prop_map(|(from, to, amount)| Step::ToLedger(from, to, amount)),
        3 => (0_usize..3).prop_map(Step::See),
        3 => Just(Step::Close),
        5 => (0_u8..5).prop_map(Step::Carry),
        3 => any::<u8>().prop_map(Step::Pay),
        1 => Just(Step::Rotate),
    ]
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32])
}

fn public(seed: u8) -> PublicKey {
    key(seed).public_key()
}

fn holder(index: u32) -> EvmAddress {
    EvmAddress(account(index).into_array())
}

/// Four validators, and the holders on Base with wallets here too.
fn genesis() -> Genesis {
    let node = |seed: &u8| GenesisNode {
        role: Role::Validator,
        key: public(*seed),
        operator: public(*seed),
        endpoint: Text::new("http://127.0.0.1:1").unwrap(),
        stake: 20_000 * OPG,
        models: List::default(),
    };
    let wallet = |index| GenesisWallet { address: holder(index), balance: 100_000 * OPG };
    Genesis {
        version: Version,
        chain_id: LEDGER,
        time_ms: START * 1_000,
        accounts: List::default(),
        wallets: List::new((0..HOLDERS).map(wallet).collect()).unwrap(),
        allocations: List::default(),
        nodes: List::new(VALIDATORS.iter().map(node).collect()).unwrap(),
        models: List::default(),
        reward_pool: 0,
        parameters: List::default(),
        bridged: BRIDGED,
        rules: Rules::default(),
        trust: FirstTrust::default(),
    }
}

/// Both chains, and who certifies.
struct World {
    base: Stage,
    ledger: Ledger,
    time_ms: u64,
    /// Who has each key, and which of them certifies now.
    committees: Vec<Committee>,
    signing: usize,
    /// What Base's events say was burnt, by serial.
    burnt: Vec<Burn>,
}

impl World {
    fn new() -> Self {
        let committees: Vec<_> = (0..KEYS).map(|seed| Committee::dealt(LEDGER, 7 + seed, 4)).collect();
        let first = committees[0].key.uncompressed().unwrap();
        let base = Stage::new(8_453, &start(first).genesis().unwrap());
        let ledger = Ledger::new(&genesis()).unwrap();
        Self { base, ledger, time_ms: START * 1_000, committees, signing: 0, burnt: Vec::new() }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::ToBase(from, to, amount) => self.send_to_base(from, to, u128::from(amount) * OPG / 7),
            Step::ToLedger(from, to, amount) => self.send_to_ledger(from, to, u128::from(amount) * OPG / 7),
            Step::See(silent) => self.see(silent),
            Step::Close => self.close(),
            Step::Carry(which) => self.carry(which),
            Step::Pay(which) => self.pay(usize::from(which)),
            Step::Rotate => self.rotate(),
        }
    }

    // what the ledger does

    fn block(&mut self, transactions: Vec<Vec<u8>>) -> Executed {
        let (height, time_ms, proposer) = (self.ledger.height() + 1, self.time_ms, public(VALIDATORS[0]));
        let executed = self.ledger.execute(&Block { height, time_ms, proposer, transactions }).unwrap().unwrap();
        assert_eq!(self.ledger.money(), Some(self.ledger.network().supply), "money came or went");
        executed
    }

    fn act(&mut self, validator: u8, action: Action) -> Result<(), Refusal> {
        let sender = public(validator);
        let nonce = self.ledger.nonce(&sender);
        let transaction = Transaction { version: Version, chain_id: LEDGER, sender, nonce, action };
        self.block(vec![transaction.sign(&key(validator)).encode()]).outcomes[0].result.clone()
    }

    fn send_to_base(&mut self, from: u32, to: u32, amount: u128) {
        let Call { to, data } = relayer::send_to_base(&holder(to));
        let account = self.ledger.evm().world.account(&account(from)).unwrap();
        let unsigned = TxEip1559 {
            chain_id: LEDGER,
            nonce: account.map_or(0, |account| account.nonce),
            gas_limit: 100_000,
            max_fee_per_gas: 3_000_000_000,
            max_priority_fee_per_gas: 1_000_000_000,
            to: TxKind::Call(to),
            value: U256::from(amount),
            access_list: Default::default(),
            input: data,
        };
        let signature = Signature::try_from(sign(from, unsigned.signature_hash()).as_ref()).unwrap();
        let before = self.ledger.balance(&BRIDGE);
        let bytes = TxEnvelope::from(unsigned.into_signed(signature)).encoded_2718();
        assert_eq!(self.block(vec![bytes]).outcomes[0].result, Ok(()));
        assert_eq!(self.ledger.balance(&BRIDGE), before + amount, "it is locked at once");
    }

    /// Validators report what they see; three of the four are a quorum.
    fn see(&mut self, silent: usize) {
        let credited = self.ledger.bridge().burns as usize;
        let report = |burns: Vec<Burn>| Action::ReportBurns(ReportBurns { burns: List::new(burns).unwrap() });
        let invented = Burn {
            serial: self.burnt.len() as u64,
            from: holder(0),
            account: Beneficiary::Key(public(BOB)).account(),
            amount: OPG,
        };
        let seen: Vec<_> = self.burnt[credited..].iter().take(BURNS_MAX).cloned().collect();
        // Refused where the same was said before, or nothing is.
        let _: Result<(), _> = self.act(VALIDATORS[0], report(vec![invented]));
        for validator in &VALIDATORS[silent..] {
            let _: Result<(), _> = self.act(*validator, report(seen.clone()));
        }
    }

    fn close(&mut self) {
        self.time_ms += 1_000;
        assert!(self.block(Vec::new()).closed.is_some());
        // What was named before an epoch closed signs from it on.
        self.signing = self.ledger.bridge().rotations as usize;
    }

    fn rotate(&mut self) {
        let serial = self.ledger.bridge().rotations + 1;
        if serial >= KEYS {
            return;
        }
        let (present, next) = (&self.committees[serial as usize - 1], self.committees[serial as usize].key);
        let signature = present.sign_for(serial, next).signature;
        for validator in &VALIDATORS[1..] {
            self.act(*validator, Action::NameKey(NameKey { serial, key: next, signature })).unwrap();
        }
        assert_eq!(self.ledger.bridge().rotations, serial);
    }

    // what happens on Base

    fn on_base(&mut self, from: u32, call: Call) -> Receipt {
        self.base.transact(from, TxKind::Call(call.to), call.data.to_vec())
    }

    /// Fails where the holder has less.
    fn send_to_ledger(&mut self, from: u32, to: u8, amount: u128) {
        let to = match to {
            0 => Beneficiary::Key(public(BOB)),
            1 => Beneficiary::Wallet(holder(from)),
            // Nobody's: burned on the ledger as well.
            _ => Beneficiary::Wallet(LOCKED),
        };
        let receipt = self.on_base(from, relayer::send_to_ledger(SETTLEMENT, &to, amount));
        for event in events::<ISettlement::SentToLedger>(&receipt) {
            assert_eq!(event.serial, self.burnt.len() as u64);
            let (from, account) = (EvmAddress(event.from.into_array()), Digest(event.account.0));
            self.burnt.push(Burn { serial: event.serial, from, account, amount: event.amount });
        }
    }

    fn carry(&mut self, which: u8) {
        let serial = self.base.view(SETTLEMENT, &ISettlement::keySerialCall {}) as usize;
        if serial < self.signing {
            let next = self.ledger.rotations().nth(serial).unwrap();
            let call = relayer::rotate(SETTLEMENT, next, &self.committees[serial].key).unwrap();
            assert!(self.on_base(3, call).succeeded(), "the next key is believed");
            return;
        }
        let next = self.base.view(SETTLEMENT, &ISettlement::nextCall {});
        let number = match which {
            0 => next.checked_sub(1),
            1 => Some(next + 1),
            _ => Some(next),
        };
        let (Some(number), Some(newest)) = (number, self.ledger.closed_epoch()) else { return };
        let committee = &self.committees[self.signing];
        let signature = committee.sign(&newest.digest(), &committee.quorum());
        let certificate = Certificate { epoch: newest.epoch, signature };
        // Nothing was settled that has this number.
        let Ok(proven) = self.ledger.prove_settlement(number, newest.epoch, certificate) else { return };
        assert!(proven.holds(&committee.key));
        let call = relayer::advance(SETTLEMENT, &proven, &committee.key).unwrap();
        assert_eq!(self.on_base(3, call).succeeded(), number == next, "the next settlement is taken, and no other");
    }

    fn pay(&mut self, which: usize) {
        let all: Vec<ProvenPayout> =
            (0..HOLDERS).flat_map(|index| self.ledger.payouts_of(&holder(index), 0, usize::MAX)).collect();
        if all.is_empty() {
            return;
        }
        let proven = &all[which % all.len()];
        let (number, index) = (proven.number, proven.index);
        let is_there = number < self.base.view(SETTLEMENT, &ISettlement::nextCall {});
        let is_open = is_there && !self.base.view(SETTLEMENT, &ISettlement::isPaidCall { number, index });
        let call = relayer::claim(SETTLEMENT, proven);
        assert_eq!(self.on_base(2, call).succeeded(), is_open, "a payout is paid once, and where its settlement is");
    }

    // what holds at every moment

    fn supply(&self) -> u128 {
        u128::try_from(self.base.view(addresses::OPG, &IToken::totalSupplyCall {})).unwrap()
    }

    /// Locked here is what is on Base, on its way there, and on its way back.
    fn check(&self) {
        let bridge = self.ledger.bridge();
        let settled: u128 = self.ledger.settlements().map(|record| record.payouts_sum).sum();
        let taken = 0..self.base.view(SETTLEMENT, &ISettlement::nextCall {});
        let paid: u128 = taken.map(|number| self.base.view(SETTLEMENT, &ISettlement::rootsCall { number }).paid).sum();
        let back: u128 = self.burnt[bridge.burns as usize..].iter().map(|burn| burn.amount).sum();
        let expected = self.supply() + bridge.owed + (settled - paid) + back;
        assert_eq!(self.ledger.balance(&BRIDGE), expected, "each is locked for one");
        let digest = self.base.view(SETTLEMENT, &ISettlement::burnDigestCall { count: bridge.burns });
        assert_eq!(digest, B256::from(bridge.burns_digest.0), "what was credited was burnt");
        let holders = (0..HOLDERS).map(account).chain([SETTLEMENT]);
        let held: U256 =
            holders.map(|account| self.base.view(addresses::OPG, &IToken::balanceOfCall { account })).sum();
        assert_eq!(held, U256::from(self.supply()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn opg_on_base_and_on_its_way_is_what_the_ledger_holds_locked(steps in prop::collection::vec(step(), 0..80)) {
        let mut world = World::new();
        world.check();
        for step in steps {
            world.take(step);
            world.check();
        }
    }
}

#[test]
fn a_way_there_and_back_over_two_keys_ends_with_one_supply_and_nothing_on_its_way() {
    let mut world = World::new();
    let steps = [
        Step::ToBase(0, 1, 700),
        Step::Close,
        Step::ToBase(1, 2, 70),
        Step::Close,
        // The second settlement before the first, which is then taken.
        Step::Carry(1),
        Step::Carry(2),
        // Another key: it is carried before what it certifies, of which a second copy comes too late.
        Step::Rotate,
        Step::Close,
        Step::Carry(2),
        Step::Carry(2),
        Step::Carry(0),
        // Each payout, and one of them again.
        Step::Pay(0),
        Step::Pay(0),
        Step::Pay(1),
        // A burn that two of four saw, then a third.
        Step::ToLedger(1, 0, 350),
        Step::See(2),
        Step::See(1),
        Step::Close,
        Step::Carry(2),
    ];
    for step in steps {
        world.take(step);
        world.check();
    }
    assert_eq!(world.supply(), BRIDGED + 60 * OPG);
    assert_eq!(world.ledger.balance(&BRIDGE), world.supply(), "nothing is on its way");
    assert_eq!(world.base.view(SETTLEMENT, &ISettlement::keySerialCall {}), 1);
    assert_eq!(world.base.view(SETTLEMENT, &ISettlement::burnsCreditedCall {}), 1);
}
