//! Gas for payers that have none, lent for one transaction: their own approval of Permit2 (extension `erc20ApprovalGasSponsoring`).
//!
//! Done before the payment is taken, so that nothing is served for an approval that its chain does not have. What is lent is the payer's
//! from then on: no more than the approval costs, for payers that hold what they pay, and counted as every errand that strangers ask for.

use std::time::Duration;

use network::now_ms;
use payments::{
    Address,
    chain::{Call, LentApproval, WalletAsk},
    scheme::{Question, Refused},
};
use protocol::Digest;

use crate::payment::{cashier::Cashier, chain::ChainError, crowd::lock};

/// How long a block with a loan or an approval is waited for.
const PATIENCE: Duration = Duration::from_secs(20);
/// How many times what the chain asks for now an approval's fees may be.
const TIMES: u128 = 3;

impl Cashier {
    /// Whether Permit2 may not take `amount` yet of a payer that could pay it. What is wrong with the payment itself is for whoever checks it
    /// next to say.
    pub async fn needs_approval(&self, question: Question, amount: u128) -> Result<bool, Refused> {
        let facts = self.chain.wallet(&WalletAsk::new(question)).await.map_err(ChainError::into_refused)?;
        let is_payable = facts.balance >= amount && !facts.nonce_is_used && !facts.has_code;
        Ok(facts.allowance < amount && is_payable)
    }

    /// Has a payer's own approval carried out.
    pub async fn lend(&self, approval: &LentApproval) -> Result<(), Refused> {
        let transaction = &approval.transaction;
        let payer = transaction.sender;
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
        let cost = approval.cost(&data_fee);
        if gas.held < cost
            && let Some(loan) = self.send_coins(payer, cost).await?
        {
            self.must_arrive(loan, "what is lent for the approval").await?;
        }
        let sent = self.chain.send_raw(&approval.raw).await;
        // Its payer may have sent it too, or asked twice: a chain that has it refuses it again.
        if let Err(error) = sent
            && !self.chain.is_known(transaction.hash).await.unwrap_or_default()
        {
            return Err(error.into_refused());
        }
        self.must_arrive(Digest(transaction.hash.0), "the approval").await
    }

    /// Sends a payer what it lacks of its approval's cost: once, and to nobody again while that is on its way, whatever approval it asks by.
    async fn send_coins(&self, payer: Address, cost: u128) -> Result<Option<Digest>, Refused> {
        // One after the other: what a payer holds is read when no loan of its is about to leave.
        let mut loans = self.loans.lock().await;
        let under_way = self.till.books().under_way();
        loans.retain(|_, loan| under_way.contains(loan));
        if let Some(loan) = loans.get(&payer) {
            return Ok(Some(*loan));
        }
        let held = self.chain.gas(payer, 0).await.map_err(ChainError::into_refused)?.held;
        let missing = cost.saturating_sub(held);
        if missing == 0 {
            return Ok(None);
        }
        // A payer is whoever it says.
        lock(&self.errands).take(&Digest::ZERO, 0, now_ms()).map_err(|_| Refused::Crowded)?;
        let call = Call { to: payer, data: payments::Bytes::new() };
        let loan = Digest(self.send_alone(&call, missing).await.map_err(ChainError::into_refused)?.0);
        tracing::debug!(%payer, missing, "gas is lent for an approval");
        loans.insert(payer, loan);
        Ok(Some(loan))
    }

    async fn must_arrive(&self, transaction: Digest, what: &str) -> Result<(), Refused> {
        match self.wait_for(&transaction, 0, PATIENCE).await.map_err(ChainError::into_refused)? {
            Some((_, true)) => Ok(()),
            Some((_, false)) => Err(Refused::Approval("it was reverted")),
            None => Err(Refused::Chain(format!("{what} is in no block yet: transaction {transaction}"))),
        }
    }
}
