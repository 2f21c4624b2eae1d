//! Where prompts are made: by a model's template and tokenizer, and the compiler of grammars. Their steps are counted, but a step may take
//! for ages (`==` of lists that hold one another twice). So each prompt has a thread of its own, which is left behind where it takes too long:
//! its job is refused, and its place is free. Few of a model are made at once, and no more can be left behind.

use std::{sync::Arc, time::Duration};

use protocol::service::{FailedFrame, Failure};
use tokio::{
    sync::{Semaphore, oneshot},
    time::timeout,
};

use crate::answer::failed;

/// Prompts of one model that are made at the same time, those that were left behind among them.
const AT_ONCE: usize = 4;
/// A prompt takes milliseconds, a costly grammar seconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// Makes the prompts of one model; clones share it.
#[derive(Clone)]
pub(crate) struct Prompting {
    threads: Arc<Semaphore>,
    patience: Duration,
}

impl Default for Prompting {
    fn default() -> Self {
        Self { threads: Arc::new(Semaphore::new(AT_ONCE)), patience: PATIENCE }
    }
}

impl Prompting {
    /// What `make` gives, if it does in time.
    pub async fn make<T: Send + 'static>(
        &self,
        make: impl FnOnce() -> Result<T, FailedFrame> + Send + 'static,
    ) -> Result<T, FailedFrame> {
        let all_taken = |_| failed(Failure::Busy, "other prompts of its model take too long to be made");
        let thread = timeout(self.patience, Arc::clone(&self.threads).acquire_owned()).await.map_err(all_taken)?;
        let interrupted = || failed(Failure::Internal, "the prompt could not be made");
        let thread = thread.map_err(|_| interrupted())?;
        let (sender, made) = oneshot::channel();
        let run = move || {
            let _thread = thread;
            // Whoever waited may have left.
            let _left = sender.send(make());
        };
        std::thread::Builder::new().name("prompt".to_owned()).spawn(run).map_err(|_| interrupted())?;
        let late = |_| {
            let seconds = self.patience.as_secs();
            failed(Failure::BadRequest, &format!("making its prompt took more than {seconds} s: a shorter one may do"))
        };
        timeout(self.patience, made).await.map_err(late)?.map_err(|_| interrupted())?
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn what_never_ends_is_left_behind_a_few_times_and_then_nothing_more_is_begun() {
        let prompting = Prompting { patience: Duration::from_millis(50), ..Prompting::default() };
        assert_eq!(prompting.make(|| Ok(7)).await.unwrap(), 7);
        assert_eq!(prompting.make(|| Err::<(), _>(interrupted())).await.unwrap_err(), interrupted());
        let mut ends = Vec::new();
        for _ in 0..AT_ONCE {
            let (end, ended) = mpsc::channel::<()>();
            ends.push(end);
            let late = prompting.make(move || Ok(ended.recv().is_ok())).await.unwrap_err();
            assert_eq!(late.failure, Failure::BadRequest, "{}", &late.message[..]);
        }
        assert_eq!(prompting.make(|| Ok(7)).await.unwrap_err().failure, Failure::Busy);
        ends.pop();
        let longer = Prompting { patience: Duration::from_secs(60), ..prompting };
        assert_eq!(longer.make(|| Ok(7)).await.unwrap(), 7, "as soon as one of them has ended");
        let broken = longer.make(|| -> Result<(), FailedFrame> { panic!("told to") }).await.unwrap_err();
        assert_eq!(broken.failure, Failure::Internal);
    }

    fn interrupted() -> FailedFrame {
        failed(Failure::Internal, "told to")
    }
}
