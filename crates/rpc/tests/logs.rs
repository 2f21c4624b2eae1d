//! Logs over long ranges: which blocks are read for them, and what a refusal says of how to go on.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod still;

use std::{sync::atomic::Ordering, time::Duration};

use alloy_primitives::{Address, B256, Bytes, Log};
use network::Origins;
use rpc::Limits;
use serde_json::{Value, json};
use still::{Desk, Still};

const LIMIT: i64 = -32_005;
/// In every hundredth block, and three times in the last.
const RARE: Address = Address::repeat_byte(0xaa);
/// In every third.
const COMMON: Address = Address::repeat_byte(0xbb);
const MOVED: B256 = B256::repeat_byte(0x01);
const HELD: B256 = B256::repeat_byte(0x02);
const BLOCKS: u64 = 2_000;

fn logs(block: u64) -> Vec<Log> {
    let log = |address, topics: &[B256]| Log::new_unchecked(address, topics.to_vec(), Bytes::new());
    let mut logs = Vec::new();
    if block.is_multiple_of(100) {
        logs.push(log(RARE, &[MOVED]));
    }
    if block == BLOCKS {
        logs.extend([log(RARE, &[HELD]), log(RARE, &[])]);
    }
    if block.is_multiple_of(3) {
        logs.push(log(COMMON, &[MOVED, HELD]));
    }
    logs
}

async fn desk(limits: Limits) -> Desk {
    Desk::of(Still::logging(BLOCKS, logs), Origins::Any, limits).await
}

fn few() -> Limits {
    Limits { log_blocks: 50, ..Limits::default() }
}

/// How many are found by a filter, and how many blocks are read for them.
async fn found(desk: &Desk, filter: Value) -> (usize, usize) {
    desk.chain.blocks_read.store(0, Ordering::Relaxed);
    let answer = desk.call("eth_getLogs", json!([filter])).await;
    let found = answer["result"].as_array().unwrap_or_else(|| panic!("{answer}")).len();
    (found, desk.chain.blocks_read.load(Ordering::Relaxed))
}

#[tokio::test]
async fn what_names_an_address_or_a_first_topic_spans_all_blocks_and_reads_those_that_have_it() {
    let desk = desk(few()).await;
    let cases = [
        (json!({ "fromBlock": "0x0", "address": RARE }), (22, 20)),
        (json!({ "fromBlock": "earliest", "toBlock": "latest", "address": [RARE, LONELY] }), (22, 20)),
        (json!({ "fromBlock": "0x0", "address": RARE, "topics": [MOVED] }), (20, 20)),
        (json!({ "fromBlock": "0x0", "topics": [HELD] }), (1, 1)),
        (json!({ "fromBlock": "0x0", "address": COMMON, "topics": [HELD] }), (0, 0)),
        (json!({ "fromBlock": "0x0", "address": LONELY }), (0, 0)),
        (json!({ "fromBlock": "0x1", "toBlock": "0x63", "address": RARE, "topics": [[MOVED, HELD]] }), (0, 0)),
    ];
    for (filter, expected) in cases {
        assert_eq!(found(&desk, filter.clone()).await, expected, "{filter}");
    }
    let answer = desk.call("eth_getLogs", json!([{ "fromBlock": "0x0", "address": RARE }])).await;
    let numbers: Vec<u64> =
        answer["result"].as_array().unwrap().iter().map(|log| number(&log["blockNumber"])).collect();
    assert!(numbers.is_sorted() && numbers[0] == 100 && numbers[21] == BLOCKS, "{numbers:?}");
}

/// Of no contract.
const LONELY: Address = Address::repeat_byte(0xcc);

