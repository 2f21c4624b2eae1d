//! Builds blocks at our turn and judges those of others.
//!
//! Pacing: with nothing pending, a block follows its parent after the idle time; a pending transaction ends the wait.
//! A block from the future is waited for, never refused: clocks differ, and a refusal would be for ever.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use commonware_consensus::marshal::ancestry::Ancestry;
use commonware_cryptography::Digested;
use commonware_parallel::Sequential;
use commonware_utils::sync::Notify;
use futures::{FutureExt, StreamExt, pin_mut, select_biased};

use crate::{
    Application, Block, Pacing, Scheme, Turn,
    block::{BlockContext, Content, fitting},
    environment::{Environment, now_ms},
    limits::{MAX_ANCESTORS, MAX_CLOCK_SKEW_MS},
    log_pool::LogPool,
};

#[derive(Clone)]
pub(crate) struct Proposer {
    pub application: Arc<dyn Application>,
    pub wake: Arc<Notify>,
    /// Height of the newest block that the application was given.
    pub delivered: Arc<AtomicU64>,
    pub pacing: Pacing,
    pub logs: LogPool,
    /// Lets its turns pass, as only simulated nodes do.
    pub is_silent: bool,
}

impl Proposer {
    /// Waits until something is pending or the idle time is over, and returns what was pending.
    async fn gather<E: Environment>(&self, clock: &E, unfinalized: &[&Block], parent: &Block) -> Content {
        let idle = self.pacing.idle_ms;
        let deadline = parent.time_ms().min(now_ms(clock)).saturating_add(idle);
        loop {
            // Listen before looking: a transaction that arrives in between must not be slept through.
            let woken = self.wake.notified();
            pin_mut!(woken);
            woken.as_mut().enable();
            let logs = self.logs.take(parent.height().saturating_add(1), unfinalized);
            let budget_bytes = Content::budget(&logs);
            let turn = Turn { parent_height: parent.height(), unfinalized, budget_bytes };
            let transactions = fitting(self.application.propose(&turn), budget_bytes);
            let left = deadline.saturating_sub(now_ms(clock));
            if !transactions.is_empty() || !logs.is_empty() || left == 0 {
                return Content { logs, transactions };
            }
            select_biased! {
                () = woken.fuse() => {}
                () = clock.sleep(Duration::from_millis(left)).fuse() => {}
            }
        }
    }

    /// Ancestors that the application has not been given yet, newest first.
    async fn unfinalized(&self, ancestry: impl Ancestry<Block>) -> Vec<Digested<Block>> {
        let delivered = self.delivered.load(Ordering::Relaxed);
        let above = move |block: &Digested<Block>| futures::future::ready(block.inner().height() > delivered);
        ancestry.take_while(above).take(MAX_ANCESTORS).collect().await
    }
}

impl<E: Environment> commonware_consensus::Application<E> for Proposer {
    type SigningScheme = Scheme;
    type Context = BlockContext;
    type Block = Block;
    type Input = ();

    async fn propose(
        &mut self,
        (environment, context): (E, BlockContext),
        ancestry: impl Ancestry<Block>,
        (): (),
    ) -> Option<Digested<Block>> {
        if self.is_silent {
            // An answer that there is nothing would give the turn up at once.
            return futures::future::pending().await;
        }
        let parent = ancestry.peek()?.clone();
        let ancestors = self.unfinalized(ancestry).await;
        let unfinalized: Vec<&Block> = ancestors.iter().map(Digested::inner).collect();
        let content = self.gather(&environment, &unfinalized, parent.inner()).await;
        let time_ms = now_ms(&environment).max(parent.inner().time_ms());
        let block = Block::on(parent.inner(), context, time_ms, content);
        Some(Digested::compute(block, &Sequential).await)
    }

