//! Where grammars of answers are compiled: each on a thread of its own, which is left behind where it takes too long, until its steps are
//! used up. Its job is refused then, and its place is free. Few of a model are compiled at once, and no more can be left behind.

use std::{sync::Arc, time::Duration};

use protocol::service::{FailedFrame, Failure};
use tokio::{
    sync::{Semaphore, oneshot},
    time::timeout,
};

use crate::answer::failed;

/// Grammars of one model that are compiled at the same time, those that were left behind among them.
const AT_ONCE: usize = 4;
/// A costly grammar takes seconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// Compiles the grammars of one model; clones share it.
#[derive(Clone)]
pub(crate) struct Compiling {
    threads: Arc<Semaphore>,
    patience: Duration,
}

impl Default for Compiling {
    fn default() -> Self {
        Self { threads: Arc::new(Semaphore::new(AT_ONCE)), patience: PATIENCE }
    }
}

impl Compiling {
    /// What `compile` gives, if it does in time.
    pub async fn compile<T: Send + 'static>(
        &self,
        compile: impl FnOnce() -> Result<T, FailedFrame> + Send + 'static,
    ) -> Result<T, FailedFrame> {
        let all_taken = |_| failed(Failure::Busy, "other grammars of its model take too long to be compiled");
        let thread = timeout(self.patience, Arc::clone(&self.threads).acquire_owned()).await.map_err(all_taken)?;
        let interrupted = || failed(Failure::Internal, "the grammar could not be compiled");
        let thread = thread.map_err(|_| interrupted())?;
        let (sender, made) = oneshot::channel();
        let run = move || {
            let _thread = thread;
            // Whoever waited may have left.
            let _left = sender.send(compile());
        };
        std::thread::Builder::new().name("grammar".to_owned()).spawn(run).map_err(|_| interrupted())?;
        let late = |_| {
            let seconds = self.patience.as_secs();
            failed(
                Failure::BadRequest,
                &format!("compiling its grammar took more than {seconds} s: a simpler one may do"),
            )
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
        let compiling = Compiling { patience: Duration::from_millis(50), ..Compiling::default() };
        assert_eq!(compiling.compile(|| Ok(7)).await.unwrap(), 7);
        assert_eq!(compiling.compile(|| Err::<(), _>(interrupted())).await.unwrap_err(), interrupted());
        let mut ends = Vec::new();
        for _ in 0..AT_ONCE {
            let (end, ended) = mpsc::channel::<()>();
            ends.push(end);
            let late = compiling.compile(move || Ok(ended.recv().is_ok())).await.unwrap_err();
            assert_eq!(late.failure, Failure::BadRequest, "{}", &late.message[..]);
        }
        assert_eq!(compiling.compile(|| Ok(7)).await.unwrap_err().failure, Failure::Busy);
        ends.pop();
        let longer = Compiling { patience: Duration::from_secs(60), ..compiling };
        assert_eq!(longer.compile(|| Ok(7)).await.unwrap(), 7, "as soon as one of them has ended");
        let broken = longer.compile(|| -> Result<(), FailedFrame> { panic!("told to") }).await.unwrap_err();
        assert_eq!(broken.failure, Failure::Internal);
    }

    fn interrupted() -> FailedFrame {
        failed(Failure::Internal, "told to")
    }
}