fn number(quantity: &Value) -> u64 {
    u64::from_str_radix(quantity.as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
}

#[tokio::test]
async fn a_filter_is_asked_for_all_its_logs_by_the_same_way() {
    let desk = desk(few()).await;
    let id = desk.call("eth_newFilter", json!([{ "fromBlock": "0x0", "address": RARE }])).await["result"].clone();
    assert_eq!(desk.call("eth_getFilterLogs", json!([id])).await["result"].as_array().unwrap().len(), 22);
    let id = desk.call("eth_newFilter", json!([{ "fromBlock": "0x0" }])).await["result"].clone();
    assert_eq!(desk.refused("eth_getFilterLogs", json!([id])).await.0, LIMIT);
}

#[tokio::test]
async fn what_names_neither_is_bounded_by_what_it_spans() {
    let desk = desk(few()).await;
    for filter in [json!({ "fromBlock": "0x0" }), json!({ "fromBlock": "0x0", "topics": [null, HELD] })] {
        let (code, words) = desk.refused("eth_getLogs", json!([filter])).await;
        assert_eq!(code, LIMIT, "{words}");
        let told = "query exceeds max block range 50: it spans 2001. Try with this block range [0x0, 0x31], and go on from 0x32; hint: ";
        assert!(words.starts_with(told), "{words}");
    }
    // As many as a filter may name are still looked up one by one.
    let many: Vec<Address> = (0..1_024_u64).map(|index| Address::left_padding_from(&index.to_be_bytes())).collect();
    assert_eq!(found(&desk, json!({ "fromBlock": "0x700", "address": many })).await, (0, 0));
}

#[tokio::test]
async fn a_refusal_says_how_far_it_came_and_what_it_says_is_answered() {
    let common = |from: u64, to: &str| json!([{ "fromBlock": format!("{from:#x}"), "toBlock": to, "address": COMMON }]);
    let rare = |from: u64, to: &str| json!([{ "fromBlock": format!("{from:#x}"), "toBlock": to, "address": RARE }]);
    let blocks = desk(few()).await;
    let (code, words) = blocks.refused("eth_getLogs", common(0, "latest")).await;
    let told = "query reads more than 50 blocks. Try with this block range [0x0, 0x98], and go on from 0x99";
    assert_eq!((code, words.as_str()), (LIMIT, told));
    let answer = blocks.call("eth_getLogs", common(0, "0x98")).await;
    assert_eq!(answer["result"].as_array().unwrap().len(), 50);
    let (_, words) = blocks.refused("eth_getLogs", common(0x99, "latest")).await;
    assert!(words.contains("[0x99, 0x12e], and go on from 0x12f"), "{words}");

    let results = desk(Limits { logs: 10, ..Limits::default() }).await;
    let (code, words) = results.refused("eth_getLogs", rare(0, "latest")).await;
    let told = "query returned more than 10 results. Try with this block range [0x0, 0x44b], and go on from 0x44c";
    assert_eq!((code, words.as_str()), (LIMIT, told));

    let bytes = desk(Limits { answer_bytes: 2_000, ..Limits::default() }).await;
    let (code, words) = bytes.refused("eth_getLogs", rare(1, "latest")).await;
    let told = "query returned more than 2000 bytes. Try with this block range [0x1, 0x257], and go on from 0x258";
    assert_eq!((code, words.as_str()), (LIMIT, told));

    let one = desk(Limits { logs: 2, ..Limits::default() }).await;
    let (code, words) = one.refused("eth_getLogs", rare(BLOCKS, "latest")).await;
    let told = "query returned more than 2 results in block 0x7d0 alone: ask for less, by address and topics";
    assert_eq!((code, words.as_str()), (LIMIT, told));
}

#[tokio::test]
async fn a_query_that_takes_too_long_is_refused() {
    let desk = desk(Limits { call_time: Duration::from_nanos(1), ..Limits::default() }).await;
    let (code, words) = desk.refused("eth_getLogs", json!([{ "fromBlock": "0x0", "address": RARE }])).await;
    assert_eq!(code, LIMIT);
    assert!(words.starts_with("query took too long in block 0x0 alone"), "{words}");
}

#[tokio::test]
async fn a_range_whose_blocks_are_in_part_no_longer_kept_is_refused_whole() {
    let desk = desk(Limits::default()).await;
    desk.chain.oldest.store(150, Ordering::Relaxed);
    let from = |from: &str| json!([{ "fromBlock": from, "address": RARE }]);
    for from in [from("0x0"), from("0x95")] {
        let (code, words) = desk.refused("eth_getLogs", from).await;
        assert_eq!(code, 4_444, "{words}");
        assert!(words.contains("blocks are kept from 150 on"), "{words}");
    }
    let kept = desk.call("eth_getLogs", from("0x96")).await;
    assert_eq!(kept["result"].as_array().unwrap().len(), 21);
    assert_eq!(found(&desk, json!({ "fromBlock": "0x0", "toBlock": "0x0", "address": RARE })).await, (0, 0));
}
