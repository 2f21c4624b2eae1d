//! The key that pays, and what its chain says of it.

use anyhow::Result;
use contracts::{
    abi::{IBatchSettlement, IToken},
    addresses,
};
use network::Client;
use payments::{
    Address, B256, U256,
    payer::{Payer, Token},
    wire::Network,
};
use relayer::{Chain, ChainError};

use super::{error::PayError, token};
use crate::{base, home::Home, keys, spending::Overspent};

/// One address of a key in the folder.
pub struct Wallet {
    pub payer: Payer,
    /// As the command line names it.
    pub name: String,
    home: Home,
    client: Client,
    rpc: Option<String>,
}

/// What a chain says of a channel.
#[derive(Clone, Copy, Debug)]
pub struct OnChain {
    pub balance: u128,
    pub claimed: u128,
    /// What its payer asked to take out and when; zeros where it did not.
    pub leaving: u128,
    pub leaving_since_s: u64,
}

impl OnChain {
    pub async fn ask(chain: &Chain, id: B256) -> Result<Self, ChainError> {
        let channel =
            chain.read(addresses::BATCH_SETTLEMENT, &IBatchSettlement::channelsCall { channelId: id }).await?;
        let asked = IBatchSettlement::pendingWithdrawalsCall { channelId: id };
        let pending = chain.read(addresses::BATCH_SETTLEMENT, &asked).await?;
        Ok(Self {
            balance: channel.balance,
            claimed: channel.totalClaimed,
            leaving: pending.amount,
            leaving_since_s: pending.initiatedAt.to::<u64>(),
        })
    }
}

impl Wallet {
    pub fn open(home: &Home, client: &Client, name: &str, rpc: Option<&str>) -> Result<Self> {
        let key = keys::signer(home, name)?;
        let rpc = rpc.map(str::to_owned);
        Ok(Self { payer: Payer::new(key), name: name.to_owned(), home: home.clone(), client: client.clone(), rpc })
    }

    pub fn address(&self) -> Address {
        self.payer.key().address()
    }

    pub fn written(&self) -> String {
        self.address().to_checksum(None)
    }

    /// The chain of `network`, if it is known where it is asked: the one that is named, or the folder's own Base or ledger.
    pub fn chain(&self, network: Network) -> Option<Chain> {
        let own = || base::own_url(&self.home, network.chain_id());
        Some(Chain::new(self.client.clone(), self.rpc.clone().or_else(own)?))
    }

    /// How much of a token the wallet holds, and how much of that Permit2 may move; `None` without a chain to ask.
    pub async fn funds(&self, token: &Token) -> Result<Option<(u128, u128)>, ChainError> {
        let Some(chain) = self.chain(token.network) else { return Ok(None) };
        let owner = self.address();
        let held = chain.read(token.address, &IToken::balanceOfCall { account: owner }).await?;
        let asked = IToken::allowanceCall { owner, spender: addresses::PERMIT2 };
        let allowed = chain.read(token.address, &asked).await?;
        Ok(Some((narrow(held), narrow(allowed))))
    }

    /// How often the wallet has approved something by signature; `None` without a chain to ask.
    pub async fn approvals(&self, token: &Token) -> Result<Option<U256>, ChainError> {
        let Some(chain) = self.chain(token.network) else { return Ok(None) };
        chain.read(token.address, &IToken::noncesCall { owner: self.address() }).await.map(Some)
    }

    /// A payment that its limits do not allow, told in the token's own digits.
    pub fn over(&self, over: &Overspent, token: &Token, asked: u128) -> PayError {
        let written = |amount| token::written(amount, token);
        PayError::over(over, &self.written(), &self.name, &token.symbol, written, asked)
    }

    pub async fn channel(&self, network: Network, id: B256) -> Result<Option<OnChain>, ChainError> {
        let Some(chain) = self.chain(network) else { return Ok(None) };
        OnChain::ask(&chain, id).await.map(Some)
    }
}

fn narrow(number: U256) -> u128 {
    u128::try_from(number).unwrap_or(u128::MAX)
}
