//! A miniature network that makes whole bundles from a scenario: no clock, no randomness, the same bytes every time.
#![allow(clippy::unwrap_used, reason = "a test stops where it finds what cannot be")]
#![allow(dead_code, reason = "each test binary uses a part of it")]

use blst::min_sig::SecretKey;
use crypto::{
    Digest, SigningKey, hash,
    history::History,
    merkle::{self, SumNode},
    sparse::{self, Tree},
    threshold::{GroupKey, GroupSignature},
};
use protocol::{
    AccountProof, Amount, Assurance, Bundle, Canonical as _, Certificate, CertifiedRotation, Chat, EpochRecord,
    EvmAccount, EvmAddress, EvmRecord, EvmWord, Finish, Input, KeyRecord, KeyRotation, List, Message, Noun as _,
    Opening, Output, Parameters, Payer, Payment, Privacy, Quote, Receipt, ReceiptStatus, Request, Role, SignedReceipt,
    SlotProof, Speaker, Standing, Tariff, Tensor, Terms, Text, Trust, Version,
    bundle::{ReceiptInclusion, StateProof, SumStep},
    epoch::certificate_namespace,
    payment::Basis,
    price::{Money, Price, Rate, Unit, WHOLE},
    registry::{OPEN_END, node_id, state_key},
    request::{Element, StreamHead, output_commitment, prompt_commitment, request_commitment},
    rotation_namespace,
};
use protocol::{Bytes, PublicKey};

const SUITE: &[u8] = b"BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_POP_";
/// When the first epoch of every network here ended.
const START_MS: u64 = 1_790_000_000_000;

/// What happened on the network, as far as a bundle can show it; the default is a receipt that holds.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub chain_id: u64,
    pub network_seed: u8,
    pub anchoring_epoch: u64,
    pub as_of_epoch: u64,
    pub challenge_window: u32,
    pub receipts_in_epoch: u64,
    /// Records in the state that nobody asks for.
    pub other_records: u64,
    pub index: u64,
    pub standing: Standing,
    pub audits: u32,
    pub slashed: Amount,
    pub key_valid_from: u64,
    pub key_valid_until: u64,
    pub key_role: Role,
    /// What the receipt says, where that is not what the registry says.
    pub claimed_valid_from: Option<u64>,
    pub assurance: Assurance,
    /// Whether a float model gave the answer.
    pub of_floats: bool,
    pub tensors: bool,
    pub with_opening: bool,
    pub privacy: Privacy,
    pub payment: Option<Payment>,
    /// What the worker charges beyond what its receipt gives.
    pub overcharge: Amount,
    pub answered_in_ms: i64,
    /// How long before the end of its epoch the answer was finished.
    pub finished_before_ms: i64,
    /// How often the network's key was replaced; the last one signs.
    pub rotations: u8,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            chain_id: 7,
            network_seed: 1,
            anchoring_epoch: 9,
            as_of_epoch: 30,
            challenge_window: 15,
            receipts_in_epoch: 7,
            other_records: 40,
            index: 4,
            standing: Standing::Audited,
            audits: 1,
            slashed: 0,
            key_valid_from: 2,
            key_valid_until: OPEN_END,
            key_role: Role::Worker,
            claimed_valid_from: None,
            assurance: Assurance::Audited,
            of_floats: false,
            tensors: false,
            with_opening: true,
            privacy: Privacy::Private,
            payment: Some(payment()),
            overcharge: 0,
            answered_in_ms: 420,
            finished_before_ms: 300,
            rotations: 0,
        }
    }
}

pub fn digest(text: &str) -> Digest {
    hash("og/test", &[text.as_bytes()])
}

/// Ten millionths of a dollar a token of the answer, paid in dollars.
pub fn payment() -> Payment {
    let price =
        Price { unit: Unit::Usd, per_call: 0, per_input_token: WHOLE / 1_000_000, per_output_token: WHOLE / 100_000 };
    let rate = Some(Rate { usd_per_opg: WHOLE / 10, at_ms: START_MS });
    let tariff = Tariff { price, per_mille: 1_050, money: Money { unit: Unit::Usd, decimals: 6 }, rate };
    let max = Quote { amount: 700, opg: 7 * WHOLE / 1_000 };
    let terms = Terms { tariff, basis: Basis::Metered, max };
    let (asset, account) = (EvmAddress([6; 20]), EvmAddress([7; 20]));
    let payer = Payer { network: 8_453, asset, account, purse: digest("purse") };
    Payment { payer, salt: digest("payer salt"), terms }
}

