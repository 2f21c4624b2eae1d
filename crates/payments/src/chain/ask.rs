//! Questions: what is called where, and what the answers mean together.

use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_sol_types::SolCall as _;
use contracts::abi::{IBatchSettlement, IPermit2, IToken};

use crate::{
    scheme::{ChannelFacts, Method, Question, WalletFacts},
    signing::{channel::BATCH_SETTLEMENT, permit2::PERMIT2},
};

/// One read-only call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    pub to: Address,
    pub data: Bytes,
}

/// About a payer: the answers to `asks` in their order, and whether there is code at `payer`.
#[derive(Clone, Debug)]
pub struct WalletAsk {
    question: Question,
}

impl WalletAsk {
    pub fn new(question: Question) -> Self {
        Self { question }
    }

    pub fn payer(&self) -> Address {
        self.question.payer
    }

    pub fn asks(&self) -> Vec<Ask> {
        let Question { asset, payer, method, nonce, .. } = &self.question;
        let balance = IToken::balanceOfCall { account: *payer }.abi_encode();
        let mut asks = vec![Ask { to: *asset, data: balance.into() }];
        match method {
            Method::Transfer => {
                let state = IToken::authorizationStateCall { authorizer: *payer, nonce: *nonce }.abi_encode();
                asks.push(Ask { to: *asset, data: state.into() });
            }
            Method::Permit2 => {
                let word = U256::from_be_bytes(nonce.0) >> 8;
                let bitmap = IPermit2::nonceBitmapCall { owner: *payer, word }.abi_encode();
                asks.push(Ask { to: PERMIT2, data: bitmap.into() });
                let allowance = IToken::allowanceCall { owner: *payer, spender: PERMIT2 }.abi_encode();
                asks.push(Ask { to: *asset, data: allowance.into() });
            }
        }
        asks
    }

    /// `None` where the answers are none.
    pub fn facts(&self, answers: &[Bytes], has_code: bool, asked_at_ms: u64) -> Option<WalletFacts> {
        let word = |index: usize| U256::try_from_be_slice(answers.get(index)?.get(..32)?);
        let narrow = |number: U256| u128::try_from(number).unwrap_or(u128::MAX);
        let (nonce_is_used, allowance) = match self.question.method {
            Method::Transfer => (!word(1)?.is_zero(), u128::MAX),
            Method::Permit2 => {
                let bit = usize::from(self.question.nonce.0[31]);
                (word(1)?.bit(bit), narrow(word(2)?))
            }
        };
        Some(WalletFacts { balance: narrow(word(0)?), allowance, nonce_is_used, has_code, asked_at_ms })
    }
}

/// About a channel.
#[derive(Clone, Copy, Debug)]
pub struct ChannelAsk {
    pub channel: B256,
}

impl ChannelAsk {
    pub fn asks(&self) -> Vec<Ask> {
        let channel = self.channel;
        let calls = [
            IBatchSettlement::channelsCall { channelId: channel }.abi_encode(),
            IBatchSettlement::pendingWithdrawalsCall { channelId: channel }.abi_encode(),
            IBatchSettlement::refundNonceCall { channelId: channel }.abi_encode(),
        ];
        calls.into_iter().map(|data| Ask { to: BATCH_SETTLEMENT, data: data.into() }).collect()
    }

    /// The balance in the answer to the first question.
    pub fn balance(answer: &Bytes) -> Option<u128> {
        IBatchSettlement::channelsCall::abi_decode_returns(answer).ok().map(|channel| channel.balance)
    }

    pub fn facts(&self, answers: &[Bytes], asked_at_ms: u64) -> Option<ChannelFacts> {
        let [channel, pending, nonce] = answers else { return None };
        let channel = IBatchSettlement::channelsCall::abi_decode_returns(channel).ok()?;
        let pending = IBatchSettlement::pendingWithdrawalsCall::abi_decode_returns(pending).ok()?;
        let refund_nonce = IBatchSettlement::refundNonceCall::abi_decode_returns(nonce).ok()?;
        Some(ChannelFacts {
            balance: channel.balance,
            total_claimed: channel.totalClaimed,
            withdraw_requested_at_s: pending.initiatedAt.to::<u64>(),
            refund_nonce,
            asked_at_ms,
        })
    }
}

/// What was claimed for a receiver in one token, and what of it was sent on.
#[derive(Clone, Copy, Debug)]
pub struct ReceiverAsk {
    pub receiver: Address,
    pub token: Address,
}

impl ReceiverAsk {
    pub fn ask(&self) -> Ask {
        let (receiver, token) = (self.receiver, self.token);
        let data = IBatchSettlement::receiversCall { receiver, token }.abi_encode();
        Ask { to: BATCH_SETTLEMENT, data: data.into() }
    }

    /// What is still to be sent on.
    pub fn rest(answer: &Bytes) -> Option<u128> {
        let told = IBatchSettlement::receiversCall::abi_decode_returns(answer).ok()?;
        Some(told.totalClaimed.saturating_sub(told.totalSettled))
    }
}
