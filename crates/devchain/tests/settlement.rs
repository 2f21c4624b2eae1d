//! The settlement on Base under real certificates of a real committee, and under everybody who would cheat it.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod network;
mod stage;
mod typed;

use alloy_primitives::{Address, B256, Bytes, FixedBytes, TxKind, U256};
use alloy_sol_types::{SolCall as _, SolError as _, SolValue as _};
use contracts::abi::{IBridgedOPG, ISettlement, IToken};
use contracts::{Artefact, SettlementStart, addresses};
use crypto::{Digest, threshold::GroupKey};
use evm::{Receipt, StateRead as _};
use network::{Committee, Ledger};
use protocol::{Burn, Canonical as _, EpochRecord, EvmAddress, Noun as _, Payout, PayoutKind, SettlementRecord};
use stage::{LEDGER, OPG, Reverted, Stage, account, events, refused, start};

const SETTLEMENT: Address = addresses::DEVNET_SETTLEMENT;
const ALICE: Address = Address::repeat_byte(0xa1);
const BOB: Address = Address::repeat_byte(0xb0);

/// Both chains, and who certifies.
struct Two {
    base: Stage,
    ledger: Ledger,
    committee: Committee,
}

fn two() -> Two {
    let committee = Committee::dealt(LEDGER, 7, 4);
    let base = Stage::new(8_453, &start(committee.key.uncompressed().unwrap()).genesis().unwrap());
    Two { base, ledger: Ledger::new(LEDGER, 300), committee }
}

fn payout(kind: PayoutKind, to: Address, amount: u128) -> Payout {
    Payout { kind, account: EvmAddress(to.0.0), amount }
}

impl Two {
    /// A settlement over these payouts, with the epoch that proves it.
    fn settled(&mut self, payouts: Vec<Payout>) -> (SettlementRecord, EpochRecord) {
        let record = self.ledger.settle(payouts);
        (record, self.ledger.close())
    }

    fn advancing(&self, record: &SettlementRecord, epoch: &EpochRecord) -> ISettlement::advanceCall {
        let proof = self.ledger.prove(&self.committee, epoch, &SettlementRecord::state_key(record.number));
        ISettlement::advanceCall { proof, record: record.encode().into() }
    }

    /// Settles and brings it to Base.
    fn advance(&mut self, payouts: Vec<Payout>) -> Receipt {
        let (record, epoch) = self.settled(payouts);
        let call = self.advancing(&record, &epoch);
        self.base.send(3, SETTLEMENT, &call).unwrap()
    }

    fn pay(&mut self, number: u64, index: usize) -> Result<Receipt, Reverted> {
        let call = self.ledger.payment(number, index);
        self.base.send(3, SETTLEMENT, &call)
    }

    fn balance(&self, account: Address) -> u128 {
        let call = IToken::balanceOfCall { account };
        u128::try_from(self.base.view(addresses::OPG, &call)).unwrap()
    }

    fn supply(&self) -> u128 {
        u128::try_from(self.base.view(addresses::OPG, &IToken::totalSupplyCall {})).unwrap()
    }

    /// A payer's OPG comes to the settlement, as by x402.
    fn bring(&mut self, from: u32, amount: u128) {
        let call = IToken::transferCall { to: SETTLEMENT, value: U256::from(amount) };
        self.base.send(from, addresses::OPG, &call).unwrap();
    }

    fn burn(&mut self, from: u32, amount: u128) -> Result<Receipt, Reverted> {
        let account = B256::repeat_byte(0x77);
        self.base.send(from, SETTLEMENT, &ISettlement::sendToLedgerCall { amount, account })
    }

    /// The ledger's validators see what was burnt.
    fn credit(&mut self, from: u32, amount: u128) {
        let burn = Burn {
            serial: self.ledger.burns,
            from: EvmAddress(account(from).0.0),
            account: Digest([0x77; 32]),
            amount,
        };
        self.ledger.burns_digest = burn.chained(&self.ledger.burns_digest);
        self.ledger.burns += 1;
    }
}

#[test]
fn payees_are_paid_from_what_payers_brought_and_from_what_the_ledger_locked() {
    let mut two = two();
    let payouts = vec![
        payout(PayoutKind::Pay, ALICE, 5 * OPG),
        payout(PayoutKind::Mint, BOB, 7 * OPG),
        payout(PayoutKind::Pay, BOB, 1),
    ];
    two.bring(0, 6 * OPG);
    let receipt = two.advance(payouts);
    let advanced = &events::<ISettlement::Advanced>(&receipt)[0];
    assert_eq!((advanced.number, advanced.lastEpoch, advanced.payoutsSum), (0, 0, 12 * OPG + 1));
    let supply = two.supply();
    for index in [2, 0, 1] {
        let receipt = two.pay(0, index).unwrap();
        assert_eq!(events::<ISettlement::Paid>(&receipt).len(), 1);
        assert!(two.base.view(SETTLEMENT, &ISettlement::isPaidCall { number: 0, index: index as u64 }));
    }
    assert_eq!((two.balance(ALICE), two.balance(BOB), two.balance(SETTLEMENT)), (5 * OPG, 7 * OPG + 1, OPG - 1));
    assert_eq!(two.supply(), supply + 7 * OPG);
    let root = two.base.view(SETTLEMENT, &ISettlement::rootsCall { number: 0 });
    assert_eq!((root.payoutsCount, root.payoutsSum, root.paid), (3, 12 * OPG + 1, 12 * OPG + 1));
}

