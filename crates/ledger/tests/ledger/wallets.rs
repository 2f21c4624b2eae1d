//! Ethereum's transactions on the ledger: what they move, what is left out, and what binds it all to the certified root.

use alloy_consensus::{SignableTransaction as _, TxEip1559, TxEnvelope};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, Bytes, Signature, TxKind, U256, hex};
use alloy_sol_types::{SolCall as _, SolEvent as _};
use evm::StateRead as _;
use evm::modules::opg::{self, IOPG};
use k256::ecdsa::SigningKey;
use ledger::{BundleError, Event, Kind, LOCKED, Ledger, OPG, Ordered, Refusal, address_of};
use protocol::{AccountProof, Action, Canonical as _, Digest, EvmAccount, EvmAddress, EvmWord, transaction::Transfer};
use verify::verify_account;

use crate::{
    verified::{certified, trust},
    world::{ALICE, CHAIN, VALIDATORS, World, public, restored},
};

/// The wallets of the test's genesis: one with coins, one whose coins come free with time.
pub const WALLET: u8 = 1;
pub const FOUNDATION: u8 = 40;
const GWEI: u128 = 1_000_000_000;
/// Destroys itself with all that it has, within its creation: ADDRESS, SELFDESTRUCT.
pub const TO_ITSELF: &[u8] = &hex!("30ff");

fn signing(seed: u8) -> SigningKey {
    SigningKey::from_slice(&[seed; 32]).unwrap()
}

pub fn wallet(seed: u8) -> EvmAddress {
    EvmAddress(Address::from_public_key(signing(seed).verifying_key()).into_array())
}

/// A transaction with the least that most tests need.
#[derive(Clone)]
pub struct Wanted {
    pub from: u8,
    pub nonce: u64,
    pub to: TxKind,
    pub value: u128,
    pub gas: u64,
    pub chain: u64,
    pub input: Bytes,
}

pub fn payment(from: u8, nonce: u64, to: EvmAddress, value: u128) -> Wanted {
    let to = TxKind::Call(Address::from(to.0));
    Wanted { from, nonce, to, value, gas: 100_000, chain: CHAIN, input: Bytes::new() }
}

impl Wanted {
    pub fn bytes(&self) -> Vec<u8> {
        let unsigned = TxEip1559 {
            chain_id: self.chain,
            nonce: self.nonce,
            gas_limit: self.gas,
            max_fee_per_gas: 3 * GWEI,
            max_priority_fee_per_gas: GWEI,
            to: self.to,
            value: U256::from(self.value),
            access_list: Default::default(),
            input: self.input.clone(),
        };
        let hash = unsigned.signature_hash();
        let signature = signing(self.from).sign_prehash_recoverable(hash.as_slice()).unwrap();
        TxEnvelope::from(unsigned.into_signed(Signature::from(signature))).encoded_2718()
    }
}

fn burned_by_gas(world: &World, gas: u128) -> u128 {
    gas * u128::from(world.ledger.evm().header.base_fee_per_gas.unwrap())
}

#[test]
fn the_first_byte_tells_the_kind() {
    let mut world = World::new();
    let native = world.signed(ALICE, Action::Transfer(Transfer { to: wallet(2), amount: 1 })).encode();
    assert_eq!(Kind::of(&native), Kind::Native);
    assert_eq!(Kind::of(&payment(WALLET, 0, wallet(2), 1).bytes()), Kind::Ethereum);
    assert_eq!(Kind::of(&[]), Kind::Native);
    assert_eq!(Kind::of(&[0xf8]), Kind::Ethereum);
    let refused = world.raw_block(vec![vec![0x03, 1], vec![0x7f], vec![0xf8, 1]]);
    let refusals: Vec<_> = refused.outcomes.iter().map(|outcome| outcome.result.clone().unwrap_err()).collect();
    assert_eq!(refusals[0], Refusal::Ethereum(evm::Refusal::Blob));
    assert_eq!(refusals[1], Refusal::Ethereum(evm::Refusal::UnknownType(0x7f)));
    assert!(matches!(refusals[2], Refusal::Ethereum(evm::Refusal::Malformed(_))));
}

