//! The ledger's end of the bridge: what is sent to Base is locked, told and counted, and nothing comes back by a transaction.
#![allow(clippy::unwrap_used, reason = "what fails here is a failed test")]

mod common;

use alloy_consensus::TxEip1559;
use alloy_primitives::{Address, U256};
use alloy_sol_types::SolCall as _;
use common::{Net, OPG, address, event, plain, refused, system_refused, table_is_whole, told, transaction};
use evm::modules::bridge::{ADDRESS, IBridge, MODULE, Sending, Unlock, sendings};
use evm::modules::{IModule, opg};
use evm::{Founding, StateRead as _};

fn net() -> Net {
    Net::founded(Founding { bridged: 5_000, ..Founding::default() })
}

fn send(net: &mut Net, from: u64, to: Address, value: U256) -> evm::Receipt {
    net.call(from, ADDRESS, &IBridge::sendToBaseCall { to }, value)
}

#[test]
fn the_table_has_a_row_for_every_function_of_the_interface() {
    table_is_whole(&MODULE, include_str!("../../../contracts/IBridge.sol"));
}

#[test]
fn what_is_sent_is_locked_counted_and_told() {
    let mut net = net();
    for (serial, value) in [(0, OPG), (1, U256::from(7))] {
        let receipt = send(&mut net, 1, address(9), value);
        assert_eq!(told::<IBridge::sendToBaseCall>(&receipt), serial);
        let sent: IBridge::SentToBase = event(receipt.logs());
        assert_eq!((sent.serial, sent.from, sent.to, sent.amount), (serial, address(1), address(9), value));
    }
    let locked = OPG + U256::from(5_007);
    assert_eq!((net.balance(ADDRESS), net.ask(ADDRESS, &IBridge::lockedCall {}).unwrap()), (locked, locked));
    assert_eq!(net.ask(ADDRESS, &IBridge::sentCall {}).unwrap(), 2);
}

#[test]
fn a_block_tells_what_it_sent_in_order_and_nothing_of_what_failed() {
    let mut net = net();
    let call = |to| IBridge::sendToBaseCall { to }.abi_encode();
    let sent = |nonce, to: Address, value: u64| {
        let input = call(to).into();
        transaction(1, TxEip1559 { input, value: U256::from(value), ..plain(ADDRESS, nonce) })
    };
    let (block, refused) = net.block(vec![sent(0, address(8), 3), sent(1, Address::ZERO, 4), sent(2, address(7), 5)]);
    assert!(refused.is_empty());
    let expected = [(8, 3), (7, 5)].map(|(to, amount)| Sending { from: address(1), to: address(to), amount });
    assert_eq!(sendings(block.receipts.iter().flat_map(|receipt| receipt.logs())), expected);
}

#[test]
fn nothing_and_to_nobody_is_refused_and_so_is_what_no_module_allows() {
    let mut net = net();
    refused(&send(&mut net, 1, address(9), U256::ZERO), &IBridge::NothingToSend {});
    refused(&send(&mut net, 1, Address::ZERO, OPG), &IBridge::InvalidReceiver { receiver: Address::ZERO });
    refused(&net.call(1, ADDRESS, &IBridge::lockedCall {}, OPG), &IModule::NotPayable { value: OPG });
    let bare = net.send(transaction(1, TxEip1559 { value: OPG, ..plain(ADDRESS, 3) }));
    assert!(!bare.succeeded(), "coins that nobody said where to send");
    assert_eq!(net.balance(ADDRESS), U256::from(5_000));
}

#[test]
fn coins_on_base_from_the_beginning_are_locked_and_part_of_the_supply() {
    let (net, without) = (net(), Net::founded(Founding::default()));
    let supply = |net: &Net| opg::supply_and_burned(&net.world).unwrap().0;
    assert_eq!(supply(&net) - supply(&without), U256::from(5_000));
    assert_eq!(net.world.account(&ADDRESS).unwrap().unwrap().balance, U256::from(5_000));
}

#[test]
fn what_was_destroyed_on_base_comes_back_and_never_more_than_is_locked() {
    let mut net = net();
    let unlock = |serial, to, coins| Unlock { serial, from: address(3), to, coins };
    let (_, logs) = net.system(&unlock(0, Some(address(9)), 2_000)).unwrap();
    let told: IBridge::ReceivedFromBase = event(&logs);
    assert_eq!((told.serial, told.from, told.to, told.amount), (0, address(3), address(9), U256::from(2_000)));
    let before = opg::supply_and_burned(&net.world).unwrap().1;
    net.does(&unlock(1, None, 1_000));
    let after = opg::supply_and_burned(&net.world).unwrap().1;
    assert!(after >= before + U256::from(1_000), "sent to nobody, it is burned");
    assert_eq!(net.balance(ADDRESS), U256::from(2_000));
    let (locked, amount) = (U256::from(2_000), U256::from(2_001));
    system_refused(net.system(&unlock(2, Some(address(9)), 2_001)), &IBridge::MoreThanLocked { locked, amount });
}
