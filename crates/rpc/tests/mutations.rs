//! Bodies with flipped, lost and doubled bytes: each has an answer that is none of the node's own failures.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod still;

use rpc::Limits;
use serde_json::Value;
use still::Desk;

/// A small generator: the same cases on every machine.
struct Dice(u64);

impl Dice {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % below as u64) as usize
    }
}

const BODIES: &[&str] = &[
    r#"{"jsonrpc":"2.0","id":1,"method":"eth_call","params":[{"to":"0x2222222222222222222222222222222222222222","data":"0x01","gas":"0x5208"},"latest",{"0x3333333333333333333333333333333333333333":{"balance":"0x1","code":"0x5b"}},{"number":"0x5"}]}"#,
    r#"{"jsonrpc":"2.0","id":"a","method":"eth_getLogs","params":[{"fromBlock":"0x1","toBlock":"0x5","address":["0x2222222222222222222222222222222222222222"],"topics":[null,["0x00000000000000000000000000000000000000000000000000000000000000ff"]]}]}"#,
    r#"[{"jsonrpc":"2.0","id":1,"method":"eth_feeHistory","params":["0x5","latest",[10,50.5]]},{"jsonrpc":"2.0","id":2,"method":"eth_getBlockByNumber","params":["pending",true]}]"#,
    r#"{"jsonrpc":"2.0","id":1,"method":"eth_sendRawTransaction","params":["0x02f86c82210580843b9aca0084b2d05e0082520894777777777777777777777777777777777777777705"]}"#,
    r#"{"jsonrpc":"2.0","id":1,"method":"debug_traceCall","params":[{"to":"0x2222222222222222222222222222222222222222"},{"blockNumber":"0x5"},{"tracer":"callTracer","tracerConfig":{"withLog":true}}]}"#,
];

fn mutated(body: &str, dice: &mut Dice) -> Vec<u8> {
    let mut bytes = body.as_bytes().to_vec();
    for _ in 0..=dice.next(3) {
        let at = dice.next(bytes.len());
        match dice.next(4) {
            0 => bytes[at] ^= 1 << dice.next(8),
            1 => drop(bytes.remove(at)),
            2 => bytes.insert(at, bytes[at]),
            _ => bytes.truncate(at.max(1)),
        }
        if bytes.is_empty() {
            bytes.push(b'{');
        }
    }
    bytes
}

fn check(answer: &Value, body: &[u8]) {
    let body = String::from_utf8_lossy(body);
    match answer {
        Value::Array(answers) => answers.iter().for_each(|one| check(one, body.as_bytes())),
        one => {
            assert!(one.get("result").is_some() || one["error"]["code"].is_i64(), "{body}: {one}");
            assert_ne!(one["error"]["code"], -32_603, "{body}: {one}");
        }
    }
}

#[tokio::test]
async fn a_mutated_body_is_answered_and_never_a_defect() {
    let desk = Desk::with(Limits::default()).await;
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let client = network::Client::default();
    for round in 0..1_500 {
        let body = mutated(BODIES[round % BODIES.len()], &mut dice);
        let bytes = client.post_bytes(&desk.server.url(), body.clone()).await.unwrap();
        // A notification, made by losing the id, has no answer.
        if !bytes.is_empty() {
            check(&serde_json::from_slice(&bytes).unwrap(), &body);
        }
    }
}
