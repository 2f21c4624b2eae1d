//! Who sits in which term, shared by everything that checks a signature of some term.
//!
//! Filled as terms are decided, never guessed: what belongs to a term that is not here yet waits.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use commonware_consensus::types::Epoch;
use commonware_cryptography::certificate::{Provider, Scoped};

use crate::{CommitteeError, Scheme, seat::Seats, term_store::TermRecord};

/// Terms that are remembered; older ones are over for everybody who may still speak.
const TERMS_MAX: usize = 16;

struct Term {
    seats: Arc<Seats>,
    verifier: Arc<Scheme>,
    /// As it was written down; absent for the first term until it begins here.
    record: Option<Arc<TermRecord>>,
}

#[derive(Clone)]
pub(crate) struct Roster {
    namespace: Arc<Vec<u8>>,
    terms: Arc<Mutex<BTreeMap<u64, Term>>>,
}

impl Roster {
    pub fn new(namespace: &[u8]) -> Self {
        Self { namespace: Arc::new(namespace.to_vec()), terms: Arc::default() }
    }

    fn terms(&self) -> MutexGuard<'_, BTreeMap<u64, Term>> {
        self.terms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn enter(&self, term: u64, seats: Arc<Seats>) {
        self.put(term, seats, None);
    }

    /// A term that is written down.
    pub fn enter_record(&self, term: u64, record: &TermRecord) -> Result<Arc<Seats>, CommitteeError> {
        let seats = Arc::new(Seats::read(&record.seats)?);
        self.put(term, Arc::clone(&seats), Some(Arc::new(record.clone())));
        Ok(seats)
    }

    fn put(&self, term: u64, seats: Arc<Seats>, record: Option<Arc<TermRecord>>) {
        let verifier = Arc::new(Scheme::verifier(&self.namespace, seats.keys().clone()));
        let mut terms = self.terms();
        terms.insert(term, Term { seats, verifier, record });
        while terms.len() > TERMS_MAX {
            terms.pop_first();
        }
    }

    pub fn seats(&self, term: u64) -> Option<Arc<Seats>> {
        self.terms().get(&term).map(|term| term.seats.clone())
    }

    pub fn record(&self, term: u64) -> Option<Arc<TermRecord>> {
        self.terms().get(&term)?.record.clone()
    }

    /// Checks what the committee of a term signed.
    pub fn verifier(&self, term: u64) -> Option<Arc<Scheme>> {
        self.terms().get(&term).map(|term| term.verifier.clone())
    }
}

impl Provider for Roster {
    type Scope = Epoch;
    type Scheme = Scheme;

    fn scoped(&self, epoch: Epoch) -> Option<Scoped<Scheme>> {
        self.verifier(epoch.get()).map(Scoped::scheme)
    }
}
