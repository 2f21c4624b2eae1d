//! What came out: held, refused, or could not tell. Only this crate can make a [`Verified`].

use std::fmt;

use protocol::{Digest, Standing};

/// The outcome of a verification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Held(Verified),
    /// The check that decided, and what it found.
    Refused {
        check: &'static str,
        reason: String,
    },
    /// Nothing speaks against the receipt, and not everything for it.
    CouldNotTell {
        check: &'static str,
        reason: String,
        /// The epoch as of which another bundle may be told, where waiting is all it takes.
        try_again_epoch: Option<u64>,
    },
}

/// Proof that `verify` ran over a receipt and every check passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    receipt: Digest,
    state: State,
    as_of_epoch: u64,
}

/// Where a receipt stands, in the words of the path `anchored → audited → final`, or `refuted`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    pub standing: Standing,
    pub audits: u32,
    /// The challenge window is closed and no challenge is open.
    pub is_final: bool,
}

impl Verified {
    pub(crate) fn new(receipt: Digest, state: State, as_of_epoch: u64) -> Self {
        Self { receipt, state, as_of_epoch }
    }

    pub fn receipt(&self) -> Digest {
        self.receipt
    }

    pub fn state(&self) -> State {
        self.state
    }

    pub fn as_of_epoch(&self) -> u64 {
        self.as_of_epoch
    }
}

impl Verdict {
    /// 0 held, 1 refused, 2 could not tell (yet).
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Held(_) => 0,
            Self::Refused { .. } => 1,
            Self::CouldNotTell { .. } => 2,
        }
    }

    pub fn word(&self) -> &'static str {
        match self {
            Self::Held(_) => "held",
            Self::Refused { .. } => "refused",
            Self::CouldNotTell { .. } => "could_not_tell",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Held(verified) => {
                write!(formatter, "held: {} as of epoch {}", verified.state, verified.as_of_epoch)
            }
            Self::Refused { check, reason } => write!(formatter, "refused: {check}: {reason}"),
            Self::CouldNotTell { check, reason, try_again_epoch: None } => {
                write!(formatter, "could not tell: {check}: {reason}")
            }
            Self::CouldNotTell { check, reason, try_again_epoch: Some(epoch) } => {
                write!(formatter, "could not tell yet: {check}: {reason}; try again as of epoch {epoch}")
            }
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { standing, audits, is_final } = self;
        match (standing, is_final) {
            (Standing::Refuted | Standing::Withheld, _) | (_, false) => write!(formatter, "{standing}"),
            (Standing::Upheld, true) => write!(formatter, "final (upheld)"),
            (Standing::Anchored | Standing::Audited | Standing::Challenged, true) if *audits == 0 => {
                write!(formatter, "final (not audited)")
            }
            (Standing::Anchored | Standing::Audited | Standing::Challenged, true) => {
                write!(formatter, "final (audited)")
            }
        }
    }
}
