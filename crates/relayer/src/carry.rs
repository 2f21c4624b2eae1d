//! Carries settlements and keys of the network to Base, one after the other: the contract says which is next, the validators give it with
//! its proof.

use std::{ops::ControlFlow, time::Duration};

use contracts::abi::ISettlement;
use crypto::threshold::GroupKey;
use network::{LedgerClient, NetworkError};
use payments::{Address, B256, signing::SignerKey};
use protocol::{CertifiedRotation, NetworkKeys, RotationRefused};
use thiserror::Error;

use crate::{
    calls::{advance, rotate},
    chain::{Chain, ChainError},
};

/// Between two looks, when there was nothing to do.
const POLL: Duration = Duration::from_millis(500);
/// The longest pause after failures.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// How long a transaction may take into a block.
const PATIENCE: Duration = Duration::from_secs(120);

/// Why nothing was carried. All of it may pass by itself.
#[derive(Debug, Error)]
pub enum CarryError {
    #[error("failed to ask the ledger: {0}")]
    Ledger(#[source] NetworkError),
    #[error("failed to reach Base: {0}")]
    Base(#[from] ChainError),
    #[error("the validator's proof of settlement {0} does not hold; hint: another validator is asked next")]
    Proof(u64),
    #[error(
        "the validator's rotations do not lead on from the network's key: {0}; hint: another validator is asked next"
    )]
    Rotations(#[from] RotationRefused),
    #[error(
        "the contract on Base believes key {serial} of the network, and the validator tells of {known}; hint: another validator is asked next"
    )]
    Behind { serial: u64, known: usize },
}

/// What is brought to Base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// The settlement of this number.
    Settlement(u64),
    /// The network's key of this number.
    Key(u64),
}

/// What Base took over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Carried {
    pub load: Load,
    pub transaction: B256,
}

/// Who carries: pays the gas from its own key, and needs no other trust than that.
pub struct Relayer {
    pub base: Chain,
    pub settlement: Address,
    pub ledger: LedgerClient,
    pub chain_id: u64,
    /// The network's first key: the one that the contract began with.
    pub network: GroupKey,
    pub key: SignerKey,
}

impl Relayer {
    /// Carries the next key, where the ledger is certified under it already, else the next settlement, if the ledger has one that Base
    /// has not.
    pub async fn step(&self) -> Result<Option<Carried>, CarryError> {
        match self.next_key().await? {
            ControlFlow::Break(carried) => Ok(Some(carried)),
            ControlFlow::Continue(present) => self.carry_settlement(&present).await,
        }
    }

    /// Carries the next key in the same way, and never a settlement.
    pub async fn step_key(&self) -> Result<Option<Carried>, CarryError> {
        Ok(self.next_key().await?.break_value())
    }

    /// The next key, carried where the ledger is certified under it already; else the one that the contract believes.
    async fn next_key(&self) -> Result<ControlFlow<Carried, GroupKey>, CarryError> {
        let serial = self.base.read(self.settlement, &ISettlement::keySerialCall {}).await?;
        let rotations = self.ledger.rotations().await.map_err(CarryError::Ledger)?;
        let keys = NetworkKeys::follow(self.chain_id, self.network, &rotations)
            .inspect_err(|_| self.ledger.prefer_another())?;
        let place = usize::try_from(serial).unwrap_or(usize::MAX);
        let Some(present) = keys.all().nth(place) else {
            self.ledger.prefer_another();
            return Err(CarryError::Behind { serial, known: keys.followed() });
        };
        if let Some(next) = rotations.get(place)
            && self.is_signed_after(&keys, place).await?
        {
            return self.carry_key(next, present).await.map(ControlFlow::Break);
        }
        Ok(ControlFlow::Continue(*present))
    }

    /// Whether the newest certified epoch is signed by a key after the one at `place`: then that one signs nothing more.
    async fn is_signed_after(&self, keys: &NetworkKeys, place: usize) -> Result<bool, CarryError> {
        let newest = match self.ledger.latest_epoch().await {
            Ok(newest) => newest,
            Err(error) if error.code() == Some("not_certified_yet") => return Ok(false),
            Err(error) => return Err(CarryError::Ledger(error)),
        };
        let Some(certificate) = &newest.certificate else { return Ok(false) };
        Ok(keys.all().skip(place).skip(1).any(|key| certificate.certifies(&newest.record, key)))
    }

    async fn carry_key(&self, next: &CertifiedRotation, present: &GroupKey) -> Result<Carried, CarryError> {
        let serial = next.rotation.serial;
        let call = rotate(self.settlement, next, present);
        let call =
            call.ok_or(RotationRefused::NotCertified { serial }).inspect_err(|_| self.ledger.prefer_another())?;
        let transaction = self.base.send(&call, 0, &self.key, PATIENCE).await?;
        Ok(Carried { load: Load::Key(serial), transaction })
    }

    async fn carry_settlement(&self, present: &GroupKey) -> Result<Option<Carried>, CarryError> {
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
        // Base would refuse it as well: this saves the gas. Where the next key has begun to sign meanwhile, it is carried first.
        let call = advance(self.settlement, &proven, present);
        let Some(call) = call.filter(|_| proven.record.number == number && proven.holds(present)) else {
            self.ledger.prefer_another();
            return Err(CarryError::Proof(number));
        };
        let transaction = self.base.send(&call, 0, &self.key, PATIENCE).await?;
        Ok(Some(Carried { load: Load::Settlement(number), transaction }))
    }

    /// Carries for ever; `told` hears of all that was carried, and of each failure that is not over yet.
    pub async fn run(self, mut told: impl FnMut(Result<Carried, CarryError>)) {
        let mut pause = POLL;
        loop {
            match self.step().await {
                Ok(Some(carried)) => {
                    tracing::info!(load = ?carried.load, transaction = %carried.transaction, "carried to Base");
                    pause = POLL;
                    told(Ok(carried));
                    continue;
                }
                Ok(None) => pause = POLL,
                Err(error) => {
                    tracing::debug!(%error, "failed to carry");
                    told(Err(error));
                    pause = pause.saturating_mul(2).min(PAUSE_MAX);
                }
            }
            tokio::time::sleep(pause).await;
        }
    }
}
