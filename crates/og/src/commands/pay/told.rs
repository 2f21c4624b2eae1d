//! What the caller is shown: the answer on standard output, what it cost and its receipt beside it.

use std::process::ExitCode;

use anyhow::Result;
use crypto::digest::hex;
use network::{Answer, axum::http::header};
use payments::Address;
use serde_json::{Value, json};

use super::{choice::Offered, error::PayError, request::Call, sign::Paid, token, wallet::Wallet};
use crate::{
    cli::Common,
    commands::{
        kept::{keep_evidence, keep_opening},
        payer,
    },
    home::Home,
    screen::{put, put_bytes, row, tell},
};

/// The longest answer that is shown as one JSON text.
const BODY_BYTES_MAX: usize = 64 << 20;
/// Of an answer that was shown as it came, so much of the end at least is looked at for its receipt and what opens it.
const TAIL_BYTES: usize = 8 << 20;

/// Shows a server's answer, and what was paid for it. What its receipt opens to is kept in the folder.
///
/// # Errors
/// An answer of this network that `paid_by` paid for, and that does not show it as the payer.
pub async fn answer(
    common: &Common,
    call: &Call,
    mut answer: Answer,
    paid: Option<Paid>,
    paid_by: Option<Address>,
) -> Result<ExitCode> {
    let (status, headers, home) = (answer.status, answer.headers.clone(), Home::new(common.dir.clone()));
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let is_whole = common.json || call.asks_opening && kind.is_some_and(|kind| kind.starts_with("application/json"));
    let mut tail = Vec::new();
    if is_whole {
        tail = answer.body.whole(BODY_BYTES_MAX).await?.to_vec();
    } else {
        while let Some(piece) = answer.body.next().await? {
            put_bytes(&piece)?;
            tail.extend_from_slice(&piece);
            // Not at each piece: what is left is moved.
            if tail.len() > 2 * TAIL_BYTES {
                tail.drain(..tail.len() - TAIL_BYTES);
            }
        }
    }
    let (mut all, id) = (every(&tail), headers.get("x-og-receipt").and_then(|value| value.to_str().ok()));
    if all.is_empty() {
        // Named beside the body, and of which that says nothing.
        all.extend(id.map(|id| json!({ "receipt_id": id })));
    }
    // What several answers are is not told in one line.
    let own = all.first().filter(|_| all.len() == 1);
    if let Err(error) = all.iter().try_for_each(|own| keep_opening(&home, own)) {
        tell(&format!("the answer's opening is not kept: {error:#}"));
    }
    let misnamed = paid_by.and_then(|paid_by| misnamed(&home, call, &all, paid_by));
    let receipt = own.and_then(|own| own["receipt_id"].as_str()).or(id);
    let paid = paid.map(|paid| cost(&paid, own));
    if is_whole && call.asks_opening {
        tail = without_opening(tail);
    }
    if common.json {
        let mut said = json!({
            "url": call.url, "status": status.as_u16(), "content_type": kind, "paid": paid, "receipt": receipt,
        });
        let (name, body) = shown(&tail);
        said[name] = body;
        if let Some(misnamed) = &misnamed {
            said["error"] = misnamed.json();
        }
        put(&said.to_string());
    } else {
        if is_whole {
            put_bytes(&tail)?;
        }
        let flag = home.flag();
        let check = receipt
            .filter(|_| misnamed.is_none())
            .map(|receipt| [format!("receipt  {receipt}"), format!("check    og receipt verify {receipt}{flag}")]);
        let cost = paid.as_ref().map(|paid| cost_lines(paid, status.is_success())).unwrap_or_default();
        cost.iter().chain(check.iter().flatten()).for_each(|line| tell(line));
    }
    if let Some(misnamed) = misnamed {
        return Err(misnamed.into());
    }
    if status.is_success() {
        return Ok(ExitCode::SUCCESS);
    }
    tell(&format!("error: {} answered {status}", call.url));
    Ok(ExitCode::FAILURE)
}

