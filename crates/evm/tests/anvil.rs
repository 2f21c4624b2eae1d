//! Random histories beside anvil: the same transactions, block for block, give the same roots of transactions and receipts, the
//! same gas, blooms and base fees, and in the end the same accounts. Run by `cargo xtask bars ledger`, which brings anvil.
#![allow(clippy::unwrap_used, reason = "what fails here is a failed test")]

mod common;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use alloy_consensus::{Header, TxEip1559, TxEip2930, TxEip7702, TxEnvelope, TxLegacy};
use alloy_eips::eip2930::{AccessList, AccessListItem};
use alloy_eips::eip7702::Authorization;
use alloy_primitives::{Address, Bytes, TxKind, U256, keccak256};
use common::{address, sign, sign_digest};
use evm::{BlockBuilder, Chain, Genesis, GenesisAccount, NextBlock, StateRead as _, Transaction, World};
use serde_json::{Value, json};

const CHAIN: Chain = Chain::plain(1337);
const SENDERS: u64 = 8;
const CONTRACTS: u8 = 12;
const AUTHORITIES: std::ops::Range<u64> = 100..108;
const A_BLOCK: u64 = 100;
const BENEFICIARY: Address = Address::repeat_byte(0xbe);

/// Numbers that look random and are the same for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        u64::from_be_bytes(keccak256(self.0.to_be_bytes())[..8].try_into().unwrap())
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.roll() % bound
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::try_from(self.below(choices.len() as u64)).unwrap()]
    }
}

fn contract(number: u8) -> Address {
    Address::repeat_byte(0xa0 + number)
}

/// Opcodes with what they take and leave; those that name block hash or randomness are anvil's own.
const OPS: &[(u8, usize, usize)] = &[
    (0x01, 2, 1),
    (0x02, 2, 1),
    (0x03, 2, 1),
    (0x04, 2, 1),
    (0x05, 2, 1),
    (0x06, 2, 1),
    (0x08, 3, 1),
    (0x0a, 2, 1),
    (0x0b, 2, 1),
    (0x10, 2, 1),
    (0x12, 2, 1),
    (0x16, 2, 1),
    (0x1a, 2, 1),
    (0x1b, 2, 1),
    (0x1d, 2, 1),
    (0x1e, 1, 1),
    (0x20, 2, 1),
    (0x30, 0, 1),
    (0x31, 1, 1),
    (0x33, 0, 1),
    (0x34, 0, 1),
    (0x35, 1, 1),
    (0x36, 0, 1),
    (0x37, 3, 0),
    (0x39, 3, 0),
    (0x3a, 0, 1),
    (0x3b, 1, 1),
    (0x3c, 4, 0),
    (0x3d, 0, 1),
    (0x3f, 1, 1),
    (0x41, 0, 1),
    (0x42, 0, 1),
    (0x43, 0, 1),
    (0x45, 0, 1),
    (0x46, 0, 1),
    (0x47, 0, 1),
    (0x48, 0, 1),
    (0x4a, 0, 1),
    (0x51, 1, 1),
    (0x52, 2, 0),
    (0x53, 2, 0),
    (0x54, 1, 1),
    (0x55, 2, 0),
    (0x55, 2, 0),
    (0x55, 2, 0),
    (0x59, 0, 1),
    (0x5a, 0, 1),
    (0x5c, 1, 1),
    (0x5d, 2, 0),
    (0x5e, 3, 0),
    (0xa0, 2, 0),
    (0xa1, 3, 0),
    (0xa3, 5, 0),
    (0xf0, 3, 1),
    (0xf1, 7, 1),
    (0xf1, 7, 1),
    (0xf2, 7, 1),
    (0xf4, 6, 1),
    (0xf5, 4, 1),
    (0xfa, 6, 1),
];

fn push(code: &mut Vec<u8>, value: &[u8]) {
    code.push(0x5f + u8::try_from(value.len()).unwrap());
    code.extend_from_slice(value);
}

