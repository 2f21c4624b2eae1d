//! A small network to tell stories in: four validators, two workers, a gateway, two auditors, one model.

use std::{collections::BTreeMap, sync::Arc};

use crate::wallets::{FOUNDATION, WALLET, wallet};
use alloy_primitives::{Address, U256};
use alloy_sol_types::SolCall;
use crypto::{Digest, PublicKey, SigningKey};
use evm::modules::{parameters::Parameter, staking};
use ledger::{
    Block, Event, Executed, FirstTrust, Genesis, GenesisAccount, GenesisAllocation, GenesisModel, GenesisNode,
    GenesisParameter, GenesisWallet, Heading, LOCKED, Ledger, OPG, Ordered, Refusal, RestoreError, Rules,
};
use protocol::{
    Action, Assurance, Bytes, Canonical as _, Chat, EpochRecord, EvmAddress, Finish, Input, List, Message, NodeId,
    Opening, Output, Parameters, Payer, Payment, Privacy, Quote, Receipt, Request, Role, SignedReceipt,
    SignedTransaction, Speaker, Tariff, Terms, Text, Transaction, Version,
    payment::Basis,
    price::{Money, Price, Unit},
    registry::node_id,
    request::{StreamHead, output_commitment, prompt_commitment, request_commitment},
    transaction::{Call, Challenge, PostReceipts, ReportAudit, Respond, Vote},
};

pub const CHAIN: u64 = 7;
pub const START_MS: u64 = 1_700_000_000_000;
pub const ALICE: u8 = 1;
pub const BOB: u8 = 2;
pub const VALIDATORS: [u8; 4] = [10, 11, 12, 13];
pub const WORKER: u8 = 30;
pub const OTHER_WORKER: u8 = 31;
pub const GATEWAY: u8 = 50;
pub const AUDITOR: u8 = 60;
pub const OTHER_AUDITOR: u8 = 61;
/// An auditor of the same operator as the worker.
pub const OWN_AUDITOR: u8 = 62;
pub const STAKE: u128 = 20_000 * OPG;

pub fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32])
}

pub fn public(seed: u8) -> PublicKey {
    key(seed).public_key()
}

pub fn node(seed: u8) -> NodeId {
    node_id(&public(seed))
}

/// The account that registered a node of the genesis.
pub fn operator(seed: u8) -> PublicKey {
    public(if seed == OWN_AUDITOR { WORKER + 100 } else { seed + 100 })
}

/// A ledger from its bytes, beside the state that `ledger` has of its newest closed epoch.
pub fn restored(bytes: &[u8], ledger: &Ledger) -> Result<Ledger, RestoreError> {
    let snapshot = ledger.snapshot().unwrap();
    Ledger::restore(bytes, snapshot.world().clone(), snapshot.kept().clone())
}

pub fn model() -> Digest {
    crypto::hash("og/test/model", &[])
}

pub fn genesis(rules: Rules) -> Genesis {
    let account = |seed, balance| GenesisAccount { key: public(seed), balance };
    let listed = |role, seed: u8| GenesisNode {
        role,
        key: public(seed),
        operator: operator(seed),
        endpoint: Text::new(format!("http://127.0.0.1:{}", 9_000 + u16::from(seed))).unwrap(),
        stake: STAKE,
        models: List::new(if role == Role::Worker { vec![model()] } else { vec![] }).unwrap(),
    };
    let mut nodes: Vec<_> = VALIDATORS.iter().map(|seed| listed(Role::Validator, *seed)).collect();
    nodes.extend([WORKER, OTHER_WORKER].map(|seed| listed(Role::Worker, seed)));
    nodes.push(listed(Role::Gateway, GATEWAY));
    nodes.extend([AUDITOR, OTHER_AUDITOR, OWN_AUDITOR].map(|seed| listed(Role::Auditor, seed)));
    let published = GenesisModel {
        root: model(),
        name: Text::new("demo").unwrap(),
        publisher: public(ALICE),
        float_manifest: None,
    };
    Genesis {
        version: Version,
        chain_id: CHAIN,
        time_ms: START_MS,
        accounts: List::new(vec![account(ALICE, 1_000_000 * OPG), account(BOB, 100_000 * OPG)]).unwrap(),
        nodes: List::new(nodes).unwrap(),
        wallets: List::new(vec![GenesisWallet { address: wallet(WALLET), balance: 1_000 * OPG }]).unwrap(),
        allocations: List::new(vec![allocation()]).unwrap(),
        models: List::new(vec![published]).unwrap(),
        reward_pool: 1_000 * OPG,
        parameters: List::default(),
        bridged: 500 * OPG,
        rules,
        trust: FirstTrust::default(),
    }
}