/// What of an answer that `paid_by` paid for does not show it as the payer. Kept, because nobody else may ever see it.
fn misnamed(home: &Home, call: &Call, all: &[Value], paid_by: Address) -> Option<PayError> {
    let is_told = |own: &&Value| own["receipt_id"].is_string() && (call.asks_opening || own["opening"].is_object());
    let (own, why) = all.iter().filter(is_told).find_map(|own| Some((own, payer::check(own, paid_by).err()?)))?;
    let kept = keep_evidence(home, own);
    let kept = kept.map_or_else(|error| format!("what came, of which {error:#}"), |file| file.display().to_string());
    Some(PayError::OtherPayer { payer: paid_by.to_string(), why, kept })
}

/// An answer as it would have come to whoever did not ask for its opening.
fn without_opening(body: Vec<u8>) -> Vec<u8> {
    let Ok(mut whole) = serde_json::from_slice::<Value>(&body) else { return body };
    let all = match whole.get_mut("og") {
        Some(Value::Array(all)) => all.as_mut_slice(),
        Some(own) => std::slice::from_mut(own),
        None => return body,
    };
    let mut is_shorter = false;
    for own in all.iter_mut().filter_map(Value::as_object_mut) {
        for part in ["opening", "receipt"] {
            is_shorter |= own.shift_remove(part).is_some();
        }
    }
    if is_shorter { whole.to_string().into_bytes() } else { body }
}

/// JSON as it is, text as text, anything else in hexadecimal.
fn shown(body: &[u8]) -> (&'static str, Value) {
    if let Ok(value) = serde_json::from_slice(body) {
        return ("body", value);
    }
    match std::str::from_utf8(body) {
        Ok(text) => ("body", text.into()),
        Err(_) => ("body_hex", hex(body).into()),
    }
}

/// What each answer of this network in a body says of itself, or in the last event of a stream that says it.
fn every(tail: &[u8]) -> Vec<Value> {
    if let Ok(whole) = serde_json::from_slice::<Value>(tail) {
        return of_itself(whole);
    }
    let text = String::from_utf8_lossy(tail);
    let events = text.lines().rev().filter_map(|line| line.strip_prefix("data: "));
    let mut said = events.filter_map(|data| serde_json::from_str(data).ok()).map(of_itself);
    said.find(|all| !all.is_empty()).unwrap_or_default()
}

/// An event of `/v1/responses` has it in the response that it brings.
fn of_itself(mut whole: Value) -> Vec<Value> {
    match ["/og", "/response/og"].into_iter().find_map(|place| whole.pointer_mut(place).map(Value::take)) {
        Some(Value::Array(all)) => all,
        Some(own @ Value::Object(_)) => vec![own],
        Some(_) | None => Vec::new(),
    }
}

fn cost(paid: &Paid, own: Option<&Value>) -> Value {
    let (terms, units) = (&paid.terms, |amount: u128| token::written(amount, &paid.token));
    let outcome = paid.outcome.as_ref();
    let charged = own.and_then(|own| own["payment"]["charged"].as_str()?.parse::<u128>().ok());
    let charged = charged.or_else(|| outcome.and_then(|outcome| outcome.amount));
    if charged.is_some_and(|charged| charged > terms.amount) {
        tell("the server says that it charged more than was signed, which it cannot take");
    }
    if let Some(untrue) = &paid.untrue {
        tell(&format!(
            "what the server says of the channel cannot be so: {untrue}; all that was signed counts as charged"
        ));
    }
    json!({
        "scheme": terms.scheme,
        "network": terms.network.to_string(),
        "asset": terms.asset.to_checksum(None),
        "token": paid.token.symbol,
        "payer": paid.payer,
        "pay_to": terms.pay_to.to_checksum(None),
        "max": terms.amount.to_string(),
        "max_tokens": units(terms.amount),
        "charged": charged.map(|charged| charged.to_string()),
        "charged_tokens": charged.map(units),
        "untrue": paid.untrue,
        "deposit": paid.deposit.map(|deposit| deposit.to_string()),
        "settled": outcome.map(|outcome| outcome.success),
        "transaction": outcome.map(|outcome| outcome.transaction.clone()).filter(|text| !text.is_empty()),
    })
}