pub fn worker_key() -> SigningKey {
    SigningKey::from_seed(&[11; 32])
}

pub fn gateway_key() -> PublicKey {
    SigningKey::from_seed(&[12; 32]).public_key()
}

fn texts<const MAX: usize>(text: &str) -> Text<MAX> {
    Text::new(text).unwrap()
}

impl Scenario {
    pub fn build(&self) -> (Bundle, Trust) {
        (self.bundle(), self.trust())
    }

    pub fn trust(&self) -> Trust {
        let network_key = GroupKey(self.network_secret().sk_to_pk().compress());
        Trust { version: Version, network: texts("miniature"), chain_id: self.chain_id, network_key }
    }

    fn network_secret(&self) -> SecretKey {
        self.secret(0)
    }

    /// The network's key of this number.
    fn secret(&self, serial: u8) -> SecretKey {
        SecretKey::key_gen(&[self.network_seed + 16 * serial; 32], &[]).unwrap()
    }

    /// What pins a later key of the network.
    pub fn trust_in(&self, serial: u8) -> Trust {
        Trust { network_key: GroupKey(self.secret(serial).sk_to_pk().compress()), ..self.trust() }
    }

    /// What the key before signed for this one.
    pub fn rotation(&self, serial: u8) -> CertifiedRotation {
        let key = GroupKey(self.secret(serial).sk_to_pk().compress());
        let rotation = KeyRotation { version: Version, chain_id: self.chain_id, serial: serial.into(), key };
        let namespace = rotation_namespace(self.chain_id);
        let message = [&[namespace.len() as u8], namespace.as_bytes(), &rotation.digest().0].concat();
        let signature = self.secret(serial - 1).sign(&message, SUITE, &[]);
        CertifiedRotation { rotation, signature: GroupSignature(signature.compress()) }
    }

    pub fn bundle(&self) -> Bundle {
        let opening = self.opening();
        let receipt = self.receipt(&opening);
        let leaves = self.leaves(&receipt.receipt);
        let (key, status) = (self.key(), self.status(&receipt.receipt));
        let state = self.state(&key, &status);
        let (epochs, history) = self.epochs(&leaves, &state);
        let (anchoring, as_of) = (&epochs[self.anchoring_epoch as usize], &epochs[self.as_of_epoch as usize]);
        let path = merkle::path(&leaves, self.index as usize).unwrap();
        let history_path = match self.anchoring_epoch == self.as_of_epoch {
            true => Vec::new(),
            false => history.path(self.anchoring_epoch, self.as_of_epoch).unwrap(),
        };
        let prove = |place: Digest| StateProof::new(&state.prove(&place)).unwrap();
        Bundle {
            version: Version,
            chain_id: self.chain_id,
            opening: self.with_opening.then_some(opening),
            inclusion: ReceiptInclusion {
                epoch: anchoring.clone(),
                index: self.index,
                path: List::new(path.iter().map(SumStep::from).collect()).unwrap(),
            },
            as_of: as_of.clone(),
            certificate: self.certify(as_of),
            history: List::new(history_path).unwrap(),
            key_proof: prove(state_key::signing_key(&key.key)),
            status_proof: prove(state_key::receipt(&receipt.receipt.id())),
            receipt,
            key,
            status,
            rotations: List::new((1..=self.rotations).map(|serial| self.rotation(serial)).collect()).unwrap(),
        }
    }

    /// The network's signature over any epoch record, as its validators together would make it.
    pub fn certify(&self, record: &EpochRecord) -> Certificate {
        self.certify_with(self.rotations, record)
    }

    pub fn certify_with(&self, serial: u8, record: &EpochRecord) -> Certificate {
        let namespace = certificate_namespace(record.chain_id);
        let message = [&[namespace.len() as u8], namespace.as_bytes(), &record.digest().0].concat();
        let signature = self.secret(serial).sign(&message, SUITE, &[]);
        Certificate { epoch: record.epoch, signature: GroupSignature(signature.compress()) }
    }

    fn finished_at_ms(&self) -> u64 {
        epoch_end_ms(self.anchoring_epoch).checked_add_signed(-self.finished_before_ms).unwrap()
    }

