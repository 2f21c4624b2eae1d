//! A small network and its workers' receipts, for tests and measurements: the same for ever.
#![allow(dead_code, reason = "each test and each measurement uses its own part")]

use crypto::{Digest, SigningKey};
use ledger::{Block, FirstTrust, Genesis, GenesisModel, GenesisNode, OPG, Rules};
use protocol::{
    Action, Assurance, Canonical as _, Finish, List, Parameters, Privacy, PublicKey, Receipt, Role, SignedReceipt,
    Text, Transaction, Version, registry::node_id, transaction::PostReceipts,
};

pub(crate) const CHAIN: u64 = 1;
pub(crate) const START_MS: u64 = 1_700_000_000_000;

/// The first so many blocks, each in an epoch of its own: none, three or seventy receipts in turns.
pub(crate) fn blocks(count: u64) -> Vec<Block> {
    let (gateway, mut nonce) = (key(Role::Gateway, 0), 0);
    let mut worker = Chain::new(key(Role::Worker, 0), gateway.public_key());
    let block = |height: u64| {
        let time_ms = START_MS + 1_000 * height;
        let receipts: Vec<_> = (0..[0, 3, 70][height as usize % 3]).map(|_| worker.next(time_ms)).collect();
        let mut transactions = Vec::new();
        if !receipts.is_empty() {
            transactions.push(posted(&gateway, nonce, receipts));
            nonce += 1;
        }
        Block { height, time_ms, proposer: key(Role::Validator, 0).public_key(), transactions }
    };
    (1..=count).map(block).collect()
}

pub(crate) fn key(role: Role, number: u8) -> SigningKey {
    SigningKey::from_seed(&crypto::hash("og/test", &[role.word().as_bytes(), &[number]]).0)
}

fn model() -> Digest {
    crypto::hash("og/test/model", &[])
}

/// A validator, a gateway and a worker.
pub(crate) fn genesis() -> Genesis {
    genesis_of(START_MS, &[(Role::Validator, 1), (Role::Gateway, 1), (Role::Worker, 1)])
}

/// So many nodes of each role; the workers serve one model.
pub(crate) fn genesis_of(time_ms: u64, roles: &[(Role, u8)]) -> Genesis {
    let listed = |role: Role, number: u8| GenesisNode {
        role,
        key: key(role, number).public_key(),
        operator: key(role, number).public_key(),
        endpoint: Text::new("http://127.0.0.1:1").unwrap(),
        stake: 20_000 * OPG,
        models: List::new(if role == Role::Worker { vec![model()] } else { Vec::new() }).unwrap(),
    };
    let nodes = roles.iter().flat_map(|(role, count)| (0..*count).map(|number| listed(*role, number)));
    let publisher = key(Role::Gateway, 0).public_key();
    let published = GenesisModel { root: model(), name: Text::new("test").unwrap(), publisher, float_manifest: None };
    Genesis {
        version: Version,
        chain_id: CHAIN,
        time_ms,
        accounts: List::default(),
        nodes: List::new(nodes.collect()).unwrap(),
        wallets: List::default(),
        allocations: List::default(),
        models: List::new(vec![published]).unwrap(),
        reward_pool: 0,
        bridged: 0,
        rules: Rules::default(),
        parameters: List::default(),
        trust: FirstTrust::default(),
    }
}

/// Receipts as a gateway posts them.
pub(crate) fn posted(gateway: &SigningKey, nonce: u64, receipts: Vec<SignedReceipt>) -> Vec<u8> {
    let action = Action::PostReceipts(PostReceipts { receipts: List::new(receipts).unwrap() });
    let transaction = Transaction { version: Version, chain_id: CHAIN, sender: gateway.public_key(), nonce, action };
    transaction.sign(gateway).encode()
}

/// Receipts of one worker, each naming the one before.
pub(crate) struct Chain {
    worker: SigningKey,
    gateway: PublicKey,
    sequence: u64,
    previous: Digest,
}

impl Chain {
    pub fn new(worker: SigningKey, gateway: PublicKey) -> Self {
        Self { worker, gateway, sequence: 0, previous: Digest::ZERO }
    }

    pub fn next(&mut self, time_ms: u64) -> SignedReceipt {
        let worker_key = self.worker.public_key();
        let own = |domain| crypto::hash(domain, &[&worker_key.0, &self.sequence.to_be_bytes()]);
        let receipt = Receipt {
            version: Version,
            spec_version: 1,
            chain_id: CHAIN,
            request: own("og/test/request"),
            prompt: own("og/test/prompt"),
            output: own("og/test/output"),
            model: model(),
            parameters: (&Parameters::default()).into(),
            template_time_ms: 0,
            finish: Finish::Stop,
            prompt_tokens: 3,
            output_tokens: 2,
            stream_head: own("og/test/stream"),
            worker: node_id(&worker_key),
            worker_key,
            key_valid_from: 0,
            gateway: self.gateway,
            sequence: self.sequence,
            previous: self.previous,
            assurance: Assurance::Audited,
            privacy: Privacy::Private,
            received_at_ms: time_ms,
            finished_at_ms: time_ms,
            parents: List::default(),
            payment: None,
            charge: 0,
            nonce: own("og/test/nonce"),
        };
        (self.sequence, self.previous) = (self.sequence + 1, receipt.id());
        receipt.sign(&self.worker)
    }
}
