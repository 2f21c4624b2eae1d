//! Which chain this is, and what the node says of itself.

use alloy_primitives::{Address, U64, keccak256};

use super::{Method, Run};
use crate::answer::{Answer, answer};
use crate::faces;
use crate::params::{Data, Params};
use crate::state::Desk;

pub(super) static METHODS: &[Method] = &[
    Method { name: "eth_chainId", run: Run::Read(chain_id) },
    Method { name: "net_version", run: Run::Read(network_id) },
    Method { name: "net_listening", run: Run::Read(listening) },
    Method { name: "net_peerCount", run: Run::Read(peers) },
    Method { name: "web3_clientVersion", run: Run::Read(version) },
    Method { name: "web3_sha3", run: Run::Read(sha3) },
    Method { name: "eth_syncing", run: Run::Read(syncing) },
    Method { name: "eth_accounts", run: Run::Read(accounts) },
];

fn chain_id(desk: &Desk, params: &mut Params) -> Answer {
    params.end()?;
    answer(&U64::from(desk.node.chain().id))
}

fn network_id(desk: &Desk, params: &mut Params) -> Answer {
    params.end()?;
    answer(&desk.node.chain().id.to_string())
}

fn listening(_: &Desk, params: &mut Params) -> Answer {
    params.end()?;
    answer(&true)
}

/// Agreement is no gossip: there are no peers that a client should count.
fn peers(_: &Desk, params: &mut Params) -> Answer {
    params.end()?;
    answer(&U64::ZERO)
}

fn version(desk: &Desk, params: &mut Params) -> Answer {
    params.end()?;
    answer(&desk.client)
}

fn sha3(_: &Desk, params: &mut Params) -> Answer {
    let data: Data = params.required("data", "bytes as 0x…")?;
    params.end()?;
    answer(&keccak256(data.0))
}

/// What is read here is final, and may be old: then this says how far it is, else false.
fn syncing(desk: &Desk, params: &mut Params) -> Answer {
    params.end()?;
    match desk.node.syncing() {
        Some(syncing) => answer(&faces::syncing(syncing)),
        None => answer(&false),
    }
}

/// The node holds no keys.
fn accounts(_: &Desk, params: &mut Params) -> Answer {
    params.end()?;
    answer::<[Address; 0]>(&[])
}
