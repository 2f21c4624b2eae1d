//! The outbox at work, on a thread of its own: encoding and signing hundreds of receipts at once is nobody's answer's to wait for.

use std::{io, thread};

use tokio::sync::oneshot;

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
