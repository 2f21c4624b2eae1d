//! Payments that somebody else had settled: what a chain is asked about a nonce that it says is used.
//!
//! Whoever signs payments may show any of them beside any transfer of its own: that a transaction moved as much, and has a payment's
//! signature somewhere in its calldata, says nothing. What counts is the nonce: a token, or Permit2, takes it once, and only what it was
//! taken for is the payment's settlement. So no transfer settles two payments.

use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_sol_types::{SolCall as _, SolEvent as _};
use contracts::abi::{IExactPermit2Proxy, IToken, IUptoPermit2Proxy};

use crate::{
    books::PurseRecord,
    chain::settle::SettleError,
    price,
    scheme::{Method, Question, Scheme},
    signing::permit2::{EXACT_PROXY, UPTO_PROXY},
    wire::{
        Network, PermitAuthorization, TransferAuthorization,
        json::{self, Object},
    },
};

/// `Transfer(address,address,uint256)` of every token.
const TRANSFER: B256 = IToken::Transfer::SIGNATURE_HASH;
/// `AuthorizationUsed(address,bytes32)` of those that take EIP-3009.
const AUTHORIZATION_USED: B256 = IToken::AuthorizationUsed::SIGNATURE_HASH;

/// What a contract logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    pub address: Address,
    pub topics: Vec<B256>,
    pub data: Bytes,
}

/// A transaction that succeeded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    pub to: Option<Address>,
    pub input: Bytes,
    /// All of them, in their order.
    pub logs: Vec<Log>,
}

/// What a purse's payer signed, as its chain can be asked about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    pub question: Question,
    pub scheme: Scheme,
    pub payee: Address,
    /// What its settlement moves: what was charged, and by `exact` all of it, whatever was.
    pub amount: u128,
}

impl Signature {
    /// Of a payment; channels have none that is used up.
    pub fn of(purse: &PurseRecord, network: Network) -> Result<Self, SettleError> {
        if purse.scheme == Scheme::Batch {
            return Err(SettleError::Channel);
        }
        let proof = json::parse(&purse.proof)?;
        let object = Object::new("proof", &proof);
        let nonce = match purse.method {
            Method::Transfer => TransferAuthorization::read(object.object("authorization")?)?.nonce,
            Method::Permit2 => B256::from(PermitAuthorization::read(object.object("permit2Authorization")?)?.nonce),
        };
        let (asset, payer, method) = (price::address(&purse.asset), price::address(&purse.payer), purse.method);
        let question = Question { network, asset, payer, method, nonce, contract_signature: None };
        let amount = if purse.scheme == Scheme::Exact { purse.cap } else { purse.spent };
        Ok(Self { question, scheme: purse.scheme, payee: price::address(&purse.payee), amount })
    }

    /// Topics of a log that its settlement leaves: that its nonce is used, where its token says so; else the transfer from payer to payee.
    pub fn topics(&self) -> [B256; 3] {
        let payer = self.question.payer.into_word();
        match self.question.method {
            Method::Transfer => [AUTHORIZATION_USED, payer, self.question.nonce],
            Method::Permit2 => [TRANSFER, payer, self.payee.into_word()],
        }
    }

    /// Whether it may be in the settlement that this was logged.
    pub fn is_mark(&self, log: &Log) -> bool {
        match self.question.method {
            Method::Transfer => self.is_from_token(log, self.topics()),
            Method::Permit2 => self.is_transfer(log),
        }
    }

    /// Whether a transaction was this payment's settlement, and no other's.
    pub fn is_settled_by(&self, done: &Done) -> bool {
        match self.question.method {
            // A token moves what an authorisation is for right after it has marked its nonce, and logs nothing between the two.
            Method::Transfer => done
                .logs
                .windows(2)
                .any(|pair| matches!(pair, [used, moved] if self.is_mark(used) && self.is_transfer(moved))),
            // Permit2 logs no nonce: that it was this one is known of who calls x402's proxy itself. What others call it with is not told.
            Method::Permit2 => {
                done.logs.iter().any(|log| self.is_transfer(log)) && self.is_taken_by(done.to, &done.input)
            }
        }
    }

    fn is_from_token(&self, log: &Log, topics: [B256; 3]) -> bool {
        log.address == self.question.asset && log.topics == topics
    }

    fn is_transfer(&self, log: &Log) -> bool {
        let topics = [TRANSFER, self.question.payer.into_word(), self.payee.into_word()];
        self.is_from_token(log, topics) && U256::try_from_be_slice(&log.data) == Some(U256::from(self.amount))
    }

    /// Whether x402's proxy was called to take this payment.
    fn is_taken_by(&self, to: Option<Address>, input: &[u8]) -> bool {
        let taken = match self.scheme {
            Scheme::Exact if to == Some(EXACT_PROXY) => taken_by_exact(input),
            Scheme::Upto if to == Some(UPTO_PROXY) => taken_by_upto(input),
            Scheme::Exact | Scheme::Upto | Scheme::Batch => None,
        };
        let Question { asset, payer, nonce, .. } = &self.question;
        let (payer, nonce, payee) = (*payer, U256::from_be_bytes(nonce.0), self.payee);
        taken == Some(Taken { payer, nonce, token: *asset, payee, amount: U256::from(self.amount) })
    }
}

/// What a proxy is called to take.
#[derive(PartialEq, Eq)]
struct Taken {
    payer: Address,
    nonce: U256,
    token: Address,
    payee: Address,
    amount: U256,
}

fn taken_by_exact(input: &[u8]) -> Option<Taken> {
    let plain = IExactPermit2Proxy::settleCall::abi_decode(input).map(|call| (call.permit, call.owner, call.witness));
    let call = plain.or_else(|_| {
        IExactPermit2Proxy::settleWithPermitCall::abi_decode(input).map(|call| (call.permit, call.owner, call.witness))
    });
    let (permit, payer, witness) = call.ok()?;
    let (token, amount) = (permit.permitted.token, permit.permitted.amount);
    Some(Taken { payer, nonce: permit.nonce, token, payee: witness.to, amount })
}

fn taken_by_upto(input: &[u8]) -> Option<Taken> {
    let plain = IUptoPermit2Proxy::settleCall::abi_decode(input)
        .map(|call| (call.permit, call.amount, call.owner, call.witness));
    let call = plain.or_else(|_| {
        IUptoPermit2Proxy::settleWithPermitCall::abi_decode(input)
            .map(|call| (call.permit, call.amount, call.owner, call.witness))
    });
    let (permit, amount, payer, witness) = call.ok()?;
    Some(Taken { payer, nonce: permit.nonce, token: permit.permitted.token, payee: witness.to, amount })
}
