//! Gas for payers that have none, lent for one transaction: their own approval of Permit2 (extension `erc20ApprovalGasSponsoring`).
//!
//! Done before the payment is taken, so that nothing is served for an approval that its chain does not have. What is lent is the payer's
//! from then on: no more than the approval costs, for payers that hold what they pay, and counted as every errand that strangers ask for.

use std::time::Duration;

use network::now_ms;
use payments::{
    Address, B256,
    chain::{Call, LentApproval, WalletAsk},
    scheme::{Question, Refused},
};
use protocol::Digest;

use crate::payment::{
    chain::ChainError,
    desk::{Desk, lock},
};

/// How long a block with a loan or an approval is waited for.
const PATIENCE: Duration = Duration::from_secs(20);
/// How many times what the chain asks for now an approval's fees may be.
const TIMES: u128 = 3;

impl Desk {
    /// Has a payer's own approval carried out where Permit2 may not take `amount` yet. What is wrong with the payment itself is for whoever
    /// checks it next to say.
    pub async fn lend(&self, approval: &LentApproval, question: Question, amount: u128) -> Result<(), Refused> {
        let payer = question.payer;
        let facts = self.chain.wallet(&WalletAsk::new(question)).await.map_err(ChainError::into_refused)?;
        let is_payable = facts.balance >= amount && !facts.nonce_is_used && !facts.has_code;
        if facts.allowance >= amount || !is_payable {
            return Ok(());
        }
        let transaction = &approval.transaction;
        if self.chain.count(payer).await.map_err(ChainError::into_refused)? != transaction.nonce {
            return Err(Refused::Approval("its nonce is not the payer's next one"));
        }
        let gas = self.chain.gas(payer, 0).await.map_err(ChainError::into_refused)?;
        if !(gas.price..=gas.price.saturating_mul(TIMES)).contains(&transaction.fees.max_fee_per_gas) {
            return Err(Refused::Approval(
                "it offers less than the present price of gas, or more than three times that",
            ));
        }
        // Coins that left do not come back, so that whatever can be known of the approval is known before.
        let takes = self.chain.would_take(&transaction.call, payer).await.map_err(ChainError::into_refused)?;
        if takes > transaction.fees.gas {
            return Err(Refused::Approval("it takes more gas than it allows"));
        }
        let data_fee = self.chain.call(&approval.data_fee()).await.map_err(ChainError::into_refused)?;
        // One errand for each payer's approval, and a payer is whoever it says.
        lock(&self.errands).take(&Digest(transaction.hash.0), 0, now_ms()).map_err(|_| Refused::Crowded)?;
        let missing = approval.cost(&data_fee).saturating_sub(gas.held);
        if missing > 0 {
            self.send_coins(payer, missing).await?;
        }
        let sent = self.chain.send_raw(&approval.raw).await;
        // Its payer may have sent it too, or asked twice: a chain that has it refuses it again.
        if let Err(error) = sent
            && !self.chain.is_known(transaction.hash).await.unwrap_or_default()
        {
            return Err(error.into_refused());
        }
        self.must_arrive(transaction.hash, "the approval").await
    }

    async fn send_coins(&self, payer: Address, amount: u128) -> Result<(), Refused> {
        let call = Call { to: payer, data: payments::Bytes::new() };
        let hash = self.send_alone(&call, amount).await.map_err(ChainError::into_refused)?;
        tracing::debug!(%payer, amount, "gas is lent for an approval");
        self.must_arrive(hash, "what is lent for the approval").await
    }

    async fn must_arrive(&self, hash: B256, what: &str) -> Result<(), Refused> {
        match self.chain.wait(hash, PATIENCE).await.map_err(ChainError::into_refused)? {
            Some(true) => Ok(()),
            Some(false) => Err(Refused::Approval("it was reverted")),
            None => Err(Refused::Chain(format!("{what} is in no block yet: transaction {hash}"))),
        }
    }
}