    fn request(&self) -> Request {
        let parameters = Parameters {
            max_tokens: 32,
            temperature_micros: 700_000,
            seed: 1 << 60,
            stop: List::new(vec![texts("###")]).unwrap(),
            ..Parameters::default()
        };
        let messages = vec![
            Message::say(Speaker::System, texts("Answer briefly.")),
            Message::say(Speaker::User, texts("What does an epoch commit to? ✓")),
        ];
        Request {
            version: Version,
            chain_id: self.chain_id,
            model: digest("model"),
            input: match self.tensors {
                true => Input::Tensors(List::new(vec![tensor("window", 3)]).unwrap()),
                false => Input::Chat(Chat::of(List::new(messages).unwrap())),
            },
            parameters,
            assurance: self.assurance,
            privacy: self.privacy,
            template_time_ms: START_MS,
            issued_at_ms: self.finished_at_ms() - 500,
            gateway: gateway_key(),
            parents: List::new(vec![digest("parent")]).unwrap(),
            payment: self.payment,
            nonce: digest("nonce"),
        }
    }

    pub fn opening(&self) -> Opening {
        Opening {
            request: self.request(),
            request_salt: digest("request salt"),
            prompt: List::new(if self.tensors { vec![] } else { vec![1, 17, 300, 4] }).unwrap(),
            prompt_salt: digest("prompt salt"),
            output: match self.tensors {
                true => Output::Tensors(List::new(vec![tensor("score", 1)]).unwrap()),
                false => Output::Tokens(List::new(vec![5, 6, 7]).unwrap()),
            },
            output_salt: digest("output salt"),
        }
    }

    pub fn receipt(&self, opening: &Opening) -> SignedReceipt {
        let (request, key) = (&opening.request, worker_key());
        let commitment = request_commitment(&opening.request_salt, request);
        let finished = self.finished_at_ms();
        let mut receipt = Receipt {
            version: Version,
            spec_version: u16::from(!self.of_floats),
            chain_id: self.chain_id,
            request: commitment,
            prompt: prompt_commitment(&opening.prompt_salt, &opening.prompt),
            output: output_commitment(&opening.output_salt, &opening.output),
            model: request.model,
            parameters: (&request.parameters).into(),
            template_time_ms: request.template_time_ms,
            finish: if self.tensors { Finish::Complete } else { Finish::Stop },
            prompt_tokens: opening.prompt.len() as u32,
            output_tokens: if self.tensors { 0 } else { 3 },
            stream_head: StreamHead::start(&commitment).after(&opening.output).0,
            worker: node_id(&key.public_key()),
            worker_key: key.public_key(),
            key_valid_from: self.claimed_valid_from.unwrap_or(self.key_valid_from),
            gateway: request.gateway,
            sequence: 3,
            previous: digest("previous"),
            assurance: request.assurance,
            privacy: request.privacy,
            received_at_ms: finished.checked_add_signed(-self.answered_in_ms).unwrap(),
            finished_at_ms: finished,
            parents: request.parents.clone(),
            payment: None,
            charge: 0,
            nonce: request.nonce,
        }
        .billed(request);
        receipt.charge += self.overcharge;
        receipt.sign(&key)
    }

    fn leaves(&self, receipt: &Receipt) -> Vec<SumNode> {
        let other = |place: u64| SumNode::leaf(&digest(&format!("another receipt {place}")), u128::from(place) * 1_000);
        let leaf = |place| if place == self.index { receipt.leaf() } else { other(place) };
        (0..self.receipts_in_epoch).map(leaf).collect()
    }

    fn key(&self) -> KeyRecord {
        let key = worker_key().public_key();
        let (valid_from, valid_until) = (self.key_valid_from, self.key_valid_until);
        KeyRecord { key, node: node_id(&key), role: self.key_role, valid_from, valid_until }
    }

    fn status(&self, receipt: &Receipt) -> ReceiptStatus {
        ReceiptStatus {
            receipt: receipt.id(),
            worker: receipt.worker,
            gateway: node_id(&receipt.gateway),
            epoch: self.anchoring_epoch,
            index: self.index,
            standing: self.standing,
            audits: self.audits,
            slashed: self.slashed,
        }
    }

    fn state(&self, key: &KeyRecord, status: &ReceiptStatus) -> Tree {
        let ours =
            [(state_key::signing_key(&key.key), key.encode()), (state_key::receipt(&status.receipt), status.encode())];
        tree(self.others().chain(ours))
    }

    fn others(&self) -> impl Iterator<Item = (Digest, Vec<u8>)> {
        (0..self.other_records).map(|i| (digest(&format!("account {i}")), vec![i as u8]))
    }

