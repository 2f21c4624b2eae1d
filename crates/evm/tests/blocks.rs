//! Blocks: whole or nothing, headers that clients can recompute, and no coin that appears or disappears unbooked.
#![allow(clippy::unwrap_used, reason = "what fails here is a failed test")]

mod common;

use alloy_consensus::proofs::{calculate_receipt_root, calculate_transaction_root};
use alloy_consensus::{EMPTY_ROOT_HASH, TxEip1559};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, bytes, keccak256};
use common::{CHAIN, Net, OPG, address, plain, transaction};
use evm::modules::opg;
use evm::{
    BlockError, Chain, Genesis, GenesisAccount, GenesisError, NextBlock, PushError, Refusal, StateRead as _, execute,
};
use proptest::prelude::*;

const LOGGER: Address = Address::repeat_byte(0xaa);
/// Emits one log with one topic, then returns.
const LOGGER_CODE: &[u8] = &[0x60, 0x07, 0x5f, 0x5f, 0xa1, 0x00];
const DOOM: Address = Address::repeat_byte(0xdd);
/// Makes a contract with the value that it gets; its init code destroys it with itself as the heir.
const DOOM_CODE: &[u8] = &[0x61, 0x30, 0xff, 0x5f, 0x52, 0x60, 0x02, 0x60, 0x1e, 0x34, 0xf0, 0x00];

fn supply_holds(net: &Net) {
    let accounts = net.world.content().unwrap().accounts;
    let balances = accounts.values().flatten().fold(U256::ZERO, |sum, account| sum + account.balance);
    let (supply, burned) = opg::supply_and_burned(&net.world).unwrap();
    assert_eq!(balances, supply);
    assert_eq!(supply + burned, OPG * U256::from(8_000));
}

#[test]
fn a_block_commits_to_its_transactions_receipts_and_state() {
    let mut net = Net::with(&[(LOGGER, LOGGER_CODE)]);
    let before = net.header.clone();
    let first = transaction(0, TxEip1559 { value: OPG, ..plain(address(1), 0) });
    let (block, refused) = net.block(vec![first, transaction(1, plain(LOGGER, 0))]);
    assert_eq!(refused, []);
    let header = block.header.inner();
    assert_eq!(header.parent_hash, before.hash_slow());
    assert_eq!((header.number, header.base_fee_per_gas), (1, Some(875_000_000)));
    let envelopes: Vec<_> = block.transactions.iter().map(|t| t.envelope().clone()).collect();
    assert_eq!(header.transactions_root, calculate_transaction_root(&envelopes));
    let receipts: Vec<_> = block.receipts.iter().map(|receipt| receipt.envelope.clone()).collect();
    assert_eq!(header.receipts_root, calculate_receipt_root(&receipts));
    assert_eq!(header.gas_used, block.receipts.iter().map(|receipt| receipt.gas_used).sum::<u64>());
    assert_eq!(header.logs_bloom, block.receipts[1].bloom());
    assert_eq!(block.receipts[1].logs()[0].topics(), [B256::from(U256::from(7))]);
    assert_eq!((block.receipts[0].logs_before, block.receipts[1].logs_before), (0, 0));
    assert_eq!(block.receipts[0].effective_gas_price, 875_000_001);
    assert_eq!(header.state_root, net.world.root());
    assert_eq!(evm::block_hash(&net.world, 0), Ok(before.hash_slow()));
    supply_holds(&net);
}

#[test]
fn a_refused_transaction_is_left_out_by_a_builder_and_breaks_an_ordered_block() {
    let mut net = Net::with(&[]);
    let world = net.world.clone();
    let good = transaction(0, plain(address(1), 0));
    let ahead = transaction(1, plain(address(0), 7));
    let (parent, next) = (net.header.clone(), net.next());
    let whole = execute(&CHAIN, &parent, &world, &next, vec![good.clone(), ahead.clone()]);
    let refusal = Refusal::NonceTooHigh { found: 7, expected: 0 };
    assert_eq!(whole.err(), Some(BlockError::Refused { index: 1, refusal: refusal.clone() }));
    let (block, refused) = net.block(vec![ahead, good.clone()]);
    assert_eq!(refused, [PushError::Refused(refusal)]);
    let alone = execute(&CHAIN, &parent, &world, &next, vec![good.clone()]).unwrap();
    let (alone, _) = alone.seal(block.header.state_root);
    assert_eq!(alone.header.hash(), block.header.hash());
    let (_, refused) = net.block(vec![good]);
    assert_eq!(refused, [PushError::Refused(Refusal::NonceTooLow { found: 0, expected: 1 })]);
}

