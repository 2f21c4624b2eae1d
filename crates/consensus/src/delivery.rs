//! Hands finalized blocks to the application, one at a time and in height order, and acknowledges them afterwards.
//!
//! An application that restarts from an older snapshot is given the blocks in between from our archive first.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use commonware_actor::Feedback;
use commonware_consensus::{Reporter, marshal::Update, types::Height};
use commonware_cryptography::Digested;
use commonware_runtime::Handle;
use commonware_utils::{
    Acknowledgement,
    acknowledgement::Exact,
    channel::{mpsc, oneshot},
};

use crate::{
    Application, Block, FinalizedBlock, Mailbox, Requests, application::Command, archive::BLOCKS_PER_SECTION,
    environment::Environment,
};

type Delivered = (Digested<Block>, Exact);

/// Marshal's end: queues what it reports. Marshal bounds the queue by its unacknowledged blocks.
#[derive(Clone)]
pub(crate) struct Queue(mpsc::UnboundedSender<Delivered>);

impl Queue {
    pub fn new() -> (Self, mpsc::UnboundedReceiver<Delivered>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), receiver)
    }
}

impl Reporter for Queue {
    type Activity = Update<Block>;

    fn report(&mut self, update: Self::Activity) -> Feedback {
        match update {
            // Neither durable nor in order: of no use to the application.
            Update::Tip(..) => Feedback::Ok,
            Update::Block(block, acknowledgement) => match self.0.send((block, acknowledgement)) {
                Ok(()) => Feedback::Ok,
                Err(_) => Feedback::Closed,
            },
        }
    }
}

pub(crate) struct Delivery {
    pub application: Arc<dyn Application>,
    pub requests: Requests,
    pub mailbox: Mailbox,
    /// Height of the newest block that the application was given; starts at the application's own.
    pub delivered: Arc<AtomicU64>,
}

impl Delivery {
    /// On a thread of its own where the runtime has threads: the application may compute and sync its disk.
    pub fn start<E: Environment>(self, context: E, queue: mpsc::UnboundedReceiver<Delivered>) -> Handle<()> {
        context.dedicated().spawn(move |_| self.run(queue))
    }

    async fn run(self, mut queue: mpsc::UnboundedReceiver<Delivered>) {
        let processed = self.mailbox.get_processed().await.map_or(0, |processed| processed.height().get());
        self.replay(processed).await;
        let mut kept_from = 0;
        while let Some((block, acknowledgement)) = queue.recv().await {
            let height = block.inner().height();
            self.replay(height.saturating_sub(1)).await;
            if height > self.delivered.load(Ordering::Relaxed) {
                self.deliver(&block);
                self.await_requests().await;
            }
            acknowledgement.acknowledge();
            let wanted = self.requests.kept_from();
            if wanted >= kept_from + BLOCKS_PER_SECTION.get() {
                self.mailbox.prune(Height::new(wanted));
                kept_from = wanted;
            }
        }
    }

    /// Gives the application what it lacks up to `until` from the archive.
    async fn replay(&self, until: u64) {
        loop {
            let next = self.delivered.load(Ordering::Relaxed).saturating_add(1);
            if next > until {
                return;
            }
            let Some(block) = self.mailbox.get_block(Height::new(next)).await else {
                tracing::warn!(height = next, "archive lacks a block that the application asks for");
                return;
            };
            self.deliver(&block);
        }
    }

    fn deliver(&self, block: &Digested<Block>) {
        use commonware_cryptography::Digestible;
        let digest = block.digest().0;
        self.application.finalized(FinalizedBlock { block: block.inner_shared(), digest });
        self.delivered.store(block.inner().height(), Ordering::Relaxed);
    }

    /// The roots that the application gave while it took the block are durable before marshal forgets the block.
    async fn await_requests(&self) {
        let (answer, done) = oneshot::channel();
        self.requests.command(Command::Barrier(answer));
        let _ = done.await;
    }
}
