//! Whoever re-executes receipts of models that anybody published (`specs/evidence.md`, *Judging*).
//!
//! A program may want all of a machine's memory and time, so it is run in a process of its own, which ends where it wants
//! more than it is given: then there is no opinion, and the node goes on. How long a receipt has follows its work (`pace`);
//! each model has its own line (`queue`). That something could not be judged is counted and said aloud, each time.

mod bench;
mod bounds;
mod child;
mod pace;
mod process;
mod queue;
mod talk;
mod turns;

use std::{borrow::Cow, io, sync::Arc, time::Duration};

use hub::{Models, ModelsError};
pub use network::process::Program;
use protocol::{Opening, Receipt};
use storage::StoreError;
use thiserror::Error;

use self::bench::{Bench, Case};
pub(crate) use self::pace::Outline;
pub use self::{
    bench::Tally,
    bounds::{Bounds, Windows},
    child::serve,
};
use crate::judge::Judgement;

/// What a judge says of a receipt, without what tells the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opinion {
    Equal,
    False,
    NotDecidable,
    /// The field in which the opening is another receipt's.
    OtherOpening(String),
    /// The judge's own trouble.
    CouldNotTell(String),
}

impl From<Judgement> for Opinion {
    fn from(judgement: Judgement) -> Self {
        match judgement {
            Judgement::Equal => Self::Equal,
            Judgement::False(_) => Self::False,
            Judgement::NotDecidable => Self::NotDecidable,
            Judgement::OtherOpening(field) => Self::OtherOpening(field.to_owned()),
            Judgement::CouldNotTell(cause) => Self::CouldNotTell(cause),
        }
    }
}

/// Why there is no opinion. None of it says anything of the receipt.
#[derive(Debug, Error)]
pub enum NoOpinion {
    #[error("its model cannot be had: {0}")]
    Model(#[from] ModelsError),
    #[error("its opening, which waited on the disk, cannot be read: {0}")]
    Opening(#[from] StoreError),
    #[error("its model's artefact cannot be loaded: {0}")]
    Artefact(String),
    #[error("judging it took more than the {} s that it was given", .0.as_secs())]
    TooSlow(Duration),
    #[error(
        "the judge's process ended: the model wanted more than {memory_bytes} bytes of memory, or was too much for it otherwise"
    )]
    Ended { memory_bytes: u64 },
    #[error(
        "it could not be judged: it has cost {kills} processes of judges and is not tried again; hint: this machine may be too \
        slow or have too little memory for its model, a restart tries again"
    )]
    GivenUp { kills: u8 },
    #[error("failed to speak with the judge's process: {0}")]
    Process(#[from] io::Error),
    #[error("judging was interrupted")]
    Interrupted,
}

impl NoOpinion {
    /// Nothing will come of trying again.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::GivenUp { .. })
    }

    /// It was tried, and a process ended over it.
    pub fn has_cost_a_process(&self) -> bool {
        matches!(self, Self::TooSlow(_) | Self::Ended { .. } | Self::GivenUp { .. })
    }
}

/// Judges of receipts, within bounds; clones share them.
#[derive(Clone)]
pub struct Judges(Arc<Bench>);

impl Judges {
    /// Each in a process of that program; in this one without one, where only memory that programs account for and
    /// their operations are bounded.
    pub fn new(models: Models, program: Option<Program>, bounds: Bounds) -> Self {
        Self(Arc::new(Bench::new(models, program, bounds)))
    }

    /// Re-executes a receipt.
    pub async fn judge(&self, receipt: &Receipt, opening: &Opening) -> Result<Opinion, NoOpinion> {
        self.judge_kept(receipt, &Outline::of(receipt, opening), &|| Ok(Cow::Borrowed(opening))).await
    }

    /// Re-executes a receipt whose opening is asked for when it is its turn.
    pub(crate) async fn judge_kept<'a>(
        &self,
        receipt: &'a Receipt,
        outline: &'a Outline,
        opening: &'a (dyn Fn() -> Result<Cow<'a, Opening>, StoreError> + Sync),
    ) -> Result<Opinion, NoOpinion> {
        self.0.judge(Case { receipt, outline, opening }).await
    }

    /// What judging has come to since the start.
    pub fn tally(&self) -> Tally {
        self.0.tally()
    }
}