#[test]
fn a_block_has_room_for_its_gas_limit_only() {
    let mut net = Net::with(&[]);
    let big = |number| transaction(number, TxEip1559 { gas_limit: 20_000_000, ..plain(address(7), 0) });
    let (block, refused) = net.block(vec![big(0), big(1)]);
    // What was asked for does not count, what was used does.
    assert_eq!((block.transactions.len(), refused), (2, Vec::new()));
    let burner: &[u8] = &[0x5b, 0x5f, 0x56];
    let mut net = Net::with(&[(DOOM, burner)]);
    let big = |number| transaction(number, TxEip1559 { gas_limit: 20_000_000, ..plain(DOOM, 0) });
    let (_, refused) = net.block(vec![big(0), big(1)]);
    assert_eq!(refused, [PushError::Refused(Refusal::NoRoom { gas: 20_000_000, left: 10_000_000 })]);
}

#[test]
fn money_and_fees_are_asked_for_before_execution() {
    let mut net = Net::with(&[]);
    let poor = transaction(0, TxEip1559 { value: OPG * U256::from(1_001), ..plain(address(1), 0) });
    let cheap = transaction(1, TxEip1559 { max_fee_per_gas: 1, ..plain(address(1), 0) });
    let (_, refused) = net.block(vec![poor, cheap]);
    assert!(matches!(refused[0], PushError::Refused(Refusal::InsufficientFunds { .. })), "{refused:?}");
    assert_eq!(refused[1], PushError::Refused(Refusal::FeeTooLow { offered: 1, base_fee: 875_000_000 }));
}

#[test]
fn headers_follow_from_their_parents() {
    let net = Net::with(&[]);
    let late = NextBlock { timestamp: 999, ..NextBlock::default() };
    assert_eq!(late.header(&CHAIN, &net.header), Err(BlockError::Timestamp { found: 999, parent: 1000 }));
    let long = NextBlock { extra_data: Bytes::from(vec![0; 33]), ..net.next() };
    assert_eq!(long.header(&CHAIN, &net.header), Err(BlockError::ExtraData { found: 33 }));
    let mut last = net.header.clone();
    last.number = u64::MAX;
    assert_eq!(net.next().header(&CHAIN, &last), Err(BlockError::Number(u64::MAX)));
}

#[test]
fn coins_that_a_contract_destroys_are_booked_as_burned() {
    let mut net = Net::with(&[(DOOM, DOOM_CODE)]);
    let receipt = net.send(transaction(0, TxEip1559 { value: OPG, ..plain(DOOM, 0) }));
    assert!(receipt.succeeded());
    let (_, burned) = opg::supply_and_burned(&net.world).unwrap();
    assert_eq!(burned, OPG + U256::from(receipt.gas_used) * U256::from(875_000_000));
    supply_holds(&net);
}

#[test]
fn a_genesis_leaves_the_chains_own_places_alone() {
    let mut genesis = Genesis::default();
    genesis.accounts.insert(opg::ADDRESS, GenesisAccount { balance: OPG, ..GenesisAccount::default() });
    assert_eq!(genesis.build(&CHAIN).err(), Some(GenesisError::Taken(opg::ADDRESS)));
    assert!(genesis.build(&Chain::plain(8453)).is_ok());
    let ghost = GenesisAccount { storage: [(U256::ZERO, U256::ONE)].into(), ..GenesisAccount::default() };
    let genesis = Genesis { accounts: [(LOGGER, ghost)].into(), ..Genesis::default() };
    assert_eq!(genesis.build(&CHAIN).err(), Some(GenesisError::Empty(LOGGER)));
    let broken = GenesisAccount { code: bytes!("ef01"), ..GenesisAccount::default() };
    let genesis = Genesis { accounts: [(LOGGER, broken)].into(), ..Genesis::default() };
    assert_eq!(genesis.build(&CHAIN).err(), Some(GenesisError::Code(LOGGER)));
    let rich = GenesisAccount { balance: U256::MAX, ..GenesisAccount::default() };
    let genesis = Genesis { accounts: [(LOGGER, rich.clone()), (DOOM, rich)].into(), ..Genesis::default() };
    assert_eq!(genesis.build(&CHAIN).err(), Some(GenesisError::Supply));
}

#[test]
fn the_state_proves_what_it_holds_and_what_it_does_not() {
    let mut net = Net::with(&[(LOGGER, LOGGER_CODE)]);
    net.send(transaction(0, plain(LOGGER, 0)));
    let root = crypto::Digest(net.world.root().0);
    let account = net.world.account(&address(0)).unwrap().unwrap();
    let (key, value) = (evm::account_key(&address(0)), evm::account_digest(&account));
    assert!(net.world.prove_account(&address(0)).unwrap().holds(&root, &key, Some(&value)));
    let nobody = Address::repeat_byte(0x77);
    assert!(net.world.prove_account(&nobody).unwrap().holds(&root, &evm::account_key(&nobody), None));
    let (_, burned) = opg::supply_and_burned(&net.world).unwrap();
    let (key, value) = (evm::slot_key(&opg::ADDRESS, &U256::ONE), evm::slot_digest(&burned));
    assert!(net.world.prove_slot(&opg::ADDRESS, &U256::ONE).unwrap().holds(&root, &key, Some(&value)));
}