fn operand(dice: &mut Dice, op: u8, position: usize) -> Vec<u8> {
    let named = match op {
        0x31 | 0x3b | 0x3c | 0x3f => position == 0,
        0xf1 | 0xf2 | 0xf4 | 0xfa => position == 1,
        _ => false,
    };
    if named {
        let number = u8::try_from(dice.below(u64::from(CONTRACTS) + 4)).unwrap();
        return if number < CONTRACTS { contract(number).to_vec() } else { vec![number - CONTRACTS + 1] };
    }
    match (op, position) {
        (0xf1 | 0xf2 | 0xf4 | 0xfa, 0) => dice.of(&[vec![0x75, 0x30].as_slice(), &[0xff, 0xff, 0xff]]).to_vec(),
        (0x54 | 0x55 | 0x5c | 0x5d, 0) => vec![u8::try_from(dice.below(6)).unwrap()],
        (0x01..=0x1e, _) | (0x55 | 0x5d | 0x52, 1) => dice.roll().to_be_bytes().to_vec(),
        _ => vec![u8::try_from(dice.below(96)).unwrap()],
    }
}

/// A random program that mostly runs through; what it leaves goes to storage.
fn program(dice: &mut Dice, length: u64) -> Vec<u8> {
    let mut code = Vec::new();
    for _ in 0..length {
        let (op, takes, leaves) = dice.of(OPS);
        for position in (0..takes).rev() {
            let value = operand(dice, op, position);
            push(&mut code, &value);
        }
        code.push(op);
        if leaves == 1 {
            let slot = u8::try_from(dice.below(6)).unwrap();
            if dice.below(2) == 0 { code.push(0x50) } else { code.extend([0x60, slot, 0x55]) }
        }
    }
    code.extend(dice.of(&[
        [].as_slice(),
        &[0x60, 0x20, 0x5f, 0xf3],
        &[0x60, 0x20, 0x5f, 0xfd],
        &[0xfe],
        &[0x33, 0xff],
    ]));
    code
}

/// Deploys what follows it.
fn deploying(runtime: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(runtime.len()).unwrap().to_be_bytes();
    [&[0x61, high, low, 0x80, 0x60, 0x0a, 0x5f, 0x39, 0x5f, 0xf3], runtime].concat()
}

fn genesis(dice: &mut Dice) -> Genesis {
    let mut genesis = Genesis { timestamp: 1_000, ..Genesis::default() };
    for number in 0..SENDERS {
        let balance = U256::from(10).pow(U256::from(24));
        genesis.accounts.insert(address(number), GenesisAccount { balance, ..GenesisAccount::default() });
    }
    // Anvil takes accounts that are not there for empty ones, and pays back what a delegation of a new account costs.
    for number in AUTHORITIES {
        let account = GenesisAccount { balance: U256::ONE, ..GenesisAccount::default() };
        genesis.accounts.insert(address(number), account);
    }
    for number in 0..CONTRACTS {
        let length = 6 + dice.below(20);
        let account = GenesisAccount {
            nonce: 1,
            balance: U256::from(dice.below(1_000_000)),
            code: program(dice, length).into(),
            storage: (0..3).map(|slot| (U256::from(slot), U256::from(dice.roll()))).collect(),
        };
        genesis.accounts.insert(contract(number), account);
    }
    genesis
}

fn envelope(dice: &mut Dice, sender: u64, nonce: u64, base_fee: u64) -> TxEnvelope {
    let kind = dice.below(20);
    let length = 4 + dice.below(12);
    let to = match dice.below(10) {
        0 => TxKind::Create,
        1 | 2 => TxKind::Call(address(dice.below(SENDERS + 4))),
        _ => TxKind::Call(contract(u8::try_from(dice.below(u64::from(CONTRACTS))).unwrap())),
    };
    let input: Bytes = if to.is_create() {
        deploying(&program(dice, length)).into()
    } else {
        let size = usize::try_from(dice.below(70)).unwrap();
        keccak256(dice.roll().to_be_bytes()).repeat(3)[..size].to_vec().into()
    };
    let gas_limit = 90_000 + dice.below(200_000);
    let value = U256::from(dice.of(&[0, 0, 1, 1_000_000]));
    let price = u128::from(base_fee) * 2 + u128::from(dice.below(1_000_000_000));
    let tip = u128::from(dice.below(1_000_000));
    let storage_keys = vec![U256::from(dice.below(6)).into()];
    let access_list = AccessList(vec![AccessListItem { address: contract(1), storage_keys }]);
    let chain_id = CHAIN.id;
    match kind {
        0..=5 => {
            let chain_id = Some(chain_id);
            sign(sender, TxLegacy { chain_id, nonce, gas_price: price, gas_limit, to, value, input })
        }
        6..=8 => {
            sign(sender, TxEip2930 { chain_id, nonce, gas_price: price, gas_limit, to, value, input, access_list })
        }
        9 if !to.is_create() => {
            let other = AUTHORITIES.start + dice.below(8);
            let delegate = contract(u8::try_from(dice.below(u64::from(CONTRACTS))).unwrap());
            let authorization =
                Authorization { chain_id: U256::from(CHAIN.id), address: delegate, nonce: dice.below(2) };
            let signature = sign_digest(other, authorization.signature_hash());
            sign(
                sender,
                TxEip7702 {
                    chain_id,
                    nonce,
                    gas_limit,
                    max_fee_per_gas: price,
                    max_priority_fee_per_gas: tip,
                    to: address(other),
                    value,
                    access_list,
                    authorization_list: vec![authorization.into_signed(signature)],
                    input,
                },
            )
        }
        _ => sign(
            sender,
            TxEip1559 {
                chain_id,
                nonce,
                gas_limit,
                max_fee_per_gas: price,
                max_priority_fee_per_gas: tip,
                to,
                value,
                access_list,
                input,
            },
        ),
    }
}

