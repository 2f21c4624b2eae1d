//! Signed transactions, handed to the chain.

use std::sync::Arc;

use alloy_primitives::Bytes;
use evm::{TRANSACTION_BYTES_MAX, Transaction};
use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::{Method, Run};
use crate::answer::{Answer, answer};
use crate::error::RpcError;
use crate::node::{ChainNode, SubmitError};
use crate::params::{Data, Params};
use crate::state::Desk;

pub(super) static METHODS: &[Method] = &[
    Method { name: "eth_sendRawTransaction", run: Run::Wait(send) },
    Method { name: "eth_sendTransaction", run: Run::Wait(send_unsigned) },
];

fn send(desk: Arc<Desk>, params: Params) -> BoxFuture<'static, Answer> {
    sent(desk, params).boxed()
}

async fn sent(desk: Arc<Desk>, mut params: Params) -> Answer {
    let raw: Data = params.required("transaction", "a signed transaction as 0x…")?;
    params.end()?;
    let raw = Bytes::from(raw.0);
    let node = Arc::clone(&desk.node);
    // Recovering a sender takes long enough to be in the way of other requests.
    let read = tokio::task::spawn_blocking(move || read(node.as_ref(), &raw)).await;
    let read = read.map_err(|_| RpcError::internal("reading the transaction failed: this is a defect of the node"))?;
    let transaction = read?;
    let hash = transaction.hash();
    desk.node.submit(transaction).await?;
    answer(&hash)
}

/// What waits already is not recovered again: its hash costs a hundredth of that. That it is known is the chain's to say, which may have
/// to write it down first.
fn read(node: &dyn ChainNode, raw: &[u8]) -> Result<Transaction, SubmitError> {
    let known = if raw.len() <= TRANSACTION_BYTES_MAX { node.waiting(&evm::hash_of(raw)) } else { None };
    match known {
        Some(known) => Ok(known.as_ref().clone()),
        None => Ok(Transaction::decode(raw, node.chain())?),
    }
}

fn send_unsigned(_: Arc<Desk>, _: Params) -> BoxFuture<'static, Answer> {
    let error = RpcError::server("unknown account: this node holds no keys; sign and use eth_sendRawTransaction");
    futures::future::ready(Err(error)).boxed()
}
