//! `og pay URL`: asks a server, and pays what it asks for by x402 where the key's limits allow it.
//!
//! Nothing is signed before the most that it can cost was compared with the limits and written down as spent.

mod choice;
mod error;
pub mod refund;
mod request;
mod session;
mod sign;
pub mod token;
mod told;
pub mod wallet;
pub mod withdraw;

use std::process::ExitCode;

use anyhow::Result;
use network::{Answer, axum::http::StatusCode, now_ms};
use payments::{
    payer::{ASKED_BYTES_MAX, Asked},
    signing::session::SESSION_SIGNATURE,
    wire::header as wire,
};

use self::{
    choice::{Wanted, choose, look},
    error::PayError,
    request::Call,
    wallet::Wallet,
};
use crate::{
    cli::{self, Common},
    remote::Remote,
    spending::{Book, Spending},
};

/// The word for a payment that was not made, on which an agent branches.
pub fn word(error: &anyhow::Error) -> Option<&'static str> {
    error.chain().find_map(|cause| cause.downcast_ref::<PayError>()).map(PayError::code)
}

pub async fn run(remote: &Remote, common: &Common, options: &cli::Pay) -> Result<ExitCode> {
    let wallet = Wallet::open(&remote.home, &remote.client, &options.key, options.rpc.as_deref())?;
    let (call, resource) = (Call::read(options, &remote.gateway)?, |call: &Call| call.resource());
    let session = session::drawn(&Book::read(&remote.home)?, &wallet, &resource(&call), options)?;
    let signed = session.as_ref().and_then(|session| call.signed_for(session, &wallet));
    let mut headers: Vec<_> = session.iter().map(|session| (wire::SESSION, session.token.as_str())).collect();
    headers.extend(signed.iter().map(|signed| (SESSION_SIGNATURE, signed.as_str())));
    let first = call.send(&remote.client, &headers).await?;
    if first.status != StatusCode::PAYMENT_REQUIRED {
        // What a session pays for is paid by its key.
        let paid_by = session.as_ref().map(|_| wallet.address());
        return told::answer(common, &call, first, None, paid_by).await;
    }
    if session.is_some() {
        Spending::open(&remote.home)?.keep_session(wallet.address(), &resource(&call), None)?;
    }
    let asked = asked(first, &call.url).await?.0;
    let token = options.token.as_deref().map(token::named).transpose()?;
    let wanted = Wanted {
        scheme: options.scheme.as_deref(),
        token: token.as_ref(),
        max: options.max.as_deref(),
        deposit: options.deposit.as_deref(),
        now_s: now_ms() / 1_000,
    };
    let offered = look(&asked, &wallet, &wanted, &Book::read(&remote.home)?).await?;
    if options.dry_run {
        told::offers(common, &call.url, &wallet, &offered);
        return Ok(ExitCode::SUCCESS);
    }
    let (terms, fit) = choose(offered)?;
    let max = options.max.as_deref().map(|text| token::read(text, &fit.token)).transpose()?;
    let paying = sign::Paying { remote, wallet: &wallet, call: &call, asked: &asked, terms, max };
    let (answer, paid) = paying.send(fit).await?;
    told::answer(common, &call, answer, Some(paid), Some(wallet.address())).await
}

/// What a 402 asks for, and the server's own words for why.
async fn asked(answer: Answer, url: &str) -> Result<(Asked, String)> {
    let headers = answer.headers.clone();
    let values: Vec<&[u8]> = headers.get_all(wire::REQUIRED).iter().map(|value| value.as_bytes()).collect();
    let body = answer.body.whole(ASKED_BYTES_MAX).await?;
    let asked = Asked::read(&values, &body, url).map_err(|error| PayError::Unreadable(error.to_string()))?;
    let reason = reason(&body, asked.required.error.as_deref());
    Ok((asked, reason))
}

/// A server's words for a refusal, short and printable.
fn reason(body: &[u8], error: Option<&str>) -> String {
    let body: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let message =
        [&body["error"]["message"], &body["error"], &body["message"]].into_iter().find_map(|text| text.as_str());
    let said = match (error, message) {
        (Some(error), Some(message)) if error != message => format!("{message} ({error})"),
        (Some(text), _) | (None, Some(text)) => text.to_owned(),
        (None, None) => "it gave no reason".to_owned(),
    };
    said.chars().filter(|c| !c.is_control()).take(400).collect()
}
