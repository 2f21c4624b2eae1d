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
    block::{BlockContext, fitting},
    environment::{Environment, now_ms},
    limits::{MAX_ANCESTORS, MAX_CLOCK_SKEW_MS, TRANSACTION_BUDGET_BYTES},
};

#[derive(Clone)]
pub(crate) struct Proposer {
    pub application: Arc<dyn Application>,
    pub wake: Arc<Notify>,
    /// Height of the newest block that the application was given.
    pub delivered: Arc<AtomicU64>,
    pub pacing: Pacing,
}

impl Proposer {
    /// Waits until something is pending or the idle time is over, and returns what was pending.
    async fn gather<E: Environment>(&self, clock: &E, unfinalized: &[&Block], parent: &Block) -> Vec<Vec<u8>> {
        let idle = self.pacing.idle_ms;
        let deadline = parent.time_ms().min(now_ms(clock)).saturating_add(idle);
        let turn = Turn { parent_height: parent.height(), unfinalized, budget_bytes: TRANSACTION_BUDGET_BYTES };
        loop {
            // Listen before looking: a transaction that arrives in between must not be slept through.
            let woken = self.wake.notified();
            pin_mut!(woken);
            woken.as_mut().enable();
            let transactions = fitting(self.application.propose(&turn));
            let left = deadline.saturating_sub(now_ms(clock));
            if !transactions.is_empty() || left == 0 {
                return transactions;
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
        let parent = ancestry.peek()?.clone();
        let ancestors = self.unfinalized(ancestry).await;
        let unfinalized: Vec<&Block> = ancestors.iter().map(Digested::inner).collect();
        let transactions = self.gather(&environment, &unfinalized, parent.inner()).await;
        let time_ms = now_ms(&environment).max(parent.inner().time_ms());
        let block = Block::on(parent.inner(), context, time_ms, transactions);
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