/// A running anvil, ended when dropped.
struct Anvil {
    child: Child,
    port: u16,
}

impl Drop for Anvil {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _waited = self.child.wait();
    }
}

impl Anvil {
    fn start(program: &str, genesis: &Genesis) -> Self {
        let file = std::env::temp_dir().join(format!("evm-anvil-{}.json", std::process::id()));
        std::fs::write(&file, alloc_of(genesis).to_string()).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new(program);
        command.arg("--init").arg(&file).args([
            "--port",
            &port.to_string(),
            "--no-mining",
            "--order",
            "fifo",
            "--silent",
        ]);
        command.args(["--hardfork", "osaka", "--chain-id", "1337", "--accounts", "1", "--max-persisted-states", "2"]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        let anvil = Self { child, port };
        let ready = (0..200).any(|_| {
            std::thread::sleep(Duration::from_millis(50));
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        assert!(ready, "anvil does not listen");
        std::fs::remove_file(file).unwrap();
        anvil
    }

    /// Several requests at once, answers in their order.
    fn ask(&self, requests: &[(&str, Value)]) -> Vec<Value> {
        let batch: Vec<Value> = requests
            .iter()
            .enumerate()
            .map(|(id, (method, params))| json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))
            .collect();
        let mut answers: Vec<Value> = serde_json::from_slice(&self.post(&json!(batch).to_string())).unwrap();
        answers.sort_by_key(|answer| answer["id"].as_u64());
        answers.iter().map(|answer| answer.get("result").cloned().unwrap_or_else(|| panic!("{answer}"))).collect()
    }

    fn post(&self, body: &str) -> Vec<u8> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let head = format!(
            "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body.as_bytes()).unwrap();
        let mut reader = BufReader::new(stream);
        let mut length = None;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            let line = line.trim().to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = Some(value.trim().parse::<usize>().unwrap());
            }
            if line.is_empty() {
                break;
            }
        }
        let mut answer = vec![0; length.expect("anvil says how long its answers are")];
        reader.read_exact(&mut answer).unwrap();
        answer
    }
}

/// The genesis as geth's file has it.
fn alloc_of(genesis: &Genesis) -> Value {
    let alloc: serde_json::Map<String, Value> = genesis
        .accounts
        .iter()
        .map(|(address, account)| {
            let storage: serde_json::Map<String, Value> = account
                .storage
                .iter()
                .map(|(slot, value)| (format!("{slot:#066x}"), json!(format!("{value:#066x}"))))
                .collect();
            let nonce = format!("{:#x}", account.nonce);
            (
                address.to_string(),
                json!({"balance": account.balance, "nonce": nonce, "code": account.code, "storage": storage}),
            )
        })
        .collect();
    let zero = "0x0000000000000000000000000000000000000000000000000000000000000000";
    json!({
        "config": {"chainId": CHAIN.id}, "nonce": "0x0", "timestamp": format!("{:#x}", genesis.timestamp), "extraData": "0x",
        "gasLimit": format!("{:#x}", CHAIN.gas_limit), "difficulty": "0x0", "mixHash": zero, "coinbase": Address::ZERO,
        "alloc": alloc, "number": "0x0", "gasUsed": "0x0", "parentHash": zero, "baseFeePerGas": "0x3b9aca00",
    })
}

/// What the two have in common of a header.
fn common_of(header: &Header) -> Value {
    json!({
        "number": format!("{:#x}", header.number),
        "gasUsed": format!("{:#x}", header.gas_used),
        "baseFeePerGas": format!("{:#x}", header.base_fee_per_gas.unwrap_or_default()),
        "logsBloom": header.logs_bloom,
        "transactionsRoot": header.transactions_root,
        "receiptsRoot": header.receipts_root,
    })
}

