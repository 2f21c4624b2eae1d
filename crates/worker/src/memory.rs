//! How much memory the texts of a language model have for their keys and values: what was said, or a share of what the machine has left.

use engine::{LanguageModel, serve::bytes_of_texts};
use network::Memory;

use crate::config::WorkerError;

/// Of what is free, so much is for the texts of all models together: a machine also has weights to keep, and other work.
const SHARE: u64 = 4;
/// Less is of no use: a text with a form to keep has half of it for its guide.
const LEAST: u64 = 512 << 20;
/// Where the kernel does not say what there is.
const UNKNOWN: u64 = 2 << 30;

/// Bytes for each of so many models, of each of so many workers on this machine: as many as are `said`, or a quarter of what is free,
/// divided among them all, but at least 512 MiB if there is as much.
///
/// # Errors
/// Where what is said is more than this machine has, all of them together.
pub fn cache_bytes(said: Option<u64>, workers: usize, models: usize) -> Result<u64, WorkerError> {
    let all = workers.max(1).saturating_mul(models.max(1));
    share(said, u64::try_from(all).unwrap_or(u64::MAX), Memory::of_machine())
}

fn share(said: Option<u64>, all: u64, machine: Option<Memory>) -> Result<u64, WorkerError> {
    match (said, machine) {
        (Some(said), Some(Memory { total, .. })) if said.saturating_mul(all) > total => {
            Err(WorkerError::TooMuchMemory { said, all, total })
        }
        (Some(said), _) => Ok(said),
        (None, Some(Memory { total, available })) => Ok((available / SHARE / all).max(LEAST.min(total / all))),
        (None, None) => Ok(UNKNOWN),
    }
}

/// What one of so many models has for so many texts at a time: no more than these can need where nothing was said.
pub(crate) fn for_texts(
    model: &LanguageModel,
    texts: usize,
    said: Option<u64>,
    models: usize,
) -> Result<usize, WorkerError> {
    let bytes = usize::try_from(cache_bytes(said, 1, models)?).unwrap_or(usize::MAX);
    Ok(if said.is_some() { bytes } else { bytes.min(bytes_of_texts(model, texts)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MACHINE: Option<Memory> = Some(Memory { total: 64 << 30, available: 48 << 30 });

    #[test]
    fn models_share_a_quarter_of_what_is_free() {
        for (all, bytes) in [(1, 12 << 30), (6, 2 << 30), (100, LEAST), (1_000, (64 << 30) / 1_000)] {
            assert_eq!(share(None, all, MACHINE).unwrap(), bytes, "{all}");
        }
        assert_eq!(share(None, 3, None).unwrap(), UNKNOWN);
    }

    #[test]
    fn what_is_said_counts_unless_the_machine_has_less() {
        assert_eq!(share(Some(8 << 30), 8, MACHINE).unwrap(), 8 << 30);
        assert_eq!(share(Some(1), 1, MACHINE).unwrap(), 1);
        assert_eq!(share(Some(1 << 50), 9, None).unwrap(), 1 << 50);
        let refused = share(Some(8 << 30), 9, MACHINE).unwrap_err();
        assert!(matches!(refused, WorkerError::TooMuchMemory { all: 9, .. }), "{refused}");
        assert!(refused.to_string().contains("hint: --cache-memory"), "{refused}");
        assert!(share(Some(u64::MAX), 2, MACHINE).is_err());
    }
}