/// The same network with other governed numbers.
pub fn governed(rules: Rules, parameters: &[(&Parameter, u128)]) -> Genesis {
    let set = |(parameter, value): &(&Parameter, u128)| GenesisParameter {
        name: Text::new(parameter.name).unwrap(),
        value: *value,
    };
    Genesis { parameters: List::new(parameters.iter().map(set).collect()).unwrap(), ..genesis(rules) }
}

/// A tenth at once, nothing more for two seconds, the rest within four.
pub fn allocation() -> GenesisAllocation {
    GenesisAllocation {
        name: Text::new("foundation").unwrap(),
        beneficiary: wallet(FOUNDATION),
        amount: 10_000 * OPG,
        first_share: 100_000,
        cliff_ms: 2_000,
        length_ms: 4_000,
    }
}

#[derive(Clone)]
pub struct World {
    pub ledger: Ledger,
    pub time_ms: u64,
    /// Every block, to be executed again elsewhere.
    pub blocks: Vec<Block>,
    /// The newest block of the EVM.
    pub newest: Option<Arc<evm::Block>>,
    /// Each worker's newest receipt and next sequence number.
    pub chains: BTreeMap<u8, (u64, Digest)>,
}

impl World {
    pub fn new() -> Self {
        Self::with(Rules::default())
    }

    pub fn with(rules: Rules) -> Self {
        Self::of(&genesis(rules))
    }

    /// A network whose governed numbers are others than the table's.
    pub fn governed(rules: Rules, parameters: &[(&Parameter, u128)]) -> Self {
        Self::of(&governed(rules, parameters))
    }

    pub fn of(genesis: &Genesis) -> Self {
        let ledger = Ledger::new(genesis).unwrap();
        Self { ledger, time_ms: START_MS, blocks: Vec::new(), newest: None, chains: BTreeMap::new() }
    }

    /// Executes a block of raw transactions at the present time.
    pub fn raw_block(&mut self, transactions: Vec<Vec<u8>>) -> Executed {
        let proposer = public(VALIDATORS[0]);
        self.raw_block_by(proposer, transactions)
    }

    /// The same by another proposer.
    pub fn raw_block_by(&mut self, proposer: PublicKey, transactions: Vec<Vec<u8>>) -> Executed {
        let block = Block { height: self.ledger.height() + 1, time_ms: self.time_ms, proposer, transactions };
        let chain = self.ledger.chain();
        let read = block.transactions.iter().map(|bytes| Ordered::read(bytes, &chain)).collect();
        let heading = Heading { height: block.height, time_ms: block.time_ms, proposer };
        let ran = self.ledger.begin(heading, read).unwrap().unwrap().run();
        self.newest = ran.block().cloned();
        let executed = self.ledger.finish(ran);
        assert_eq!(self.ledger.money(), Some(self.ledger.network().supply), "money came or went");
        assert_eq!(self.ledger.balance(&LOCKED), self.ledger.locked(), "what is locked is not what the records say");
        let (module, world) = (EvmAddress(staking::ADDRESS.into_array()), &self.ledger.evm().world);
        let spoken_for = staking::spoken_for(world).unwrap();
        assert!(U256::from(self.ledger.balance(&module)) >= spoken_for, "the staking module owes more than it has");
        self.blocks.push(block);
        executed
    }

    pub fn block(&mut self, transactions: &[SignedTransaction]) -> Executed {
        self.raw_block(transactions.iter().map(|signed| signed.encode()).collect())
    }

    pub fn signed(&self, seed: u8, action: Action) -> SignedTransaction {
        let nonce = self.ledger.account(&public(seed)).nonce;
        self.signed_with(seed, nonce, action)
    }

    pub fn signed_with(&self, seed: u8, nonce: u64, action: Action) -> SignedTransaction {
        let sender = public(seed);
        Transaction { version: Version, chain_id: CHAIN, sender, nonce, action }.sign(&key(seed))
    }