    /// The proof of an account, and of a slot of its storage.
    pub fn account_proof(&self, address: &EvmAddress, slot: Option<&EvmWord>) -> AccountProof {
        let accounts = tree(evm_rows());
        let number = self.as_of_epoch * 40 + 39;
        let evm = EvmRecord { number, hash: digest("block"), state_root: accounts.root() };
        let state = tree(self.others().chain([(EvmRecord::state_key(), evm.encode())]));
        let (mut epochs, _) = self.epochs(&[], &state);
        let as_of = epochs.pop().unwrap();
        let prove = |tree: &Tree, place: Digest| StateProof::new(&tree.prove(&place)).unwrap();
        let slot = slot.map(|slot| {
            let place = SlotProof::state_key(address, slot);
            let held = evm_rows().find(|(at, _)| *at == place);
            let value = held.map_or(EvmWord::ZERO, |(_, bytes)| EvmWord::decode(&bytes).unwrap());
            SlotProof { slot: *slot, value, proof: prove(&accounts, place) }
        });
        AccountProof {
            version: Version,
            address: *address,
            account: ACCOUNTS.map(account).into_iter().find(|(at, _)| at == address).map(|(_, account)| account),
            account_proof: prove(&accounts, EvmAccount::state_key(address)),
            slot,
            evm,
            evm_proof: prove(&state, EvmRecord::state_key()),
            certificate: self.certify(&as_of),
            as_of,
            rotations: List::new((1..=self.rotations).map(|serial| self.rotation(serial)).collect()).unwrap(),
        }
    }

    fn epochs(&self, leaves: &[SumNode], state: &Tree) -> (Vec<EpochRecord>, History) {
        let (mut history, mut epochs) = (History::default(), Vec::new());
        for epoch in 0..=self.as_of_epoch {
            let anchored = if epoch == self.anchoring_epoch { leaves } else { &[] };
            let receipts = merkle::root(anchored).unwrap();
            let state_root = match epoch == self.as_of_epoch {
                true => state.root(),
                false => digest(&format!("state {epoch}")),
            };
            let record = EpochRecord {
                version: Version,
                chain_id: self.chain_id,
                epoch,
                first_height: epoch * 40,
                last_height: epoch * 40 + 39,
                time_ms: epoch_end_ms(epoch),
                history_root: history.root(),
                receipts_root: receipts.digest,
                receipts_count: anchored.len() as u64,
                receipts_sum: receipts.sum,
                verdicts_root: digest(&format!("verdicts {epoch}")),
                state_root,
                challenge_window: self.challenge_window,
            };
            history.append(&record.digest());
            epochs.push(record);
        }
        (epochs, history)
    }
}

/// The accounts of every EVM here.
const ACCOUNTS: [u8; 9] = [1, 2, 3, 4, 5, 6, 7, 8, 9];

pub fn account(seed: u8) -> (EvmAddress, EvmAccount) {
    let account =
        EvmAccount { nonce: seed.into(), balance: word(1_000 * u64::from(seed)), code_hash: digest("no code") };
    (EvmAddress([seed; 20]), account)
}

pub fn word(number: u64) -> EvmWord {
    let mut word = EvmWord::ZERO;
    word.0[24..].copy_from_slice(&number.to_be_bytes());
    word
}

/// Each account, and its slot of this number that holds its own number.
fn evm_rows() -> impl Iterator<Item = (Digest, Vec<u8>)> {
    ACCOUNTS.into_iter().flat_map(|seed| {
        let (address, account) = account(seed);
        let slot = word(seed.into());
        [(EvmAccount::state_key(&address), account.encode()), (SlotProof::state_key(&address, &slot), slot.encode())]
    })
}

fn tree(rows: impl Iterator<Item = (Digest, Vec<u8>)>) -> Tree {
    rows.fold(Tree::default(), |tree, (place, bytes)| tree.with(place, Some(sparse::value_digest(&bytes))))
}

fn epoch_end_ms(epoch: u64) -> u64 {
    START_MS + epoch * 1_000
}

fn tensor(name: &str, elements: u64) -> Tensor {
    let data = (0..elements * 4).map(|byte| byte as u8).collect();
    Tensor {
        name: texts(name),
        element: Element::F32,
        shape: List::new(vec![1, elements]).unwrap(),
        data: Bytes::new(data).unwrap(),
    }
}
