//! Carries settlements to Base, one after the other: the contract says which is next, the validators give it with its proof.

use std::time::Duration;

use contracts::abi::ISettlement;
use crypto::threshold::GroupKey;
use network::{LedgerClient, NetworkError};
use payments::{Address, B256, signing::SignerKey};
use thiserror::Error;

use crate::{
    calls::advance,
    chain::{Chain, ChainError},
};

/// Between two looks, when there was nothing to do.
const POLL: Duration = Duration::from_millis(500);
/// The longest pause after failures.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// How long a transaction may take into a block.
const PATIENCE: Duration = Duration::from_secs(120);

/// Why a settlement was not carried. All of it may pass by itself.
#[derive(Debug, Error)]
pub enum CarryError {
    #[error("failed to ask the ledger: {0}")]
    Ledger(#[source] NetworkError),
    #[error("failed to reach Base: {0}")]
    Base(#[from] ChainError),
    #[error("the validator's proof of settlement {0} does not hold; hint: another validator is asked next")]
    Proof(u64),
}

/// A settlement that Base took over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Carried {
    pub number: u64,
    pub transaction: B256,
}

/// Who carries: pays the gas from its own key, and needs no other trust than that.
pub struct Relayer {
    pub base: Chain,
    pub settlement: Address,
    pub ledger: LedgerClient,
    pub network: GroupKey,
    pub key: SignerKey,
}

impl Relayer {
    /// Carries the next settlement, if the ledger has one that Base has not.
    pub async fn step(&self) -> Result<Option<Carried>, CarryError> {
        let number = self.base.read(self.settlement, &ISettlement::nextCall {}).await?;
        let made = self.ledger.bridge().await.map_err(CarryError::Ledger)?.settlements;
        if number >= made {
            return Ok(None);
        }
        let proven = match self.ledger.settlement(number).await {
            Ok(proven) => proven,
            // Its epoch is not certified yet, which takes a moment.
            Err(error) if error.code() == Some("not_certified_yet") => return Ok(None),
            Err(error) => return Err(CarryError::Ledger(error)),
        };
        // Base would refuse it as well: this saves the gas.
        let call = advance(self.settlement, &proven, &self.network);
        let Some(call) = call.filter(|_| proven.record.number == number && proven.holds(&self.network)) else {
            self.ledger.prefer_another();
            return Err(CarryError::Proof(number));
        };
        let transaction = self.base.send(&call, 0, &self.key, PATIENCE).await?;
        Ok(Some(Carried { number, transaction }))
    }

    /// Carries for ever; `told` hears of each settlement, and of each failure that is not over yet.
    pub async fn run(self, mut told: impl FnMut(Result<Carried, CarryError>)) {
        let mut pause = POLL;
        loop {
            match self.step().await {
                Ok(Some(carried)) => {
                    tracing::info!(number = carried.number, transaction = %carried.transaction, "settlement carried to Base");
                    pause = POLL;
                    told(Ok(carried));
                    continue;
                }
                Ok(None) => pause = POLL,
                Err(error) => {
                    tracing::debug!(%error, "failed to carry a settlement");
                    told(Err(error));
                    pause = pause.saturating_mul(2).min(PAUSE_MAX);
                }
            }
            tokio::time::sleep(pause).await;
        }
    }
}