    /// A block with one transaction: what became of it, and the events.
    pub fn tell(&mut self, seed: u8, action: Action) -> (Result<(), Refusal>, Vec<Event>) {
        let signed = self.signed(seed, action);
        let executed = self.block(&[signed]);
        (executed.outcomes[0].result.clone(), executed.events)
    }

    pub fn send(&mut self, seed: u8, action: Action) -> Result<(), Refusal> {
        self.tell(seed, action).0
    }

    /// Closes the open epoch with an empty block of the next second.
    pub fn next_epoch(&mut self) -> EpochRecord {
        self.time_ms += 1_000;
        self.raw_block(vec![]).closed.unwrap()
    }

    pub fn epochs(&mut self, count: u64) {
        for _ in 0..count {
            self.next_epoch();
        }
    }

    /// The next receipt of a worker's chain.
    pub fn answer(&mut self, worker: u8) -> Answer {
        let (sequence, previous) = self.chains.get(&worker).copied().unwrap_or((0, Digest::ZERO));
        let answer = Answer::new(worker, sequence, previous, self.time_ms);
        self.chains.insert(worker, (sequence + 1, answer.id()));
        answer
    }

    /// The next receipt of a worker's chain, anchored.
    pub fn anchored(&mut self, worker: u8) -> Answer {
        let answer = self.answer(worker);
        self.send(GATEWAY, post([&answer.signed])).unwrap();
        assert!(self.ledger.status(&answer.id()).is_some(), "the receipt was refused");
        answer
    }

    /// An anchored receipt with a challenge that shows its opening.
    pub fn challenged(&mut self) -> Answer {
        let answer = self.anchored(WORKER);
        self.send(AUDITOR, challenge(&answer, true)).unwrap();
        answer
    }

    /// Posts one receipt and gives what the ledger said about it.
    pub fn posting(&mut self, signed: &SignedReceipt) -> Result<(), Refusal> {
        let (result, events) = self.tell(GATEWAY, post([signed]));
        result.unwrap();
        let mut refusals = events.into_iter().filter_map(|event| match event {
            Event::ReceiptRefused { refusal, .. } => Some(refusal),
            _ => None,
        });
        refusals.next_back().map_or(Ok(()), Err)
    }

    pub fn stake(&self, seed: u8) -> u128 {
        self.ledger.node(&node(seed)).unwrap().stake
    }

    /// What a node has put up.
    pub fn bonds(&self, seed: u8) -> u128 {
        self.ledger.staked(&node(seed)).unwrap().bonds
    }

    /// What nodes can still be rewarded from.
    pub fn reward_pool(&self) -> u128 {
        staking::reward_pool(&self.ledger.evm().world).unwrap()
    }
}

/// What a worker made for one request.
#[derive(Clone)]
pub struct Answer {
    pub signed: SignedReceipt,
    pub opening: Opening,
}

impl Answer {
    pub fn new(worker: u8, sequence: u64, previous: Digest, time_ms: u64) -> Self {
        let request = request(worker, sequence, time_ms);
        let salt = |what: &'static [u8]| crypto::hash("og/test/salt", &[&[worker], &sequence.to_be_bytes(), what]);
        let opening = Opening {
            request,
            request_salt: salt(b"request"),
            prompt: List::new(vec![1, 2, 3]).unwrap(),
            prompt_salt: salt(b"prompt"),
            output: Output::Tokens(List::new(vec![4, 5]).unwrap()),
            output_salt: salt(b"output"),
        };
        let signed = receipt(&opening, worker, sequence, previous, time_ms).sign(&key(worker));
        Self { signed, opening }
    }

    pub fn id(&self) -> Digest {
        self.signed.receipt.id()
    }

    /// The same receipt, changed and signed again.
    pub fn changed(&self, signer: u8, change: impl FnOnce(&mut Receipt)) -> SignedReceipt {
        let mut receipt = self.signed.receipt.clone();
        change(&mut receipt);
        receipt.sign(&key(signer))
    }
}

