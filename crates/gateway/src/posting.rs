//! What is long and nobody's answer's to wait for, on a thread of its own and below those that answer: encoding and signing many receipts,
//! reading the ledger's lists of nodes and models, and what became of thousands of receipts.

use std::{io, thread};

use tokio::sync::oneshot;

/// How far below the others the machine ranks this thread: a third of their share where cores are short.
const RANK: i32 = 5;

/// Ends when it is stopped or dropped.
pub struct Posting {
    stop: oneshot::Sender<()>,
    thread: thread::JoinHandle<()>,
}

impl Posting {
    /// Runs work that never ends by itself. It is made there, so that its connections belong to that thread too.
    pub fn start<F: Future<Output = ()>>(work: impl FnOnce() -> F + Send + 'static) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let run = move || {
            // On Linux a thread's own. Where it is refused, the thread is as the others are.
            let _lower = rustix::process::setpriority_process(None, RANK);
            runtime.block_on(async {
                tokio::select! {
                    () = work() => {}
                    // Told to, or dropped.
                    _ = stopped => {}
                }
            });
        };
        Ok(Self { stop, thread: thread::Builder::new().name("outbox".to_owned()).spawn(run)? })
    }

    /// Returns when it has ended.
    pub async fn stop(self) {
        drop(self.stop);
        // A panic there was reported by its thread.
        let _ended = tokio::task::spawn_blocking(|| self.thread.join()).await;
    }
}
