//! What a transfer costs on one core: reading with recovery, execution with roots of the block, the state's root.
#![allow(clippy::unwrap_used, reason = "a measurement stops at what it did not expect")]
#![allow(clippy::print_stdout, reason = "its figures are its purpose")]

#[path = "../tests/common/mod.rs"]
mod common;

use std::time::{Duration, Instant};

use alloy_consensus::TxEip1559;
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{B256, Bytes, U256, keccak256};
use common::{CHAIN, Net, address, plain, sign};
use evm::{BlockBuilder, Transaction, modules::opg};

const A_BLOCK: u64 = 400;
const BLOCKS: u64 = 20;

/// Time by stage.
#[derive(Default)]
struct Spent {
    decode: Duration,
    execute: Duration,
    apply: Duration,
}

fn main() {
    let value = measure(|sender, nonce| TxEip1559 {
        value: U256::ONE,
        gas_limit: 21_000,
        ..plain(address(fresh(sender, nonce)), nonce)
    });
    print("value", &value);
    let coins = measure(|sender, nonce| {
        let to = B256::left_padding_from(address(fresh(sender, nonce)).as_slice());
        let input = [&[0xa9, 0x05, 0x9c, 0xbb], to.as_slice(), U256::ONE.to_be_bytes::<32>().as_slice()].concat();
        TxEip1559 { input: input.into(), gas_limit: 70_000, ..plain(opg::ADDRESS, nonce) }
    });
    print("opg", &coins);
}

/// One of a hundred receivers.
fn fresh(sender: u64, nonce: u64) -> u64 {
    1_000 + u64::from(keccak256([sender.to_be_bytes(), nonce.to_be_bytes()].concat())[0]) % 100
}

fn measure(unsigned: impl Fn(u64, u64) -> TxEip1559) -> Spent {
    let (mut net, mut spent) = (Net::with(&[]), Spent::default());
    for block in 0..BLOCKS {
        let sent = (0..A_BLOCK).map(|i| (i % 8, block * (A_BLOCK / 8) + i / 8));
        let raw: Vec<Bytes> =
            sent.map(|(sender, nonce)| sign(sender, unsigned(sender, nonce)).encoded_2718().into()).collect();
        let began_at = Instant::now();
        let transactions: Vec<Transaction> = raw.iter().map(|raw| Transaction::decode(raw, &CHAIN).unwrap()).collect();
        spent.decode += began_at.elapsed();
        let (parent, next, state) = (net.header.clone(), net.next(), net.world.clone());
        let began_at = Instant::now();
        let mut builder = BlockBuilder::begin(&CHAIN, &parent, &state, &next).unwrap();
        for transaction in transactions {
            builder.push(transaction).unwrap();
        }
        let executed = builder.finish();
        spent.execute += began_at.elapsed();
        let began_at = Instant::now();
        let root = net.world.apply(&executed.changes).unwrap();
        spent.apply += began_at.elapsed();
        net.header = executed.seal(root).0.header.into_inner();
    }
    spent
}

fn print(name: &str, spent: &Spent) {
    let count = f64::from(u32::try_from(A_BLOCK * BLOCKS).unwrap());
    let each = |time: Duration| time.as_secs_f64() * 1e6 / count;
    println!("{name}_decode_us {:.2}", each(spent.decode));
    println!("{name}_execute_us {:.2}", each(spent.execute));
    println!("{name}_apply_us {:.2}", each(spent.apply));
    println!("{name}_per_second {:.0}", 1e6 / each(spent.decode + spent.execute + spent.apply));
}