fn check_accounts(anvil: &Anvil, world: &World) {
    let content = world.content().unwrap();
    for (address, account) in content.accounts.iter().filter(|(address, _)| **address != Genesis::HISTORY) {
        let account = account.unwrap();
        let mut requests = vec![
            ("eth_getBalance", json!([address, "latest"])),
            ("eth_getTransactionCount", json!([address, "latest"])),
            ("eth_getCode", json!([address, "latest"])),
        ];
        let slots = content.slots.range((*address, U256::ZERO)..=(*address, U256::MAX));
        let slots: Vec<(&U256, &U256)> = slots.map(|((_, slot), value)| (slot, value)).collect();
        requests.extend(
            slots.iter().map(|(slot, _)| ("eth_getStorageAt", json!([address, format!("{slot:#x}"), "latest"]))),
        );
        let code = world.code(&account.code_hash).unwrap().map(|code| code.original_bytes()).unwrap_or_default();
        let mut expected = vec![json!(account.balance), json!(format!("{:#x}", account.nonce)), json!(code)];
        expected.extend(slots.iter().map(|(_, value)| json!(format!("{value:#066x}"))));
        assert_eq!(anvil.ask(&requests), expected, "account {address}");
    }
}

#[test]
#[ignore = "needs anvil, whose path is in EVM_ANVIL: run by `cargo xtask bars ledger`"]
fn random_histories_are_the_same_as_anvils() {
    let program = std::env::var("EVM_ANVIL").expect("EVM_ANVIL names the program");
    let wanted: u64 = std::env::var("EVM_TRANSACTIONS").map_or(10_000, |count| count.parse().unwrap());
    let seed: u64 = std::env::var("EVM_SEED").map_or(1, |seed| seed.parse().unwrap());
    let mut dice = Dice(seed.wrapping_mul(1 << 32));
    let genesis = genesis(&mut dice);
    let anvil = Anvil::start(&program, &genesis);
    anvil.ask(&[("anvil_setCoinbase", json!([BENEFICIARY]))]);
    let (mut world, header) = genesis.build(&CHAIN).unwrap();
    // Anvil gives its first block the base fee of the genesis, so an empty one goes before ours.
    let mut header = Header { number: 1, timestamp: 1_002, ..header.into_inner() };
    anvil.ask(&[("evm_setNextBlockTimestamp", json!([header.timestamp]))]);
    anvil.ask(&[("evm_mine", json!([]))]);
    let (mut nonces, mut sent, mut succeeded) = ([0_u64; 8], 0, 0);
    while sent < wanted {
        let next = NextBlock { timestamp: header.timestamp + 2, beneficiary: BENEFICIARY, ..NextBlock::default() };
        let state = world.clone();
        let mut builder = BlockBuilder::begin(&CHAIN, &header, &state, &next).unwrap();
        let base_fee = builder.header().base_fee_per_gas.unwrap();
        anvil.ask(&[("evm_setNextBlockTimestamp", json!([next.timestamp]))]);
        for _ in 0..A_BLOCK {
            let sender = dice.below(SENDERS);
            let nonce = &mut nonces[usize::try_from(sender).unwrap()];
            let made = Transaction::from_envelope(envelope(&mut dice, sender, *nonce, base_fee), &CHAIN).unwrap();
            // One by one: requests of a batch run beside each other, and the pool's order is that of arrival.
            anvil.ask(&[("eth_sendRawTransaction", json!([made.raw()]))]);
            let receipt = builder.push(made).unwrap_or_else(|error| panic!("transaction {sent}: {error}"));
            succeeded += u64::from(receipt.succeeded());
            *nonce += 1;
            sent += 1;
        }
        let executed = builder.finish();
        let root = world.apply(&executed.changes).unwrap();
        let (block, _) = executed.seal(root);
        anvil.ask(&[("evm_mine", json!([]))]);
        let theirs = anvil.ask(&[("eth_getBlockByNumber", json!(["latest", false]))]).remove(0);
        let ours = common_of(block.header.inner());
        for (field, value) in ours.as_object().unwrap() {
            assert_eq!(&theirs[field], value, "{field} of block {} (seed {seed})", block.header.number);
        }
        header = block.header.into_inner();
    }
    check_accounts(&anvil, &world);
    println!("{sent} transactions, {succeeded} succeeded, {} accounts", world.content().unwrap().accounts.len());
}
