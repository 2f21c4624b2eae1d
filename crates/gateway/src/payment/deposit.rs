//! Money into channels, before the call that brings it is answered.
//!
//! A deposit is written down with its transaction before it is sent, and only the same bytes are ever sent again: a payer that asks once
//! more after a crash, or beside itself, is answered by the deposit that it made and not refused because its signature was used. Nothing is
//! served for a deposit that a reorganisation may still take away.

use std::time::Duration;

use payments::{
    B256,
    books::{DepositStanding, Deposited, Depositing},
    chain,
    scheme::{
        Asset, Offer, Refused,
        batch::{Deposit, Voucher, VoucherKind},
    },
    wire::SettleResponse,
};
use protocol::{Bytes, Digest};

use crate::{
    payment::{cashier::Cashier, chain::ChainError, paid::channel_state, unpaid::Unpaid},
    seats::Seats,
};

/// How long a deposit is waited for, and how much longer for each block that must lie on it.
const PATIENCE: Duration = Duration::from_secs(20);
const PATIENCE_A_BLOCK: Duration = Duration::from_secs(3);

impl Cashier {
    /// Puts a deposit into its channel and learns what the channel holds then. Who asks for it beside another waits on the other's place.
    pub async fn deposit(
        &self,
        voucher: &Voucher,
        deposit: &Deposit,
        offer: &Offer,
        seats: &Seats,
    ) -> Result<(), Refused> {
        let (call, id) = call_of(voucher, deposit)?;
        let known = Deposited { id, expires_at_s: deposit.expires_at_s };
        let (purse, asset) = (voucher.purse(), &offer.asset);
        if self.till.books().deposit_standing(&id) == DepositStanding::Unknown {
            self.may_run_errand(&purse, asset)?;
        }
        let customer = self.customer(&purse, asset, voucher.config.payer);
        seats.without((self.config.network, id, customer), self.bring_in(voucher, &call, known, asset)).await
    }

    /// Whether the deposit that comes with a voucher is in its channel by now.
    pub fn has_deposited(&self, voucher: &Voucher) -> bool {
        let VoucherKind::Deposit(deposit) = &voucher.kind else { return false };
        let id = call_of(voucher, deposit).map(|(_, id)| id);
        id.is_ok_and(|id| self.till.books().deposit_standing(&id) == DepositStanding::Done)
    }

    /// A deposit is in its channel, and its call has no place to be answered. Its payer is told of the channel all the same: who hears of
    /// nothing deposits once more.
    pub fn unseated(&self, voucher: &Voucher) -> Unpaid {
        let mut settled = SettleResponse::charged(voucher.network, voucher.config.payer, 0, String::new());
        let (state, _) = channel_state(&self.till, &voucher.purse(), voucher.channel, None);
        settled.extra.insert("chargedAmount".to_owned(), "0".into());
        settled.extra.insert("channelState".to_owned(), state);
        Unpaid::Unseated(Box::new(settled))
    }

    async fn bring_in(
        &self,
        voucher: &Voucher,
        call: &chain::Call,
        deposit: Deposited,
        asset: &Asset,
    ) -> Result<(), Refused> {
        let standing = self.till.books().deposit_standing(&deposit.id);
        match standing {
            DepositStanding::Done => {}
            DepositStanding::UnderWay(depositing) => {
                // It may never have left. A node that has it says so, which is no fault.
                let _sent = self.chain.send_raw(&depositing.raw).await;
                self.wait_for_deposit(&depositing).await?;
            }
            DepositStanding::Unknown => self.put_in(call, deposit, (&voucher.purse(), asset)).await?,
        }
        // In nobody's turn: it is in the channel by now, at our cost.
        let asked = self.ask_channel(voucher.purse(), voucher.channel).await;
        asked.map_err(|error| Refused::Chain(error.to_string()))
    }

    async fn put_in(
        &self,
        call: &chain::Call,
        deposit: Deposited,
        (purse, asset): (&Digest, &Asset),
    ) -> Result<(), Refused> {
        // A deposit that its chain would not take is no errand: it costs no gas, and keeps no settlement waiting.
        let fees = self.chain.weigh(call, self.key.address()).await.map_err(ChainError::into_refused)?;
        self.admit_errand(purse, asset)?;
        let sending = self.sending.lock().await;
        let signed = self.chain.sign(call, 0, fees, &self.key).await.map_err(ChainError::into_refused)?;
        let raw = Bytes::new(signed.raw.to_vec()).map_err(|_| failed(&ChainError::Journal))?;
        let depositing = Depositing { deposit, transaction: Digest(signed.hash.0), raw };
        let Some(ticket) = self.till.note(|books| books.deposit(&depositing))? else {
            // The same deposit came in beside this one.
            drop(sending);
            let standing = self.till.books().deposit_standing(&depositing.deposit.id);
            return match standing {
                DepositStanding::UnderWay(other) => self.wait_for_deposit(&other).await,
                DepositStanding::Done | DepositStanding::Unknown => Ok(()),
            };
        };
        self.till.durable(ticket).await?;
        let sent = self.chain.send(&signed).await;
        drop(sending);
        match sent {
            Err(error) if error.is_refusal() => {
                // Refused by the RPC itself, it was never sent.
                self.note_deposited(&depositing, false);
                Err(failed(&error))
            }
            Ok(()) | Err(_) => self.wait_for_deposit(&depositing).await,
        }
    }

    async fn wait_for_deposit(&self, depositing: &Depositing) -> Result<(), Refused> {
        let hash = B256::from(depositing.transaction.0);
        let confirmations = self.config.confirmations;
        let more = PATIENCE_A_BLOCK.saturating_mul(u32::try_from(confirmations).unwrap_or(u32::MAX));
        let waited = self.wait_for(&depositing.transaction, confirmations, PATIENCE.saturating_add(more)).await;
        match waited.map_err(|error| failed(&error))? {
            Some((_, true)) => {
                self.note_deposited(depositing, true);
                Ok(())
            }
            Some((hash, false)) => {
                self.note_deposited(depositing, false);
                Err(Refused::Chain(format!("transaction {hash} was reverted")))
            }
            None => Err(Refused::Chain(format!("transaction {hash} is in no block yet that lies deep enough"))),
        }
    }

    /// Deposits whose payers left: sent again until their chain has them, or another transaction in their place.
    pub async fn look_after_deposits(&self) {
        let under_way = self.till.books().deposits_under_way(self.config.network);
        for depositing in under_way {
            // Whoever sends holds the lock.
            if self.sending.try_lock().is_err() {
                return;
            }
            if let Ok(Some(has_arrived)) = self.fate_of(&depositing.transaction, &depositing.raw).await {
                self.note_deposited(&depositing, has_arrived);
            }
        }
    }

    fn note_deposited(&self, depositing: &Depositing, has_arrived: bool) {
        let _noted = self.till.note(|books| books.deposited(&depositing.deposit.id, has_arrived));
    }
}

/// What puts a deposit into its channel, and the deposit's identity.
fn call_of(voucher: &Voucher, deposit: &Deposit) -> Result<(chain::Call, Digest), Refused> {
    let call = chain::deposit(&voucher.config, deposit).map_err(|error| Refused::WouldFail(error.to_string()))?;
    let parts: [&[u8]; 3] = [&voucher.network.chain_id().to_be_bytes(), call.to.as_slice(), &call.data];
    let id = crypto::hash("og/deposit/v1", &parts);
    Ok((call, id))
}

fn failed(error: &ChainError) -> Refused {
    Refused::Chain(error.to_string())
}