/// What a call cost, or may have: of one that failed, all that is known may be what was signed.
fn cost_lines(paid: &Value, is_answered: bool) -> Vec<String> {
    let text = |name: &str| paid[name].as_str().unwrap_or_default().to_owned();
    let (most, token) = (format!("at most {} {}", text("max_tokens"), text("token")), text("token"));
    let to = format!("by {} to {}", text("scheme"), text("pay_to"));
    let cost = match paid["charged_tokens"].as_str() {
        Some(charged) => format!("\npaid     {charged} {token} ({most}) {to}"),
        None if is_answered => format!("\npaid     {most} {to}"),
        None => format!("\nsigned   for {most} {to}; nothing is known to be charged"),
    };
    let settled = paid["transaction"].as_str().map(|transaction| format!("settled  {transaction}"));
    std::iter::once(cost).chain(settled).collect()
}

/// Every offer with what it may cost, and why it cannot be paid where it cannot.
pub fn offers(common: &Common, url: &str, wallet: &Wallet, offered: &[Offered]) {
    let all: Vec<Value> = offered.iter().map(Offered::json).collect();
    if common.json {
        put(&json!({ "url": url, "payer": wallet.written(), "offers": all }).to_string());
        return;
    }
    put(&format!("{url} asks {} for one of these:", wallet.written()));
    for offer in &all {
        let cost = match offer["max_tokens"].as_str() {
            Some(units) => format!("{units} {}", offer["token"].as_str().unwrap_or_default()),
            None => format!(
                "{} units of {}",
                offer["max"].as_str().unwrap_or_default(),
                offer["asset"].as_str().unwrap_or_default()
            ),
        };
        let verdict = match offer["reason"].as_str() {
            Some(reason) => format!("not payable: {}", reason.split("; hint:").next().unwrap_or(reason)),
            None => "payable".to_owned(),
        };
        put(&row(&[
            (offer["scheme"].as_str().unwrap_or_default(), 17),
            (&format!("at most {cost}"), 34),
            (&verdict, 0),
        ]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_opening_that_nobody_asked_to_see_is_not_shown_and_all_else_stays_as_it_came() {
        let came = r#"{"z":1,"a":1.50,"og":{"receipt_id":"ab","opening":{"x":1},"receipt":{},"level":"signed"}}"#;
        let left = r#"{"z":1,"a":1.5,"og":{"receipt_id":"ab","level":"signed"}}"#;
        assert_eq!(without_opening(came.into()), left.as_bytes());
        let several = r#"{"og":[{"receipt_id":"ab","opening":{}},{"receipt_id":"cd","opening":{}}]}"#;
        assert_eq!(without_opening(several.into()), br#"{"og":[{"receipt_id":"ab"},{"receipt_id":"cd"}]}"#);
        assert_eq!((every(several.as_bytes()).len(), every(came.as_bytes()).len(), every(b"[1]").len()), (2, 1, 0));
        let streamed = format!("data: {{\"x\":1}}\n\ndata: {several}\n\ndata: [DONE]\n\n");
        assert_eq!(every(streamed.as_bytes()), every(several.as_bytes()), "of a stream");
        let response = format!("event: response.completed\ndata: {{\"response\":{came}}}\n\n");
        assert_eq!(every(response.as_bytes()), every(came.as_bytes()), "and of a response's");
        for whole in [r#"{"a": 1.50}"#, r#"{"og": {"receipt_id": "ab"}}"#, "no JSON"] {
            assert_eq!(without_opening(whole.into()), whole.as_bytes(), "{whole}");
        }
    }

    #[test]
    fn of_a_call_that_failed_only_what_was_signed_is_told() {
        let mut paid =
            json!({ "scheme": "batch-settlement", "pay_to": "0x77", "max_tokens": "0.002", "token": "USDC" });
        assert_eq!(cost_lines(&paid, true), ["\npaid     at most 0.002 USDC by batch-settlement to 0x77"]);
        let failed = cost_lines(&paid, false);
        assert!(failed.len() == 1 && failed[0].starts_with("\nsigned   for at most 0.002 USDC"), "{failed:?}");
        assert!(failed[0].ends_with("; nothing is known to be charged"), "{failed:?}");
        paid["charged_tokens"] = "0.001".into();
        paid["transaction"] = "0xfeed".into();
        let lines = cost_lines(&paid, false);
        assert_eq!(lines[0], "\npaid     0.001 USDC (at most 0.002 USDC) by batch-settlement to 0x77");
        assert_eq!(lines[1], "settled  0xfeed");
    }
}
