//! What no block takes for what it offers: sent again at a higher price.
//!
//! Transactions of a key have an order, so that one which is too cheap keeps all behind it from their blocks, whatever they offer, while
//! signatures end. It is sent again under its own number, so that its chain takes one of the two, and is written down before under both
//! hashes. What its chain says of it is signed only where it is what was signed before.

use std::{sync::atomic::Ordering, time::Instant};

use futures::StreamExt as _;
use payments::B256;
use protocol::Digest;

use crate::payment::{
    cashier::Cashier,
    chain::{ChainError, Stand, Written},
    crowd::lock,
    unmined::Place,
};

/// Transactions that are asked about at the same time.
const AT_ONCE: usize = 16;

impl Cashier {
    /// Looks after what waits for its block for long, and notes for how long that is.
    pub async fn look_after_prices(&self) {
        let under_way = self.till.books().under_way_on(self.config.network, self.is_first);
        let late = lock(&self.unmined).late(&under_way, Instant::now(), self.pace.unmined);
        if !late.is_empty()
            && let Err(error) = self.raise_prices(late).await
        {
            tracing::debug!(%error, "failed to learn what gas costs");
        }
        let longest = lock(&self.unmined).longest(Instant::now());
        self.unmined_ms.store(u64::try_from(longest.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    async fn raise_prices(&self, late: Vec<Digest>) -> Result<(), ChainError> {
        let base = self.chain.base_fee().await?;
        let asked = late.into_iter().map(|transaction| async move { (transaction, self.waiting(&transaction).await) });
        let mut asked = futures::stream::iter(asked).buffered(AT_ONCE);
        while let Some((transaction, waiting)) = asked.next().await {
            let raised = match waiting {
                Ok(Some(written)) if written.fees.max_fee_per_gas < base => {
                    self.raise_price(&transaction, &written, base).await
                }
                // In a block or in none that is known; or it waits for another before it, or for room.
                Ok(Some(_) | None) => Ok(()),
                Err(error) => Err(error),
            };
            if let Err(error) = raised {
                tracing::warn!(%transaction, %error, "failed to look after what waits for its block");
            }
        }
        Ok(())
    }

    /// A transaction that waits for its block, at the newest price at which its chain knows it.
    async fn waiting(&self, transaction: &Digest) -> Result<Option<Written>, ChainError> {
        let hashes = self.till.books().hashes_of(transaction);
        let (mut place, mut written) = (Place::Nowhere, None);
        for hash in hashes.iter().rev() {
            match self.chain.stand(B256::from(hash.0), &self.key).await? {
                Stand::Nowhere => continue,
                Stand::InBlock => place = Place::InBlock,
                Stand::Waiting(found) => (place, written) = (Place::Waiting, Some(*found)),
            }
            break;
        }
        lock(&self.unmined).note(transaction, place, Instant::now());
        if self.till.books().sent(transaction).is_some() {
            // One node of several may have lost what the others have.
            let is_lost = self.chain.note_lost(B256::from(transaction.0), place == Place::Nowhere);
            if is_lost || place == Place::InBlock {
                self.note_sent(transaction);
            }
        }
        Ok(written)
    }

    async fn raise_price(&self, transaction: &Digest, written: &Written, base: u128) -> Result<(), ChainError> {
        let Some(fees) = written.fees.raised(base, self.chain.fee_max) else {
            tracing::warn!(%transaction, base, "a transaction waits for a lower price of gas than there is");
            return Ok(());
        };
        // Whoever looks for what is lost leaves it alone meanwhile.
        let _sending = self.sending.lock().await;
        let again = self.chain.sign_again(written, fees, &self.key);
        let hash = Digest(again.hash.0);
        let noted = self.till.note(|books| books.reprice(transaction, &hash));
        if let Some(ticket) = noted.map_err(|_| ChainError::Journal)? {
            self.till.durable(ticket).await.map_err(|_| ChainError::Journal)?;
        }
        if !self.till.books().hashes_of(transaction).contains(&hash) {
            // Its end came meanwhile, or it was raised often enough.
            return Ok(());
        }
        tracing::info!(%transaction, again = %hash, base, "a transaction is sent again at a higher price");
        self.chain.send(&again).await
    }
}