fn request(worker: u8, sequence: u64, time_ms: u64) -> Request {
    let content = Text::new("What is an epoch?").unwrap();
    Request {
        version: Version,
        chain_id: CHAIN,
        model: model(),
        input: Input::Chat(Chat::of(List::new(vec![Message::say(Speaker::User, content)]).unwrap())),
        parameters: Parameters::default(),
        assurance: Assurance::Audited,
        privacy: Privacy::Private,
        template_time_ms: 0,
        issued_at_ms: time_ms,
        gateway: public(GATEWAY),
        parents: List::default(),
        payment: Some(payment(u128::from(sequence))),
        nonce: crypto::hash("og/test/nonce", &[&[worker], &sequence.to_be_bytes()]),
    }
}

fn receipt(opening: &Opening, worker: u8, sequence: u64, previous: Digest, time_ms: u64) -> Receipt {
    let request = &opening.request;
    let commitment = request_commitment(&opening.request_salt, request);
    Receipt {
        version: Version,
        spec_version: 1,
        chain_id: request.chain_id,
        request: commitment,
        prompt: prompt_commitment(&opening.prompt_salt, &opening.prompt),
        output: output_commitment(&opening.output_salt, &opening.output),
        model: request.model,
        parameters: (&request.parameters).into(),
        template_time_ms: request.template_time_ms,
        finish: Finish::Stop,
        prompt_tokens: 3,
        output_tokens: 2,
        stream_head: StreamHead::start(&commitment).after(&opening.output).0,
        worker: node(worker),
        worker_key: public(worker),
        key_valid_from: 0,
        gateway: request.gateway,
        sequence,
        previous,
        assurance: request.assurance,
        privacy: request.privacy,
        received_at_ms: time_ms,
        finished_at_ms: time_ms,
        parents: request.parents.clone(),
        payment: None,
        charge: 0,
        nonce: request.nonce,
    }
    .billed(request)
}

/// A payment that charges so much OPG, whatever is used.
pub fn payment(opg: u128) -> Payment {
    let payer = Payer { network: 8_453, asset: EvmAddress([1; 20]), account: EvmAddress([2; 20]), purse: Digest::ZERO };
    let money = Money { unit: Unit::Opg, decimals: 18 };
    let tariff = Tariff { price: Price::FREE, per_mille: 1_000, money, rate: None };
    let terms = Terms { tariff, basis: Basis::Whole, max: Quote { amount: opg, opg } };
    Payment { payer, salt: Digest::ZERO, terms }
}

/// The receipt with another charge, by terms that say the same.
pub fn charging(receipt: &mut Receipt, opg: u128) {
    let (paid, charge) = payment(opg).paid(receipt.privacy, receipt.usage());
    (receipt.payment, receipt.charge) = (Some(paid), charge);
}

/// A native call of a module.
pub fn module_call(module: Address, value: u128, call: &impl SolCall) -> Action {
    let (module, input) = (EvmAddress(module.into_array()), Bytes::new(call.abi_encode()).unwrap());
    Action::Call(Call { module, value, input })
}

/// What a wallet reads of a module.
pub fn asked<C: SolCall>(world: &World, module: Address, call: &C) -> C::Return {
    let (head, chain) = (world.ledger.evm(), world.ledger.chain());
    let snapshot = evm::Snapshot { chain: &chain, state: &head.world, header: head.header.inner() };
    let request = alloy_rpc_types_eth::TransactionRequest {
        to: Some(module.into()),
        input: alloy_rpc_types_eth::TransactionInput::new(call.abi_encode().into()),
        ..Default::default()
    };
    let bounds = evm::Bounds { gas: 30_000_000, wanted: &|| true };
    let returned = evm::call(&snapshot, &request, &evm::Overrides::default(), &bounds).unwrap();
    C::abi_decode_returns(&returned.output).unwrap()
}

pub fn post<'a>(receipts: impl IntoIterator<Item = &'a SignedReceipt>) -> Action {
    Action::PostReceipts(PostReceipts { receipts: List::new(receipts.into_iter().cloned().collect()).unwrap() })
}

pub fn challenge(answer: &Answer, open: bool) -> Action {
    Action::Challenge(Challenge { receipt: answer.id(), opening: open.then(|| answer.opening.clone()) })
}

pub fn respond(answer: &Answer) -> Action {
    Action::Respond(Respond { receipt: answer.id(), opening: answer.opening.clone() })
}

pub fn vote(answer: &Answer, refuted: bool) -> Action {
    Action::Vote(Vote { receipt: answer.id(), refuted })
}

pub fn report(answer: &Answer) -> Action {
    Action::ReportAudit(ReportAudit { receipt: answer.id() })
}