    async fn verify(&mut self, (environment, _): (E, BlockContext), mut ancestry: impl Ancestry<Block>) -> bool {
        let Some(block) = ancestry.next().await else { return false };
        let Some(parent) = ancestry.next().await else { return false };
        let block = block.inner();
        if block.time_ms() < parent.inner().time_ms() || !self.application.check(block) {
            return false;
        }
        let early = block.time_ms().saturating_sub(now_ms(&environment)).saturating_sub(MAX_CLOCK_SKEW_MS);
        if early > 0 {
            environment.sleep(Duration::from_millis(early)).await;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        block::{
            digested,
            tests::{sample, sample_genesis},
        },
        recorder::Recorder,
        reshare::TermRules,
    };
    use commonware_consensus::{Application as _, CertifiableBlock, marshal::ancestry};
    use commonware_runtime::{Clock, Runner, Spawner, Supervisor, deterministic};
    use std::time::SystemTime;

    const START_MS: u64 = 1_000_000;

    /// Runs at a simulated clock that shows [`START_MS`].
    fn at_start<F: Future>(scenario: impl FnOnce(deterministic::Context, Proposer, Arc<Recorder>) -> F) -> F::Output {
        let start = SystemTime::UNIX_EPOCH + Duration::from_millis(START_MS);
        let config = deterministic::Config::new().with_start_time(start);
        let application = Arc::new(Recorder::default());
        let proposer = Proposer {
            application: application.clone(),
            wake: Arc::new(Notify::new()),
            delivered: Arc::new(AtomicU64::new(0)),
            pacing: Pacing { idle_ms: 200 },
            logs: LogPool::new(TermRules { chain_id: 1, length: 2 }),
            is_silent: false,
        };
        deterministic::Runner::new(config).start(|context| scenario(context, proposer, application))
    }

    /// The verdict on a block with this time and content on top of genesis (at 1,000 ms), and when it was given.
    fn verdict(time_ms: u64, transactions: &[&[u8]]) -> (bool, u64) {
        let block = sample(time_ms, transactions);
        at_start(|context, mut proposer, _| async move {
            let ancestry = ancestry::from_iter([digested(block.clone()), digested(sample_genesis())]);
            let verdict = proposer.verify((context.child("verify"), block.context()), ancestry).await;
            (verdict, now_ms(&context) - START_MS)
        })
    }

    #[test]
    fn a_block_from_the_future_is_waited_for_and_not_refused() {
        let (valid, after_ms) = verdict(START_MS + MAX_CLOCK_SKEW_MS, &[]);
        assert!(valid && after_ms < 10);
        let (valid, after_ms) = verdict(START_MS + MAX_CLOCK_SKEW_MS + 3_000, &[]);
        assert!(valid && (3_000..3_010).contains(&after_ms), "{after_ms}");
    }

    #[test]
    fn a_block_older_than_its_parent_is_refused() {
        assert!(verdict(1_000, &[]).0, "as old as the parent is allowed");
        assert!(!verdict(999, &[]).0);
    }

    #[test]
    fn a_block_that_the_application_refuses_is_refused() {
        assert!(!verdict(START_MS, &[b"invalid"]).0);
    }

    /// What is proposed on a parent of this age, and after how long.
    async fn propose(context: &deterministic::Context, proposer: Proposer, parent_age_ms: u64) -> (Block, u64) {
        propose_on(context, proposer, sample(START_MS - parent_age_ms, &[b"earlier"])).await
    }

    async fn propose_on(context: &deterministic::Context, mut proposer: Proposer, parent: Block) -> (Block, u64) {
        let ancestry = ancestry::from_iter([digested(parent.clone()), digested(sample_genesis())]);
        let block = proposer.propose((context.child("propose"), parent.context()), ancestry, ()).await.unwrap();
        (block.inner().clone(), now_ms(context) - START_MS)
    }

    #[test]
    fn with_nothing_pending_a_block_follows_its_parent_after_the_idle_time() {
        let propose = |age| at_start(|context, proposer, _| async move { propose(&context, proposer, age).await });
        let (block, after_ms) = propose(50);
        assert!((150..160).contains(&after_ms), "{after_ms}");
        assert_eq!(block.transactions().len(), 0);
        assert!(propose(5_000).1 < 10, "an old parent is followed at once");
    }

    #[test]
    fn a_parent_ahead_of_our_clock_does_not_prolong_the_wait() {
        let (block, after_ms) = at_start(|context, proposer, _| async move {
            let mut proposer = proposer;
            let parent = sample(START_MS + 400, &[]);
            let ancestry = ancestry::from_iter([digested(parent.clone()), digested(sample_genesis())]);
            let block = proposer.propose((context.child("propose"), parent.context()), ancestry, ()).await.unwrap();
            (block.inner().clone(), now_ms(&context) - START_MS)
        });
        assert!((200..210).contains(&after_ms), "{after_ms}");
        assert_eq!(block.time_ms(), START_MS + 400, "never below the parent's");
    }

    #[test]
    fn a_pending_transaction_is_proposed_at_once_and_one_that_arrives_ends_the_wait() {
        let (block, after_ms) = at_start(|context, proposer, application| async move {
            application.record().pending.push(b"now".to_vec());
            propose(&context, proposer, 0).await
        });
        assert!(after_ms < 10 && block.transactions() == [b"now".to_vec()]);
        let (block, after_ms) = at_start(|context, proposer, application| async move {
            let wake = proposer.wake.clone();
            context.child("client").spawn(move |context| async move {
                context.sleep(Duration::from_millis(60)).await;
                application.record().pending.push(b"later".to_vec());
                wake.notify_waiters();
            });
            propose(&context, proposer, 0).await
        });
        assert!((60..70).contains(&after_ms), "{after_ms}");
        assert_eq!(block.transactions(), [b"later".to_vec()]);
    }

    #[test]
    fn a_dealers_log_is_proposed_at_once() {
        let (block, after_ms) = at_start(|context, proposer, _| async move {
            proposer.logs.add(crate::reshare::Dealt { round: 0, dealer: [1; 32] }, b"log".to_vec());
            let grandparent = sample(START_MS, &[]);
            propose_on(&context, proposer, grandparent).await
        });
        assert!(after_ms < 10 && block.logs() == [b"log".to_vec()], "{after_ms}");
    }

    #[test]
    fn what_an_unfinalized_ancestor_holds_is_not_proposed_again() {
        let (block, _) = at_start(|context, proposer, application| async move {
            application.record().pending = vec![b"earlier".to_vec(), b"new".to_vec()];
            propose(&context, proposer, 0).await
        });
        assert_eq!(block.transactions(), [b"new".to_vec()]);
    }
}