#[test]
fn every_quorum_and_every_reshare_of_the_key_makes_the_same_certificate() {
    let mut two = two();
    let (record, epoch) = two.settled(Vec::new());
    let digest = protocol::Noun::digest(&epoch);
    let signature = two.committee.sign(&digest, &[0, 1, 2]);
    for quorum in [[0, 1, 3], [0, 2, 3], [3, 2, 1]] {
        assert_eq!(two.committee.sign(&digest, &quorum), signature);
    }
    let reshared = two.committee.reshared(8);
    assert_eq!(reshared.key, two.committee.key);
    assert_eq!(reshared.sign(&digest, &[1, 2, 3]), signature);
    two.committee = reshared;
    let call = two.advancing(&record, &epoch);
    two.base.send(0, SETTLEMENT, &call).unwrap();
}

#[test]
fn after_a_change_of_the_committee_others_settle_under_the_key_that_base_was_given() {
    let mut two = two();
    two.advance(vec![payout(PayoutKind::Mint, ALICE, OPG)]);
    let (record, epoch) = two.settled(vec![payout(PayoutKind::Mint, BOB, 2 * OPG)]);
    let before = two.advancing(&record, &epoch);
    // Two of the first four stay, and three come.
    let others = two.committee.handed_on(&[3, 4, 5, 6, 7]);
    assert_eq!(others.key, two.committee.key);
    assert_eq!(others.quorum().len(), 4);
    two.committee = others;
    let after = two.advancing(&record, &epoch);
    assert_eq!(after.abi_encode(), before.abi_encode(), "the same certificate, whoever makes it");
    two.base.send(0, SETTLEMENT, &after).unwrap();
    two.pay(1, 0).unwrap();
    assert_eq!(two.balance(BOB), 2 * OPG);
    // And they settle what came after them.
    two.advance(vec![payout(PayoutKind::Mint, BOB, OPG)]);
}

#[test]
fn the_cost_of_a_certificate_is_the_same_for_every_epoch() {
    let mut two = two();
    let payouts = |count: u8| (1..=count).map(|to| payout(PayoutKind::Mint, Address::repeat_byte(to), 1)).collect();
    two.advance(payouts(1));
    let gas: Vec<u64> = (0..4).map(|more| two.advance(payouts(1 << (2 * more))).gas_used).collect();
    let (least, most) = (*gas.iter().min().unwrap(), *gas.iter().max().unwrap());
    // Only how many bytes are zero, and how deep the record lies in the state, differ.
    assert!(most - least < 8_000, "{gas:?}");
    let paid = two.pay(4, 63).unwrap().gas_used;
    println!("settlement: advance {most} gas, pay one of 64 {paid} gas");
    assert!(most < 320_000 && paid < 150_000, "{most} {paid}");
}