#[test]
fn a_wallet_pays_and_the_proposer_has_the_tip() {
    let mut world = World::new();
    let executed = world.raw_block(vec![payment(WALLET, 0, wallet(2), OPG).bytes()]);
    assert_eq!(executed.outcomes[0].result, Ok(()));
    let (base, tip) = (burned_by_gas(&world, 21_000), 21_000 * GWEI);
    assert_eq!(world.ledger.balance(&wallet(2)), OPG);
    assert_eq!(world.ledger.balance(&wallet(WALLET)), 999 * OPG - base - tip);
    assert_eq!(world.ledger.account(&public(VALIDATORS[0])).balance, tip);
    assert_eq!(world.ledger.burned(), base);
    let header = &world.ledger.evm().header;
    assert_eq!((header.number, header.timestamp), (world.ledger.height(), world.time_ms / 1_000));
}

#[test]
fn natives_of_a_block_come_before_its_ethereum_transactions() {
    let mut world = World::new();
    // The wallet owns nothing when the block begins, and its transaction stands first.
    let spends = payment(7, 0, wallet(8), OPG).bytes();
    let gives = world.signed(ALICE, Action::Transfer(Transfer { to: wallet(7), amount: 2 * OPG })).encode();
    let executed = world.raw_block(vec![spends, gives]);
    assert!(executed.outcomes.iter().all(|outcome| outcome.result.is_ok()), "{:?}", executed.outcomes);
    assert_eq!(world.ledger.balance(&wallet(8)), OPG);
}

#[test]
fn a_wallet_makes_an_ed25519_key_known_by_paying_it() {
    let mut world = World::new();
    let stranger = world.signed(99, Action::Transfer(Transfer { to: wallet(2), amount: 1 }));
    assert_eq!(world.ledger.admit(&stranger), Err(Refusal::UnknownSender(public(99))));
    world.raw_block(vec![payment(WALLET, 0, address_of(&public(99)), OPG).bytes()]);
    assert_eq!(world.ledger.admit(&stranger), Ok(()));
    assert_eq!(world.send(99, stranger.transaction.action), Ok(()));
    assert_eq!(world.ledger.balance(&wallet(2)), 1);
}

#[test]
fn what_is_refused_is_left_out_and_leaves_no_trace() {
    let mut world = World::new();
    let poor = payment(9, 0, wallet(2), OPG);
    let foreign = Wanted { chain: CHAIN + 1, ..payment(WALLET, 0, wallet(2), OPG) };
    let good = payment(WALLET, 0, wallet(2), 5);
    let again = good.clone();
    let late = payment(WALLET, 2, wallet(2), 5);
    let wanted = [poor, foreign, good, again, late];
    let executed = world.raw_block(wanted.iter().map(Wanted::bytes).collect());
    let results: Vec<_> = executed.outcomes.into_iter().map(|outcome| outcome.result).collect();
    assert!(matches!(results[0], Err(Refusal::Ethereum(evm::Refusal::InsufficientFunds { .. }))));
    assert!(matches!(results[1], Err(Refusal::Ethereum(evm::Refusal::WrongChain { .. }))));
    assert_eq!(results[2], Ok(()));
    assert_eq!(results[3], Err(Refusal::Ethereum(evm::Refusal::NonceTooLow { found: 0, expected: 1 })));
    assert_eq!(results[4], Err(Refusal::Ethereum(evm::Refusal::NonceTooHigh { found: 2, expected: 1 })));
    assert_eq!(world.ledger.balance(&wallet(2)), 5);
    assert!(results[3].as_ref().unwrap_err().to_string().starts_with("nonce too low"));
}

#[test]
fn coins_that_a_contract_destroys_are_booked_as_burned() {
    let mut world = World::new();
    let create = Wanted { to: TxKind::Create, value: 7, input: TO_ITSELF.into(), ..payment(WALLET, 0, wallet(2), 0) };
    let executed = world.raw_block(vec![create.bytes()]);
    assert_eq!(executed.outcomes[0].result, Ok(()));
    let header = &world.ledger.evm().header;
    assert_eq!(world.ledger.burned(), 7 + burned_by_gas(&world, header.gas_used.into()));
}

