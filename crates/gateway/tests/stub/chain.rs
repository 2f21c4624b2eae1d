//! A chain on which everybody has money: answers what the gateway asks it, can go away.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use network::{
    Limits, Server,
    axum::{Json, Router, extract::State, http::StatusCode, routing::post},
};
use payments::B256;
use serde_json::{Value, json};

/// 10^18.
pub const WHOLE: u128 = 1_000_000_000_000_000_000;

pub struct Chain {
    pub server: Server,
    pub is_away: Arc<AtomicBool>,
    /// Transactions that came, as they came.
    pub sent: Sent,
}

/// Transactions as they came.
pub type Sent = Arc<std::sync::Mutex<Vec<String>>>;

impl Chain {
    pub async fn start() -> Self {
        let is_away = Arc::new(AtomicBool::new(false));
        let sent = Sent::default();
        let router = Router::new().route("/", post(answer)).with_state((Arc::clone(&is_away), Arc::clone(&sent)));
        let server = Server::start(super::loopback(), router, Limits::default()).await.unwrap();
        Self { server, is_away, sent }
    }
}

async fn answer(
    State((is_away, sent)): State<(Arc<AtomicBool>, Sent)>,
    Json(request): Json<Value>,
) -> Result<Json<Value>, StatusCode> {
    if request["method"] == "eth_sendRawTransaction" {
        sent.lock().unwrap().push(request["params"][0].as_str().unwrap().to_owned());
    }
    if is_away.load(Ordering::Relaxed) {
        return Err(StatusCode::SERVICE_UNAVAILABLE);
    }
    let one = |call: &Value| json!({ "jsonrpc": "2.0", "id": call["id"], "result": result(call) });
    Ok(Json(match &request {
        Value::Array(calls) => calls.iter().map(one).collect(),
        call => one(call),
    }))
}

fn result(call: &Value) -> Value {
    let word = |number: u128| format!("{number:064x}");
    match call["method"].as_str().unwrap() {
        "eth_getCode" => json!("0x"),
        "eth_getTransactionReceipt" => json!({ "status": "0x1" }),
        "eth_sendRawTransaction" => json!(B256::ZERO),
        "eth_call" => {
            let data = call["params"][0]["data"].as_str().unwrap();
            let is_channel = call["params"][0]["to"].as_str().unwrap().to_lowercase().starts_with("0x4020074e");
            if call["params"][0]["to"].as_str().unwrap().ends_with("0a04") {
                return json!(format!("0x{}", word(WHOLE / 5)));
            }
            match (is_channel, call["id"].as_u64().unwrap()) {
                // Balance, then what was claimed or when a withdrawal began.
                (true, 0) => json!(format!("0x{}{}", word(10 * WHOLE), word(0))),
                (true, 1) => json!(format!("0x{}{}", word(0), word(0))),
                (true, _) | (false, 1) => json!(format!("0x{}", word(0))),
                (false, _) => json!(format!("0x{}", word(100 * WHOLE + data.len() as u128))),
            }
        }
        _ => json!("0x1"),
    }
}