/// A change that makes an honest call dishonest, and the error that it meets.
type Forgery = (&'static str, fn(&mut ISettlement::advanceCall), Vec<u8>);

fn byte(bytes: &mut Bytes, place: usize) {
    let mut changed = bytes.to_vec();
    changed[place] ^= 1;
    *bytes = changed.into();
}

fn shorter(bytes: &mut Bytes) {
    *bytes = bytes.slice(..bytes.len() - 1);
}

fn longer(bytes: &mut Bytes) {
    *bytes = [bytes.as_ref(), &[0]].concat().into();
}

/// On the curve and outside of the group: three times it is infinity.
fn small_order_point() -> Bytes {
    let mut point = [0; 96];
    point[95] = 2;
    point.to_vec().into()
}

fn forgeries() -> Vec<Forgery> {
    use ISettlement as e;
    let invalid = || e::InvalidCertificate {}.abi_encode();
    vec![
        (
            "a short record",
            |call| shorter(&mut call.record),
            e::RecordLength { found: U256::from(161), expected: U256::from(162) }.abi_encode(),
        ),
        (
            "a long record",
            |call| longer(&mut call.record),
            e::RecordLength { found: U256::from(163), expected: U256::from(162) }.abi_encode(),
        ),
        (
            "a short epoch",
            |call| shorter(&mut call.proof.epoch),
            e::RecordLength { found: U256::from(197), expected: U256::from(198) }.abi_encode(),
        ),
        (
            "a long epoch",
            |call| longer(&mut call.proof.epoch),
            e::RecordLength { found: U256::from(199), expected: U256::from(198) }.abi_encode(),
        ),
        (
            "a short signature",
            |call| shorter(&mut call.proof.signature),
            e::SignatureLength { found: U256::from(95), expected: U256::from(96) }.abi_encode(),
        ),
        (
            "a short key",
            |call| shorter(&mut call.proof.key),
            e::KeyLength { found: U256::from(191), expected: U256::from(192) }.abi_encode(),
        ),
        (
            "another version of the record",
            |call| byte(&mut call.record, 1),
            e::UnknownVersion { found: 0, expected: 1 }.abi_encode(),
        ),
        (
            "another version of the epoch",
            |call| byte(&mut call.proof.epoch, 1),
            e::UnknownVersion { found: 0, expected: 1 }.abi_encode(),
        ),
        (
            "another chain's record",
            |call| byte(&mut call.record, 9),
            e::OtherChain { found: LEDGER ^ 1, expected: LEDGER }.abi_encode(),
        ),
        (
            "another chain's epoch",
            |call| byte(&mut call.proof.epoch, 9),
            e::OtherChain { found: LEDGER ^ 1, expected: LEDGER }.abi_encode(),
        ),
        ("a gap", |call| byte(&mut call.record, 17), e::Gap { found: 1, expected: 0 }.abi_encode()),
        ("infinity", |call| call.proof.signature = vec![0; 96].into(), invalid()),
        ("a point outside of the group", |call| call.proof.signature = small_order_point(), invalid()),
        ("a point off the curve", |call| byte(&mut call.proof.signature, 95), invalid()),
        ("a coordinate beyond the field", |call| call.proof.signature = vec![0xff; 96].into(), invalid()),
        ("a changed time", |call| byte(&mut call.proof.epoch, 41), invalid()),
        ("a changed window", |call| byte(&mut call.proof.epoch, 197), invalid()),
        (
            "a path of 257 steps",
            |call| call.proof.siblings = vec![B256::ZERO; 257],
            e::PathTooLong { found: U256::from(257), most: U256::from(256) }.abi_encode(),
        ),
    ]
}

#[test]
fn whatever_is_not_the_networks_word_is_refused_by_name() {
    let mut two = two();
    let (record, epoch) = two.settled(vec![payout(PayoutKind::Mint, ALICE, OPG)]);
    let honest = two.advancing(&record, &epoch);
    for (what, forge, expected) in forgeries() {
        let mut call = honest.clone();
        forge(&mut call);
        let receipt = two.base.transact(0, SETTLEMENT.into(), call.abi_encode());
        assert!(!receipt.succeeded(), "{what}");
        assert_eq!(receipt.output, Bytes::from(expected), "{what}");
        assert!(receipt.gas_used < 400_000, "{what}: {} gas", receipt.gas_used);
    }
    two.base.send(0, SETTLEMENT, &honest).unwrap();
}

#[test]
fn every_byte_of_record_epoch_and_path_is_certified() {
    let mut two = two();
    let (record, epoch) = two.settled(vec![payout(PayoutKind::Mint, ALICE, OPG)]);
    let honest = two.advancing(&record, &epoch);
    for place in 0..162 {
        let mut call = honest.clone();
        byte(&mut call.record, place);
        assert!(two.base.send(0, SETTLEMENT, &call).is_err(), "byte {place}");
    }
    for place in 0..198 {
        let mut call = honest.clone();
        byte(&mut call.proof.epoch, place);
        assert!(two.base.send(0, SETTLEMENT, &call).is_err(), "byte {place} of the epoch");
    }
    let expected = B256::from(epoch.state_root.0);
    let mut call = honest.clone();
    byte(&mut call.record, 121);
    let found = two.base.send(0, SETTLEMENT, &call).unwrap_err();
    let error = ISettlement::NotInState::abi_decode(&found).unwrap();
    assert_eq!(error.expected, expected);
    assert_ne!(error.found, expected);
    for place in 0..honest.proof.siblings.len() {
        let mut call = honest.clone();
        call.proof.siblings[place] = FixedBytes::ZERO;
        assert!(ISettlement::NotInState::abi_decode(&two.base.send(0, SETTLEMENT, &call).unwrap_err()).is_ok());
    }
}

#[test]
fn a_key_that_is_not_the_networks_says_nothing() {
    let mut two = two();
    let stranger = Committee::dealt(LEDGER, 9, 4);
    let (record, epoch) = two.settled(Vec::new());
    let ours = std::mem::replace(&mut two.committee, stranger);
    let call = two.advancing(&record, &epoch);
    let (found, expected) =
        (alloy_primitives::keccak256(&call.proof.key), two.base.view(SETTLEMENT, &ISettlement::keyDigestCall {}));
    refused(two.base.send(0, SETTLEMENT, &call), &ISettlement::OtherKey { found, expected });
    // The stranger's signature under our key.
    let mixed = ISettlement::Proof { key: ours.key.uncompressed().unwrap().to_vec().into(), ..call.proof };
    let call = ISettlement::advanceCall { proof: mixed, record: call.record };
    refused(two.base.send(0, SETTLEMENT, &call), &ISettlement::InvalidCertificate {});
}

#[test]
fn the_same_committee_on_another_chain_says_nothing_here() {
    let mut two = two();
    let (record, epoch) = two.settled(Vec::new());
    let mut call = two.advancing(&record, &epoch);
    let elsewhere = Committee::dealt(LEDGER + 1, 7, 4);
    assert_eq!(elsewhere.key, two.committee.key);
    let signature = elsewhere.sign(&protocol::Noun::digest(&epoch), &[0, 1, 2]);
    call.proof.signature = signature.uncompressed().unwrap().to_vec().into();
    refused(two.base.send(0, SETTLEMENT, &call), &ISettlement::InvalidCertificate {});
}

#[test]
fn settlements_come_once_in_order_and_without_gaps() {
    let mut two = two();
    let (first, first_epoch) = two.settled(vec![payout(PayoutKind::Mint, ALICE, 1)]);
    // An epoch without a settlement needs nothing on Base.
    two.ledger.close();
    let (second, second_epoch) = two.settled(vec![payout(PayoutKind::Mint, ALICE, 2)]);
    let late = two.advancing(&second, &second_epoch);
    refused(two.base.send(0, SETTLEMENT, &late), &ISettlement::Gap { found: 1, expected: 0 });
    // A later epoch proves an earlier settlement as well: its own need not be at hand.
    let proof = two.ledger.prove(&two.committee, &second_epoch, &SettlementRecord::state_key(0));
    let early = ISettlement::advanceCall { proof, record: first.encode().into() };
    two.base.send(0, SETTLEMENT, &early).unwrap();
    refused(two.base.send(0, SETTLEMENT, &early), &ISettlement::Gap { found: 0, expected: 1 });
    two.base.send(0, SETTLEMENT, &late).unwrap();
    assert_eq!(two.base.view(SETTLEMENT, &ISettlement::nextCall {}), 2);
    assert_eq!(two.base.view(SETTLEMENT, &ISettlement::lastEpochCall {}), 2);
    assert_eq!(first_epoch.epoch, 0);
}

/// A record that does not continue, and the error that it meets, given itself and the first one.
type Break = (fn(&mut SettlementRecord), fn(&SettlementRecord, &SettlementRecord) -> Vec<u8>);

/// The ledger's own quorum says it, but it does not continue what Base has.
#[test]
fn a_certified_record_that_does_not_continue_is_refused() {
    let changes: [Break; 5] = [
        (
            |record| record.previous = Digest([9; 32]),
            |_, first| {
                let expected = protocol::Noun::digest(first).0.into();
                ISettlement::OtherHistory { found: [9; 32].into(), expected }.abi_encode()
            },
        ),
        (|record| record.first_epoch = 3, |_, _| not_next(3, 1)),
        (|record| record.first_epoch = 0, |_, _| not_next(0, 1)),
        (|record| record.last_epoch = 0, |_, _| not_next(1, 0)),
        (|record| record.last_epoch = 2, |_, _| not_next(1, 2)),
    ];
    for (change, expected) in changes {
        let mut two = two();
        two.advance(Vec::new());
        let first = two.ledger.settlements[0].0.clone();
        let mut record = two.ledger.settle(Vec::new());
        change(&mut record);
        two.ledger.write(SettlementRecord::state_key(1), record.encode());
        let epoch = two.ledger.close();
        let call = two.advancing(&record, &epoch);
        assert_eq!(two.base.send(0, SETTLEMENT, &call).unwrap_err(), Bytes::from(expected(&record, &first)));
    }
}

fn not_next(first: u64, last: u64) -> Vec<u8> {
    ISettlement::EpochsNotNext { firstEpoch: first, lastEpoch: last, expectedFirst: 1, certified: 1 }.abi_encode()
}

/// A change to an honest payment, and the error that it meets.
type PaymentForgery = (fn(&mut ISettlement::payCall), Vec<u8>);

#[test]
fn nobody_is_paid_twice_more_or_in_anothers_place() {
    let mut two = two();
    two.bring(0, 10 * OPG);
    let payouts: Vec<Payout> = (1..=5).map(|to| payout(PayoutKind::Pay, Address::repeat_byte(to), OPG)).collect();
    two.advance(payouts);
    let honest = two.ledger.payment(0, 2);
    let forged: [PaymentForgery; 11] = [
        (|call| call.payout.amount += 1, ISettlement::NotInTree {}.abi_encode()),
        (|call| call.payout.account = ALICE, ISettlement::NotInTree {}.abi_encode()),
        (|call| call.payout.kind = ISettlement::Kind::Mint, ISettlement::NotInTree {}.abi_encode()),
        (|call| call.index = 3, ISettlement::NotInTree {}.abi_encode()),
        (|call| call.index = 5, ISettlement::NotInTree {}.abi_encode()),
        (|call| call.number = 1, ISettlement::UnknownSettlement { number: 1, next: 1 }.abi_encode()),
        (|call| call.siblings[0].sum += 1, ISettlement::NotInTree {}.abi_encode()),
        (|call| call.siblings[0].sum = u128::MAX, ISettlement::SumOverflow {}.abi_encode()),
        (|call| call.siblings.truncate(1), ISettlement::NotInTree {}.abi_encode()),
        (|call| call.siblings.push(call.siblings[0].clone()), ISettlement::NotInTree {}.abi_encode()),
        (
            |call| call.siblings = vec![call.siblings[0].clone(); 65],
            ISettlement::PathTooLong { found: U256::from(65), most: U256::from(64) }.abi_encode(),
        ),
    ];
    for (place, (forge, expected)) in forged.into_iter().enumerate() {
        let mut call = honest.clone();
        forge(&mut call);
        assert_eq!(two.base.send(0, SETTLEMENT, &call).unwrap_err(), Bytes::from(expected), "forgery {place}");
    }
    two.base.send(0, SETTLEMENT, &honest).unwrap();
    refused(two.base.send(1, SETTLEMENT, &honest), &ISettlement::AlreadyPaid { number: 0, index: 2 });
    assert_eq!(two.balance(Address::repeat_byte(3)), OPG);
}

#[test]
fn every_place_of_every_small_tree_is_paid_and_no_other() {
    let mut two = two();
    for count in 1..=17_u8 {
        let number = u64::from(count) - 1;
        two.advance((0..count).map(|to| payout(PayoutKind::Mint, Address::repeat_byte(0x40 + to), 1)).collect());
        for index in 0..count.into() {
            let honest = two.ledger.payment(number, index);
            let elsewhere = (honest.index + 1) % u64::from(count);
            if count > 1 {
                let moved = ISettlement::payCall { index: elsewhere, ..honest.clone() };
                assert!(two.base.send(0, SETTLEMENT, &moved).is_err(), "{index} as {elsewhere} of {count}");
            }
            two.base.send(0, SETTLEMENT, &honest).unwrap();
        }
        let root = two.base.view(SETTLEMENT, &ISettlement::rootsCall { number });
        assert_eq!(root.paid, root.payoutsSum);
    }
}

#[test]
fn what_payers_did_not_bring_cannot_be_paid_out() {
    let mut two = two();
    two.bring(0, OPG);
    two.advance(vec![payout(PayoutKind::Pay, ALICE, 2 * OPG)]);
    let needed = U256::from(2 * OPG);
    let short = IToken::ERC20InsufficientBalance { sender: SETTLEMENT, balance: U256::from(OPG), needed };
    refused(two.pay(0, 0), &short);
    two.bring(1, OPG);
    two.pay(0, 0).unwrap();
}

#[test]
fn only_the_settlement_makes_and_destroys_opg_and_never_more_than_there_is() {
    let mut two = two();
    let caller = account(0);
    let mint = IBridgedOPG::mintCall { to: ALICE, value: U256::from(1) };
    refused(two.base.send(0, addresses::OPG, &mint), &IBridgedOPG::OnlySettlement { caller });
    let burn = IBridgedOPG::burnCall { from: account(1), value: U256::from(1) };
    refused(two.base.send(0, addresses::OPG, &burn), &IBridgedOPG::OnlySettlement { caller });
    let most = 1_000_000_000 * OPG;
    let over = most - two.supply() + 1;
    two.advance(vec![payout(PayoutKind::Mint, ALICE, over)]);
    let found = U256::from(most + 1);
    refused(two.pay(0, 0), &IBridgedOPG::OverSupply { found, most: U256::from(most) });
}

#[test]
fn burns_are_credited_once_in_order_and_only_if_they_were() {
    let mut two = two();
    refused(two.burn(0, 0), &ISettlement::NothingToSend {});
    let nobody = ISettlement::sendToLedgerCall { amount: 1, account: B256::ZERO };
    refused(two.base.send(0, SETTLEMENT, &nobody), &ISettlement::NothingToSend {});
    let supply = two.supply();
    let burnt = events::<ISettlement::SentToLedger>(&two.burn(0, 3 * OPG).unwrap());
    two.credit(0, 3 * OPG);
    assert_eq!((burnt[0].serial, burnt[0].digest), (0, B256::from(two.ledger.burns_digest.0)));
    two.burn(1, OPG).unwrap();
    assert_eq!(two.supply(), supply - 4 * OPG);
    two.advance(Vec::new());
    assert_eq!(two.base.view(SETTLEMENT, &ISettlement::burnsCreditedCall {}), 1);

    // A ledger that unlocked what was never burnt.
    let honest = two.ledger.burns_digest;
    two.credit(1, 2 * OPG);
    let (record, epoch) = two.settled(Vec::new());
    let call = two.advancing(&record, &epoch);
    let expected = two.base.view(SETTLEMENT, &ISettlement::burnDigestCall { count: 2 });
    let found = B256::from(two.ledger.burns_digest.0);
    refused(two.base.send(0, SETTLEMENT, &call), &ISettlement::BurnsNotHere { count: 2, found, expected });

    // One that forgot what it credited, and one that credited what is not here yet.
    for (burns, digest) in [(0, Digest::ZERO), (3, Digest::ZERO)] {
        two.ledger.settlements.pop();
        (two.ledger.burns, two.ledger.burns_digest) = (burns, digest);
        let (record, epoch) = two.settled(Vec::new());
        let call = two.advancing(&record, &epoch);
        let error = if burns == 0 {
            ISettlement::BurnsForgotten { found: 0, credited: 1 }.abi_encode()
        } else {
            ISettlement::BurnsNotHere { count: 3, found: B256::ZERO, expected: B256::ZERO }.abi_encode()
        };
        assert_eq!(two.base.send(0, SETTLEMENT, &call).unwrap_err(), Bytes::from(error));
    }

    two.ledger.settlements.pop();
    (two.ledger.burns, two.ledger.burns_digest) = (1, honest);
    two.credit(1, OPG);
    two.advance(Vec::new());
    assert_eq!(two.base.view(SETTLEMENT, &ISettlement::burnsCreditedCall {}), 2);
}

#[test]
fn a_holder_without_gas_sends_to_the_ledger_by_signature() {
    let mut two = two();
    let (account_there, salt) = (B256::repeat_byte(0x77), B256::repeat_byte(5));
    let terms = typed::ReceiveWithAuthorization {
        from: account(0),
        to: SETTLEMENT,
        value: U256::from(OPG),
        validAfter: U256::ZERO,
        validBefore: U256::from(stage::START + 600),
        nonce: alloy_primitives::keccak256((account_there, salt).abi_encode()),
    };
    let domain = typed::domain("OpenGradient", Some("1"), 8_453, addresses::OPG);
    let honest = ISettlement::sendToLedgerWithAuthorizationCall {
        from: account(0),
        amount: OPG,
        account: account_there,
        validAfter: terms.validAfter,
        validBefore: terms.validBefore,
        salt,
        signature: typed::signed(0, &terms, &domain),
    };
    let invalid = IToken::InvalidSigner { authorizer: account(0) };
    let elsewhere = B256::repeat_byte(0x78);
    for forged in [
        ISettlement::sendToLedgerWithAuthorizationCall { account: elsewhere, ..honest.clone() },
        ISettlement::sendToLedgerWithAuthorizationCall { amount: OPG + 1, ..honest.clone() },
        ISettlement::sendToLedgerWithAuthorizationCall { salt: B256::ZERO, ..honest.clone() },
    ] {
        refused(two.base.send(3, SETTLEMENT, &forged), &invalid);
    }
    let supply = two.supply();
    let sent = events::<ISettlement::SentToLedger>(&two.base.send(3, SETTLEMENT, &honest).unwrap());
    two.credit(0, OPG);
    assert_eq!((sent[0].from, sent[0].digest), (account(0), B256::from(two.ledger.burns_digest.0)));
    assert_eq!((two.supply(), two.balance(SETTLEMENT)), (supply - OPG, 0));
    let used = IToken::AuthorizationUsedOrCanceled { authorizer: account(0), nonce: terms.nonce };
    refused(two.base.send(3, SETTLEMENT, &honest), &used);
    assert_eq!(two.base.view(SETTLEMENT, &ISettlement::burnsCall {}), 1, "what was refused is not booked");
}

/// What brings a rotation: the key after `present`, and what that one signed for it.
fn rotating(present: &Committee, serial: u64, named: GroupKey) -> ISettlement::rotateCall {
    let certified = present.sign_for(serial, named);
    ISettlement::rotateCall {
        serial,
        newKey: named.uncompressed().map(|key| key.to_vec()).unwrap_or_default().into(),
        signature: certified.signature.uncompressed().unwrap().to_vec().into(),
        key: present.key.uncompressed().unwrap().to_vec().into(),
    }
}

#[test]
fn a_new_key_certified_by_the_old_replaces_it() {
    let mut two = two();
    two.advance(Vec::new());
    let next = Committee::dealt(LEDGER, 21, 4);
    let call = rotating(&two.committee, 1, next.key);
    let receipt = two.base.send(0, SETTLEMENT, &call).unwrap();
    assert_eq!(events::<ISettlement::KeyRotated>(&receipt)[0].serial, 1);
    refused(two.base.send(0, SETTLEMENT, &call), &ISettlement::Gap { found: 1, expected: 2 });
    // The old key is retired: what its holders still sign is nothing.
    let (record, epoch) = two.settled(Vec::new());
    let old = two.advancing(&record, &epoch);
    let retired = std::mem::replace(&mut two.committee, next);
    let (found, expected) =
        (alloy_primitives::keccak256(&old.proof.key), two.base.view(SETTLEMENT, &ISettlement::keyDigestCall {}));
    refused(two.base.send(0, SETTLEMENT, &old), &ISettlement::OtherKey { found, expected });
    let call = two.advancing(&record, &epoch);
    two.base.send(0, SETTLEMENT, &call).unwrap();
    assert_ne!(retired.key, two.committee.key);
}

/// A point of the curve over the extension field that lies in no group of prime order; y first its real part.
const TWISTED: [&str; 2] = [
    "18c6b864ae17dc9da64203ffefb966306425a7bc6aeb7c75247438372716284a4173830420cd476ba1a365b95bfcec38",
    "172e93db764a8400a7d5071b6b6f5de0da2f0f4a063119abca014006b7c40a2cfe291a1924e65db0d6d0fcfbf3bf3d5c",
];

fn twisted() -> (GroupKey, Bytes) {
    let mut points = vec![0; 96];
    points[47] = 2;
    for half in TWISTED {
        points.extend(crypto::digest::read_hex::<48>(half).unwrap());
    }
    let mut compressed = [0; 96];
    (compressed[0], compressed[95]) = (0xa0, 2);
    (GroupKey(compressed), points.into())
}

#[test]
fn several_rotations_are_taken_in_their_order_only_and_settlements_go_on_under_the_newest() {
    let mut two = two();
    two.advance(Vec::new());
    let keys = [21, 22].map(|seed| Committee::dealt(LEDGER, seed, 4));
    let calls = [rotating(&two.committee, 1, keys[0].key), rotating(&keys[0], 2, keys[1].key)];
    refused(two.base.send(0, SETTLEMENT, &calls[1]), &ISettlement::Gap { found: 2, expected: 1 });
    for call in &calls {
        two.base.send(0, SETTLEMENT, call).unwrap();
    }
    assert_eq!(two.base.view(SETTLEMENT, &ISettlement::keySerialCall {}), 2);
    let [_, newest] = keys;
    two.committee = newest;
    // What was owed before the rotations is proven under the key that signs now.
    two.advance(vec![payout(PayoutKind::Mint, ALICE, 5)]);
}

#[test]
fn a_rotation_to_what_is_no_key_or_not_the_signed_one_is_refused() {
    let mut two = two();
    let next = Committee::dealt(LEDGER, 21, 4);
    let honest = rotating(&two.committee, 1, next.key);
    let gap = rotating(&two.committee, 2, next.key);
    refused(two.base.send(0, SETTLEMENT, &gap), &ISettlement::Gap { found: 2, expected: 1 });
    let short = ISettlement::rotateCall { newKey: honest.newKey.slice(1..), ..honest.clone() };
    let lengths = |found| ISettlement::KeyLength { found: U256::from(found), expected: U256::from(192) };
    refused(two.base.send(0, SETTLEMENT, &short), &lengths(191));
    let short = ISettlement::rotateCall { signature: honest.signature.slice(1..), ..honest.clone() };
    let signature_length = ISettlement::SignatureLength { found: U256::from(95), expected: U256::from(96) };
    refused(two.base.send(0, SETTLEMENT, &short), &signature_length);
    // Signed for another key, another serial, as an epoch, on another chain, by another network.
    let old = two.committee.key.uncompressed().unwrap().to_vec().into();
    let invalid = ISettlement::InvalidCertificate {};
    let other = ISettlement::rotateCall { newKey: old, ..honest.clone() };
    refused(two.base.send(0, SETTLEMENT, &other), &invalid);
    let other = ISettlement::rotateCall { serial: 1, ..gap };
    refused(two.base.send(0, SETTLEMENT, &other), &invalid);
    let rotation = two.committee.sign_for(1, next.key).rotation;
    let as_epoch = two.committee.sign(&rotation.digest(), &two.committee.quorum());
    let as_epoch = as_epoch.uncompressed().unwrap().to_vec().into();
    refused(two.base.send(0, SETTLEMENT, &ISettlement::rotateCall { signature: as_epoch, ..honest.clone() }), &invalid);
    let elsewhere = rotating(&Committee::dealt(LEDGER + 1, 7, 4), 1, next.key);
    assert_eq!(elsewhere.key, honest.key, "the same key on another chain");
    refused(two.base.send(0, SETTLEMENT, &elsewhere), &invalid);
    let stranger = rotating(&next, 1, two.committee.key);
    let (found, expected) =
        (alloy_primitives::keccak256(&stranger.key), two.base.view(SETTLEMENT, &ISettlement::keyDigestCall {}));
    refused(two.base.send(0, SETTLEMENT, &stranger), &ISettlement::OtherKey { found, expected });
    // The other point with the same x: what the sign's bit in the compressed one is for.
    let mut mirrored = honest.newKey.to_vec();
    mirrored[96..].reverse();
    let other = ISettlement::rotateCall { newKey: mirrored.into(), ..honest.clone() };
    assert!(two.base.send(0, SETTLEMENT, &other).is_err());
    // Signed, but keys for nobody.
    let (no_group, points) = twisted();
    let mut infinity = [0; 96];
    infinity[0] = 0x80;
    for (named, given) in [(no_group, points), (GroupKey(infinity), Bytes::from(vec![0; 192]))] {
        let call = ISettlement::rotateCall { newKey: given, ..rotating(&two.committee, 1, named) };
        refused(two.base.send(0, SETTLEMENT, &call), &ISettlement::NotAKey {});
    }
    two.base.send(0, SETTLEMENT, &honest).unwrap();
}

#[test]
fn what_a_genesis_places_is_what_a_deployment_makes() {
    let mut two = two();
    let start = SettlementStart {
        token: addresses::OPG,
        ledger_chain_id: LEDGER,
        key: two.committee.key.uncompressed().unwrap(),
    };
    let arguments = (start.token, start.ledger_chain_id, Bytes::from(start.key.to_vec())).abi_encode_params();
    let receipt = two.base.transact(0, TxKind::Create, [Artefact::SETTLEMENT.init, &arguments].concat());
    let (made, placed) = (receipt.contract.unwrap(), SETTLEMENT);
    assert!(receipt.succeeded());
    let code = |base: &Stage, address: Address| base.world.account(&address).unwrap().unwrap().code_hash;
    assert_eq!(code(&two.base, made), code(&two.base, placed));
    for slot in (0..16).map(U256::from) {
        let (ours, theirs) = (two.base.world.slot(&placed, &slot).unwrap(), two.base.world.slot(&made, &slot).unwrap());
        assert_eq!(ours, theirs, "slot {slot}");
    }
    let token = two.base.transact(0, TxKind::Create, [Artefact::BRIDGED_OPG.init, &placed.abi_encode()].concat());
    let made = token.contract.unwrap();
    assert_eq!(code(&two.base, made), code(&two.base, addresses::OPG));
    assert_eq!(two.base.view(made, &IBridgedOPG::settlementCall {}), placed);
    assert_eq!(two.base.view(addresses::OPG, &IBridgedOPG::settlementCall {}), placed);
    let short = (start.token, start.ledger_chain_id, Bytes::from(vec![1; 191])).abi_encode_params();
    let receipt = two.base.transact(0, TxKind::Create, [Artefact::SETTLEMENT.init, &short].concat());
    let error = ISettlement::KeyLength { found: U256::from(191), expected: U256::from(192) };
    assert_eq!(receipt.output, Bytes::from(error.abi_encode()));
}

#[test]
fn one_transaction_can_advance_and_pay_and_is_undone_as_a_whole() {
    let mut two = two();
    let (record, epoch) = two.settled(vec![payout(PayoutKind::Mint, ALICE, 1), payout(PayoutKind::Mint, BOB, 2)]);
    let advance = two.advancing(&record, &epoch).abi_encode();
    let pay = |index| two.ledger.payment(0, index).abi_encode();
    let data = [advance.clone(), pay(0), pay(0)].map(Bytes::from).to_vec();
    let twice = ISettlement::multicallCall { data };
    let data = [advance, pay(0), pay(1)].map(Bytes::from).to_vec();
    refused(two.base.send(0, SETTLEMENT, &twice), &ISettlement::AlreadyPaid { number: 0, index: 0 });
    assert_eq!(two.balance(ALICE), 0);
    two.base.send(0, SETTLEMENT, &ISettlement::multicallCall { data }).unwrap();
    assert_eq!((two.balance(ALICE), two.balance(BOB)), (1, 2));
}

#[test]
fn a_key_funded_twice_or_where_a_contract_lies_is_seen() {
    let mut twice = start([0; 192]);
    twice.funded = vec![account(0), account(0)];
    let genesis = twice.genesis().unwrap();
    let base = Stage::new(8_453, &genesis);
    let held = base.view(addresses::OPG, &IToken::balanceOfCall { account: account(0) });
    assert_eq!(held, base.view(addresses::OPG, &IToken::totalSupplyCall {}));
    let taken = devchain::BaseStart { funded: vec![addresses::PERMIT2], ..start([0; 192]) };
    assert_eq!(taken.genesis(), Err(devchain::BaseError::Taken(addresses::PERMIT2)));
    let much = devchain::BaseStart { opg: U256::MAX, ..start([0; 192]) };
    assert_eq!(much.genesis(), Err(devchain::BaseError::Supply));
    let _ = devchain::plain(8_453);
}