#[test]
fn a_snapshot_stays_as_it_was() {
    let mut net = Net::with(&[]);
    let (before, root) = (net.world.clone(), net.world.root());
    net.send(transaction(0, TxEip1559 { value: OPG, ..plain(address(1), 0) }));
    assert_ne!(net.world.root(), root);
    assert_eq!(before.root(), root);
    assert_eq!(before.account(&address(0)).unwrap().unwrap().nonce, 0);
}

/// The same history gives the same bytes, for ever: roots and block hashes of ten blocks.
#[test]
fn a_history_has_its_frozen_roots() {
    let mut net = Net::with(&[(LOGGER, LOGGER_CODE), (DOOM, DOOM_CODE)]);
    let mut lines = vec![format!("genesis {} {}", net.header.hash_slow(), net.world.root())];
    for nonce in 0..10_u64 {
        let transfer = bytes!(
            "a9059cbb0000000000000000000000000000000000000000000000000000000000000bee00000000000000000000000000000000000000000000000000000000000003e8"
        );
        let (block, _) = net.block(vec![
            transaction(0, TxEip1559 { value: U256::from(nonce), ..plain(address(1), nonce) }),
            transaction(1, plain(LOGGER, nonce)),
            transaction(2, TxEip1559 { value: U256::from(nonce), ..plain(DOOM, nonce) }),
            transaction(3, TxEip1559 { input: transfer, ..plain(opg::ADDRESS, nonce) }),
            transaction(4, TxEip1559 { input: bytes!("60016002555f5ff3"), ..plain(TxKind::Create, nonce) }),
        ]);
        assert_eq!(block.receipts.len(), 5);
        let receipts = block.header.receipts_root;
        lines.push(format!("{} {} {} {receipts}", block.header.number, block.header.hash(), block.header.state_root));
    }
    supply_holds(&net);
    assert_eq!(lines.join("\n") + "\n", include_str!("../vectors/chain.txt"));
}

#[test]
fn an_empty_block_is_a_block() {
    let mut net = Net::with(&[]);
    let (block, _) = net.block(Vec::new());
    assert_eq!(block.header.transactions_root, EMPTY_ROOT_HASH);
    assert_eq!(block.header.receipts_root, EMPTY_ROOT_HASH);
    assert_eq!(keccak256([]), evm::Account::default().code_hash);
}

/// What accounts do in random histories: to whom, how much, in which of several ways.
#[derive(Clone, Debug)]
struct Step {
    from: u64,
    to: u64,
    amount: u64,
    way: u8,
}

fn step() -> impl Strategy<Value = Step> {
    (0_u64..8, 0_u64..8, any::<u64>(), 0_u8..5).prop_map(|(from, to, amount, way)| Step { from, to, amount, way })
}

fn unsigned(step: &Step, nonce: u64) -> TxEip1559 {
    let amount = U256::from(step.amount);
    let call = |selector: [u8; 4], words: &[B256]| {
        let mut input = selector.to_vec();
        words.iter().for_each(|word| input.extend_from_slice(word.as_slice()));
        TxEip1559 { input: input.into(), ..plain(opg::ADDRESS, nonce) }
    };
    match step.way {
        0 => TxEip1559 { value: amount, ..plain(address(step.to), nonce) },
        1 => TxEip1559 { value: amount, ..plain(DOOM, nonce) },
        2 => call([0xa9, 0x05, 0x9c, 0xbb], &[address(step.to).into_word(), amount.into()]),
        3 => call([0x09, 0x5e, 0xa7, 0xb3], &[address(step.to).into_word(), amount.into()]),
        _ => call(
            [0x23, 0xb8, 0x72, 0xdd],
            &[address(step.to).into_word(), address(step.from).into_word(), U256::from(step.amount % 1000).into()],
        ),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn balances_and_booked_burns_are_the_supply_of_the_genesis(blocks in prop::collection::vec(prop::collection::vec(step(), 1..12), 1..5)) {
        let mut net = Net::with(&[(DOOM, DOOM_CODE)]);
        let mut nonces = [0_u64; 8];
        for steps in blocks {
            let mut transactions = Vec::new();
            for step in &steps {
                let sender = usize::try_from(step.from).unwrap();
                transactions.push(transaction(step.from, unsigned(step, nonces[sender])));
                nonces[sender] += 1;
            }
            let (block, refused) = net.block(transactions);
            prop_assert_eq!(refused, []);
            prop_assert_eq!(block.receipts.len(), steps.len());
            supply_holds(&net);
        }
    }
}
