//! How fast, how much and how long: the gateway's own limits, each with its default.

use std::{thread, time::Duration};

use payments::facilitator::Bucket;

/// Limits and intervals.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Between two looks at the ledger's nodes and models.
    pub poll: Duration,
    /// How long receipts are gathered before they leave together.
    pub flush: Duration,
    /// Between two looks at whether a receipt was anchored, and how long to wait before it is sent again.
    pub confirm: Duration,
    pub resend: Duration,
    /// Longest wait for a worker's next frame, for a validator's or a hub's answer, for a client's body and for a client to read.
    pub worker_wait: Duration,
    pub validator_wait: Duration,
    pub hub_wait: Duration,
    /// Longest that an answer waits for its model's tokenizer before it is passed on unchecked.
    pub vocabulary_wait: Duration,
    /// Longest that a call, or who asks for a count, waits for a place where a prompt is counted; and longest that a process may compute to
    /// count it, or to read its model before.
    pub counting_wait: Duration,
    pub body_wait: Duration,
    pub reader_wait: Duration,
    /// A client that takes longer to send its headers, or idles longer between requests, is dropped.
    pub header_wait: Duration,
    /// How long an answer that is paid for by `exact` may take: its payment must be good for so long, and for its settlement.
    pub paid_answer: Duration,
    /// What is left of a payment's time for its settlement: no answer goes on into it.
    pub settlement: Duration,
    /// Sessions end so long before their signature does.
    pub session_margin: Duration,
    /// What was sent is in no block for so long before its price is looked at, and raised where its chain asks for more by now.
    pub unmined: Duration,
    /// Between two looks at which contracts a chain has, as long as it has not all.
    pub contracts: Duration,
    pub connections: usize,
    /// Prompts that are counted at the same time.
    pub counting_max: usize,
    /// Requests that are answered at the same time.
    pub requests_max: usize,
    /// Deposits, refunds and loans that calls wait for on one chain at the same time, before they are answered: of who paid here before, and
    /// as many of all others.
    pub chain_waits_max: usize,
    /// Longest that a call whose chain has what it waited for waits for its places then.
    pub places_wait: Duration,
    /// Bodies of more than a text's length that are read at the same time.
    pub large_bodies_max: usize,
    /// Receipts that may wait for the ledger.
    pub outbox_max: usize,
    /// How often payments of all who never paid here are looked up on their chains, and those of each who did on each of them.
    pub strangers: Bucket,
    /// How often prompts of payers who never paid here are counted before those of calls that bring no payment, and of each who did prompts of
    /// calls that come to nothing.
    pub newcomers: Bucket,
    /// How often gas is spent on deposits and refunds of channels that have not earned it.
    pub errands: Bucket,
    /// How often what was charged is settled though it is worth less than its gas, and as often claimed of channels.
    pub dust: Bucket,
    /// How often payments of one payer that held what it signed may come to nothing: each is remembered until it ends. As many are answered at
    /// once as there are places.
    pub fruitless: Bucket,
    /// How often offers are signed for who has not paid; beyond that they go without.
    pub promises: Bucket,
    /// How often one publisher asks what its models earned.
    pub revenue: Bucket,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            poll: Duration::from_millis(500),
            flush: Duration::from_millis(100),
            confirm: Duration::from_millis(300),
            resend: Duration::from_secs(5),
            worker_wait: Duration::from_secs(60),
            validator_wait: Duration::from_secs(3),
            hub_wait: Duration::from_secs(30),
            vocabulary_wait: Duration::from_secs(2),
            counting_wait: Duration::from_secs(5),
            body_wait: Duration::from_secs(10),
            reader_wait: Duration::from_secs(30),
            header_wait: Duration::from_secs(30),
            paid_answer: Duration::from_secs(300),
            settlement: Duration::from_secs(30),
            session_margin: Duration::from_secs(120),
            unmined: Duration::from_secs(20),
            contracts: Duration::from_secs(120),
            connections: 512,
            // Half of the cores, and four where they are fewer, so that neither one model nor those that never end have all of them: they
            // are ranked below all else.
            counting_max: thread::available_parallelism().map_or(4, |cores| (cores.get() / 2).clamp(4, 16)),
            requests_max: 256,
            chain_waits_max: 64,
            places_wait: Duration::from_secs(10),
            large_bodies_max: 32,
            outbox_max: 65_536,
            strangers: Bucket { a_second: 100, most: 400 },
            newcomers: Bucket { a_second: 10, most: 40 },
            errands: Bucket { a_second: 1, most: 100 },
            dust: Bucket { a_second: 1, most: 100 },
            fruitless: Bucket { a_second: 1, most: 256 },
            promises: Bucket { a_second: 100, most: 400 },
            revenue: Bucket { a_second: 10, most: 60 },
        }
    }
}