#[test]
fn nobody_pays_into_what_is_locked() {
    let mut world = World::new();
    let action = |to| Action::Transfer(Transfer { to, amount: 1 });
    let modules = evm::modules::ALL.iter().map(|module| EvmAddress(module.address.into_array()));
    let nobodys: Vec<_> = modules.chain([LOCKED]).collect();
    for to in nobodys.iter().chain([&EvmAddress([0; 20])]) {
        assert_eq!(world.send(ALICE, action(*to)), Err(Refusal::Receiver(*to)));
    }
    let held = |world: &World| nobodys.iter().map(|to| world.ledger.balance(to)).collect::<Vec<_>>();
    let before = held(&world);
    for (nonce, to) in (0..).step_by(2).zip(&nobodys) {
        let by_token = IOPG::transferCall { to: Address::from(to.0), value: U256::from(OPG) };
        let to_token = EvmAddress(opg::ADDRESS.into_array());
        let token = Wanted { input: by_token.abi_encode().into(), ..payment(WALLET, nonce + 1, to_token, 0) };
        let executed = world.raw_block(vec![payment(WALLET, nonce, *to, OPG).bytes(), token.bytes()]);
        assert!(executed.outcomes.iter().all(|outcome| outcome.result.is_ok()), "they are executed, and fail");
        let block = world.newest.as_ref().unwrap();
        assert!(block.receipts[block.receipts.len() - 2..].iter().all(|receipt| !receipt.succeeded()), "{to:?}");
    }
    assert_eq!(held(&world), before);
}

#[test]
fn the_certified_root_binds_accounts_of_the_evm() {
    let mut world = World::new();
    world.raw_block(vec![payment(WALLET, 0, wallet(2), 5).bytes()]);
    let evm = world.ledger.evm().clone();
    let record = world.next_epoch();
    let paid = proof(&world.ledger, record.epoch, &wallet(2), None).unwrap();
    assert_eq!((paid.evm.number, paid.evm.hash), (record.last_height, Digest(evm.header.hash().0)));
    let account = evm.world.account(&Address::from(wallet(2).0)).unwrap().unwrap();
    let verified = verify_account(&paid, &trust()).unwrap();
    assert_eq!((verified.account(), verified.as_of_epoch()), (Some(&EvmAccount::from(&account)), record.epoch));

    let (opg, burned) = (EvmAddress(opg::ADDRESS.into_array()), EvmWord(opg::BURNED.to_be_bytes()));
    let value = evm.world.slot(&opg::ADDRESS, &opg::BURNED).unwrap();
    let slot = proof(&world.ledger, record.epoch, &opg, Some(&burned)).unwrap();
    let verified = verify_account(&slot, &trust()).unwrap();
    assert!(!value.is_zero());
    assert_eq!(verified.slot(), Some((burned, EvmWord(value.to_be_bytes()))));

    let nobody = proof(&world.ledger, record.epoch, &wallet(99), Some(&burned)).unwrap();
    let verified = verify_account(&nobody, &trust()).unwrap();
    assert_eq!((verified.account(), verified.slot()), (None, Some((burned, EvmWord::ZERO))));
}

/// The proof of an account as of an epoch, whose certificate is whole.
fn proof(
    ledger: &Ledger,
    as_of: u64,
    address: &EvmAddress,
    slot: Option<&EvmWord>,
) -> Result<AccountProof, BundleError> {
    ledger.certified_evm(as_of, certified(ledger, as_of))?.aside().account(address, slot, None)
}

#[test]
fn accounts_are_proven_as_of_the_newest_epochs_only() {
    let mut world = World::new();
    let first = world.next_epoch().epoch;
    let certificate = certified(&world.ledger, first);
    let refused = |as_of| world.ledger.certified_evm(as_of, certificate.clone()).unwrap_err();
    assert_eq!(refused(first + 1), BundleError::NotClosed { as_of: first + 1 });
    for later in 1..=15 {
        world.next_epoch();
        assert!(proof(&world.ledger, first, &wallet(WALLET), None).is_ok(), "{later} epochs later");
    }
    world.next_epoch();
    let gone = proof(&world.ledger, first, &wallet(WALLET), None);
    assert_eq!(gone.unwrap_err(), BundleError::TooOld { as_of: first });
    let other = world.ledger.certified_evm(first + 16, certificate).unwrap_err();
    assert_eq!(other, BundleError::WrongCertificate { found: first, as_of: first + 16 });
}

