//! Claims: what channels owe us, many of them in one transaction, and then from the contract to us.

use std::time::Duration;

use futures::StreamExt as _;
use payments::{
    Address, B256,
    books::Due,
    chain::{self, ClaimLine, ReceiverAsk},
    scheme::Scheme,
};
use protocol::Digest;

use crate::payment::{cashier::Cashier, chain::ChainError};

/// How long a claim is waited for before what was claimed is sent on.
const PATIENCE: Duration = Duration::from_secs(60);
/// Channels of one claim: far below a transaction's gas.
const LINES_MAX: usize = 100;
/// Channels that are asked about at the same time.
const AT_ONCE: usize = 16;

/// A channel's line in a claim.
struct Line {
    due: Due,
    line: ClaimLine,
    /// It has taken a turn of what is worth less than its gas.
    is_small: bool,
}

/// What came of a channel's claim.
type Claimed = (Digest, Result<(), ChainError>);

impl Cashier {
    /// Claims from all of these channels. One that its contract does not take keeps none of the others from being claimed.
    pub async fn claim(&self, due: Vec<Due>) -> Vec<Claimed> {
        let (mut lines, mut claimed) = (Vec::new(), Vec::new());
        let asked = due.into_iter().map(|due| async move {
            let (purse, is_small) = (due.purse.id, self.is_dust(&due.purse.asset, due.fresh));
            (purse, is_small, self.line(due, is_small).await)
        });
        let mut asked = futures::stream::iter(asked).buffer_unordered(AT_ONCE);
        while let Some((purse, is_small, line)) = asked.next().await {
            match line {
                Ok(line) => lines.push(line),
                Err(error) => {
                    self.put_claim_turns_back(usize::from(is_small));
                    claimed.push((purse, Err(error)));
                }
            }
        }
        let mut parts: Vec<&[Line]> = lines.chunks(LINES_MAX).collect();
        while let Some(part) = parts.pop() {
            let came = match self.send_claim(part).await {
                Err(error) if error.is_refusal() && part.len() > 1 => {
                    let (first, second) = part.split_at(part.len() / 2);
                    parts.extend([first, second]);
                    continue;
                }
                Ok(Some(hash)) => self.sweep_mined(part, hash).await,
                unsent => {
                    // It has cost nothing.
                    self.put_claim_turns_back(part.iter().filter(|line| line.is_small).count());
                    unsent.map(|_| ())
                }
            };
            claimed.extend(part.iter().map(|line| (line.due.purse.id, came.clone())));
        }
        claimed
    }

    /// What a channel can be claimed for now: what was charged, and no more than its contract has for us.
    async fn line(&self, due: Due, is_small: bool) -> Result<Line, ChainError> {
        let broken = |_| ChainError::Journal;
        let channel = ClaimLine::of(&due.purse, due.amount).map_err(broken)?.channel(&self.channels());
        self.ask_channel(due.purse.id, channel).await?;
        let held = self.till.books().standing(&due.purse.id).map_or(0, |standing| standing.facts.balance);
        let amount = due.amount.min(held);
        if amount < due.amount {
            tracing::error!(purse = %due.purse.id, charged = due.amount, held, "a channel holds less than was charged");
        }
        let fresh = amount.saturating_sub(due.purse.settled);
        if fresh == 0 {
            return Err(ChainError::Told("a claim of a channel that holds nothing more"));
        }
        let line = ClaimLine::of(&due.purse, amount).map_err(broken)?;
        Ok(Line { due: Due { amount, fresh, ..due }, line, is_small })
    }

    /// Sends a claim. `None` where others are on their way for all of its channels.
    async fn send_claim(&self, part: &[Line]) -> Result<Option<B256>, ChainError> {
        for line in part {
            let (purse, amount) = (line.due.purse.id, line.line.max_claimable);
            self.till.note(|books| books.publish(&purse, amount)).map_err(|_| ChainError::Journal)?;
        }
        let (due, lines): (Vec<Due>, Vec<ClaimLine>) =
            part.iter().map(|line| (line.due.clone(), line.line.clone())).unzip();
        self.send_settlement(&chain::claim(&lines, &self.channels(), &self.key), &due).await
    }

    /// Waits for a claim, and has what it brings sent to us. One that is in no block yet would leave nothing to send.
    async fn sweep_mined(&self, part: &[Line], hash: B256) -> Result<(), ChainError> {
        let due: Vec<Due> = part.iter().map(|line| line.due.clone()).collect();
        let transaction = Digest(hash.0);
        let outcome = self.wait_for(&transaction, 0, PATIENCE).await?.map(|(_, has_succeeded)| has_succeeded);
        self.note_outcome(&due, transaction, outcome);
        if outcome != Some(true) {
            return Err(ChainError::Told("a claim"));
        }
        let mut tokens: Vec<_> = part.iter().map(|line| line.line.config.token).collect();
        tokens.sort_unstable();
        tokens.dedup();
        for token in tokens {
            self.sweep_token(token).await?;
        }
        Ok(())
    }

    async fn sweep_token(&self, token: Address) -> Result<(), ChainError> {
        self.send_alone(&chain::sweep(self.recipient.pay_to, token), 0).await.map(|_| ())
    }

    /// Has the rest sent to us that was claimed before a crash, or anything else, came in between. False where a claim is under way, whose
    /// part is not there yet.
    pub async fn sweep_rest(&self) -> Result<bool, ChainError> {
        if self.till.books().unsure(self.config.network).iter().any(|due| due.purse.scheme == Scheme::Batch) {
            return Ok(false);
        }
        for asset in &self.assets {
            let ask = ReceiverAsk { receiver: self.recipient.pay_to, token: asset.address };
            let rest = ReceiverAsk::rest(&self.chain.call(&ask.ask()).await?);
            if rest.ok_or(ChainError::Told("eth_call"))? > 0 {
                self.sweep_token(asset.address).await?;
            }
        }
        Ok(true)
    }

    pub fn channels(&self) -> payments::signing::Domain {
        payments::signing::channel::domain(self.config.network.chain_id())
    }

    /// Looks after money on its way back to payers: it is set apart until its chain has it for good.
    pub async fn look_after_returns(&self) {
        let under_way = self.till.books().returns_under_way(self.config.network);
        for returning in under_way {
            // Whoever sends holds the lock.
            if self.sending.try_lock().is_err() {
                return;
            }
            let (purse, hash) = (returning.purse, B256::from(returning.transaction.0));
            // What is not known yet is asked for again.
            if let Ok(Some(has_arrived)) = self.fate_of(&returning.transaction, &returning.raw).await {
                self.note_returned(&purse, B256::from(returning.channel.0), hash, has_arrived).await;
            }
        }
    }

    /// Notes what became of a refund, once the channel is known as it is without it.
    pub async fn note_returned(&self, purse: &Digest, channel: B256, transaction: B256, has_arrived: bool) {
        let transaction = Digest(transaction.0);
        if has_arrived && self.ask_channel(*purse, channel).await.is_err() {
            return;
        }
        let _noted = self.till.note(|books| books.given_back(purse, &transaction, has_arrived));
    }
}
