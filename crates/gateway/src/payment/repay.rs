//! Money back to payers on their own chain: what a payment moved beyond its charge, and what was charged for answers that the ledger never
//! took. For those that were refuted or withheld it is the ledger that says who is owed (`payout`).
//!
//! As with settlements, a transfer is written down with its hash before it is sent, so that a crash in between never pays twice.

use payments::{
    books::{Owed, Repaying},
    chain,
    price::address,
};
use protocol::{Digest, Milliseconds};

use crate::payment::{cashier::Cashier, chain::ChainError, clerk::Retries};

impl Cashier {
    /// Looks after transfers under way, then sends what is owed. A payer that cannot be paid keeps no other waiting.
    pub async fn repay(&self, retries: &mut Retries, now: Milliseconds) {
        self.look_after_repayments().await;
        if self.recipient.pay_to != self.key.address() {
            // Only the holder of the money can send it: whoever does tells the books by hand.
            return;
        }
        let owing = self.till.books().owing();
        for owed in owing.into_iter().filter(|owed| owed.network == self.config.network.chain_id()) {
            let (network, asset, payer) = (owed.network.to_be_bytes(), owed.asset.0, owed.payer.0);
            let wallet = crypto::hash("og/repay/v1", &[&network, &asset, &payer]);
            if !retries.may_try(&wallet, now) || !self.may_settle(&owed.asset, owed.amount) {
                continue;
            }
            let sent = self.send_back(&owed).await;
            if self.is_dust(&owed.asset, owed.amount) && !matches!(sent, Ok(true)) {
                // It has cost nothing.
                self.put_dust_turn_back();
            }
            retries.note(&wallet, &sent.map(|_| ()), now);
        }
    }

    async fn look_after_repayments(&self) {
        let under_way = self.till.books().repayments();
        for repaying in under_way.into_iter().filter(|one| one.owed.network == self.config.network.chain_id()) {
            // The same transaction once more, as long as no block has it: given up only when another one has taken its place.
            if let Ok(Some(has_arrived)) = self.fate_of(&repaying.transaction, &repaying.raw).await {
                self.note_repaid(&repaying, has_arrived);
            }
        }
    }

    /// False where it is on its way already.
    async fn send_back(&self, owed: &Owed) -> Result<bool, ChainError> {
        let call = chain::send(address(&owed.asset), address(&owed.payer), owed.amount);
        let fees = self.chain.weigh(&call, self.key.address()).await?;
        let _sending = self.sending.lock().await;
        let signed = self.chain.sign(&call, 0, fees, &self.key).await?;
        let raw = protocol::Bytes::new(signed.raw.to_vec()).map_err(|_| ChainError::Journal)?;
        let repaying = Repaying { owed: owed.clone(), transaction: Digest(signed.hash.0), raw };
        let noted = self.till.note(|books| books.repay(&repaying));
        let Some(ticket) = noted.map_err(|_| ChainError::Journal)? else { return Ok(false) };
        self.till.durable(ticket).await.map_err(|_| ChainError::Journal)?;
        self.chain.send(&signed).await.map(|()| true)
    }

    fn note_repaid(&self, repaying: &Repaying, has_arrived: bool) {
        let _noted = self.till.note(|books| books.repaid(repaying, has_arrived));
    }
}