/// What the ledger's own transaction says came free: transfers from where it was locked, as `eth_getLogs` shows them.
fn released_in(world: &World) -> Vec<(EvmAddress, u128)> {
    let block = world.newest.as_ref().unwrap();
    let own = block.transactions.iter().zip(&block.receipts).filter(|(transaction, _)| transaction.is_of_ledger());
    let logs = own.flat_map(|(_, receipt)| receipt.logs()).filter(|log| log.address == opg::ADDRESS);
    let transfers = logs.map(|log| IOPG::Transfer::decode_log_data(&log.data).unwrap());
    let from_locked = transfers.filter(|transfer| transfer.from == Address::from(LOCKED.0));
    from_locked.map(|transfer| (EvmAddress(transfer.to.into_array()), transfer.value.to())).collect()
}

#[test]
fn an_allocation_comes_free_as_epochs_close() {
    let mut world = World::new();
    let held = |world: &World| world.ledger.balance(&wallet(FOUNDATION)) / OPG;
    assert_eq!(held(&world), 1_000);
    let (mut seen, mut told) = (Vec::new(), Vec::new());
    for _ in 0..8 {
        world.time_ms += 1_000;
        let executed = world.raw_block(vec![]);
        seen.push(held(&world));
        let released = executed.events.into_iter().filter(|event| matches!(event, Event::Released { .. }));
        told.extend(released.zip(released_in(&world)));
    }
    // An epoch's record speaks of the state at the time of its last block.
    assert_eq!(seen, [1_000, 1_000, 1_000, 3_250, 5_500, 7_750, 10_000, 10_000]);
    let (beneficiary, amount) = (wallet(FOUNDATION), 2_250 * OPG);
    assert_eq!(told, vec![(Event::Released { beneficiary, amount }, (beneficiary, amount)); 4]);
    let row = world.ledger.allocations().next().unwrap();
    assert_eq!((row.released, row.locked(), row.next_release()), (10_000 * OPG, 0, None));
    let free = payment(FOUNDATION, 0, wallet(2), 9_000 * OPG);
    assert_eq!(world.raw_block(vec![free.bytes()]).outcomes[0].result, Ok(()));
}

#[test]
fn a_restored_ledger_has_the_evm_and_goes_on_alike() {
    let mut world = World::new();
    let store = Wanted {
        to: TxKind::Create,
        input: hex!("6001600055605b60005360016000f3").into(),
        ..payment(WALLET, 0, LOCKED, 0)
    };
    world.raw_block(vec![store.bytes(), payment(WALLET, 1, wallet(2), 5).bytes()]);
    world.next_epoch();
    world.raw_block(vec![payment(WALLET, 2, wallet(2), 5).bytes()]);
    let bytes = world.ledger.snapshot_bytes().unwrap();
    let mut restored = restored(&bytes, &world.ledger).unwrap();
    assert_eq!(restored.evm().header.number, restored.height());
    assert_eq!(restored.snapshot_bytes().unwrap(), bytes);
    for block in &world.blocks {
        restored.execute(block).unwrap();
    }
    assert_eq!(restored.evm().header, world.ledger.evm().header);
    assert_eq!(restored.evm().world.root(), world.ledger.evm().world.root());
    let proven = |ledger: &Ledger| proof(ledger, 0, &wallet(2), None).unwrap();
    assert_eq!(proven(&restored), proven(&world.ledger));
}

#[test]
fn read_elsewhere_is_read_the_same() {
    let world = World::new();
    let chain = world.ledger.chain();
    let bytes = payment(WALLET, 0, wallet(2), 5).bytes();
    let read = Ordered::read(&bytes, &chain);
    assert_eq!(read.id(), Some(Digest(alloy_primitives::keccak256(&bytes).0)));
    assert_eq!(Ordered::read(&bytes[1..], &chain).id(), None);
}
