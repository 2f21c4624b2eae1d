//! A small history for tests: blocks of one gateway's and one worker's receipts, the same for ever.

use crypto::{Digest, SigningKey};
use ledger::{Block, Genesis, GenesisModel, GenesisNode, OPG, Rules};
use protocol::{
    Action, Assurance, Canonical as _, Finish, List, Parameters, Privacy, Receipt, Role, SignedReceipt, Text,
    Transaction, Version, registry::node_id, transaction::PostReceipts,
};

const START_MS: u64 = 1_700_000_000_000;

/// The first so many blocks, each in an epoch of its own: none, three or seventy receipts in turns.
pub(crate) fn blocks(count: u64) -> Vec<Block> {
    let (mut sequence, mut previous, mut nonce, gateway) = (0, Digest::ZERO, 0, key(Role::Gateway));
    let block = |height: u64| {
        let time_ms = START_MS + 1_000 * height;
        let receipts: Vec<_> = (0..[0, 3, 70][height as usize % 3])
            .map(|_| {
                let signed = receipt(sequence, previous, time_ms);
                (sequence, previous) = (sequence + 1, signed.receipt.id());
                signed
            })
            .collect();
        let mut transactions = Vec::new();
        if !receipts.is_empty() {
            let action = Action::PostReceipts(PostReceipts { receipts: List::new(receipts).unwrap() });
            let unsigned = Transaction { version: Version, chain_id: 1, sender: gateway.public_key(), nonce, action };
            transactions.push(unsigned.sign(&gateway).encode());
            nonce += 1;
        }
        Block { height, time_ms, proposer: key(Role::Validator).public_key(), transactions }
    };
    (1..=count).map(block).collect()
}

fn key(role: Role) -> SigningKey {
    SigningKey::from_seed(&crypto::hash("og/test", &[role.word().as_bytes()]).0)
}

fn model() -> Digest {
    crypto::hash("og/test/model", &[])
}

pub(crate) fn genesis() -> Genesis {
    let listed = |role: Role| GenesisNode {
        role,
        key: key(role).public_key(),
        operator: key(role).public_key(),
        endpoint: Text::new("http://127.0.0.1:1").unwrap(),
        stake: 20_000 * OPG,
        models: List::new(if role == Role::Worker { vec![model()] } else { Vec::new() }).unwrap(),
    };
    let publisher = key(Role::Gateway).public_key();
    let published = GenesisModel { root: model(), name: Text::new("test").unwrap(), publisher, float_manifest: None };
    Genesis {
        version: Version,
        chain_id: 1,
        time_ms: START_MS,
        accounts: List::default(),
        nodes: List::new([Role::Validator, Role::Gateway, Role::Worker].map(listed).to_vec()).unwrap(),
        wallets: List::default(),
        allocations: List::default(),
        models: List::new(vec![published]).unwrap(),
        reward_pool: 0,
        bridged: 0,
        rules: Rules::default(),
        parameters: List::default(),
    }
}

fn receipt(sequence: u64, previous: Digest, time_ms: u64) -> SignedReceipt {
    let own = |domain| crypto::hash(domain, &[&sequence.to_be_bytes()]);
    let worker_key = key(Role::Worker).public_key();
    let receipt = Receipt {
        version: Version,
        spec_version: 1,
        chain_id: 1,
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
        gateway: key(Role::Gateway).public_key(),
        sequence,
        previous,
        assurance: Assurance::Audited,
        privacy: Privacy::Private,
        received_at_ms: time_ms,
        finished_at_ms: time_ms,
        parents: List::default(),
        payment: None,
        charge: 0,
        nonce: own("og/test/nonce"),
    };
    receipt.sign(&key(Role::Worker))
}
