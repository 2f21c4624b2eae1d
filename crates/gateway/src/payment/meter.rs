//! Counts one answer of a paid call for whoever fetches it from workers.

use std::sync::Arc;

use protocol::Receipt;

use crate::payment::paid::Paid;

/// One answer of a call, counted.
#[derive(Clone)]
pub struct Meter {
    paid: Arc<Paid>,
    place: usize,
}

impl Meter {
    pub fn new(paid: Arc<Paid>, place: usize) -> Self {
        Self { paid, place }
    }

    /// A worker has taken the request.
    pub fn taken(&self, is_streamed: bool) {
        self.paid.progress.change(self.place, |place| (place.is_taken, place.is_streamed) = (true, is_streamed));
    }

    /// What the worker did is void: nobody pays for it.
    pub fn returned(&self) {
        self.paid.progress.change(self.place, |place| (place.is_taken, place.said) = (false, 0));
    }

    /// One more token.
    pub fn said(&self) {
        self.paid.progress.change(self.place, |place| place.said = place.said.saturating_add(1));
    }

    /// Nobody goes on with what has left, and the request itself is why.
    pub fn refused(&self) {
        self.paid.progress.change(self.place, |place| place.is_refused = true);
    }

    /// The receipt is about to be kept, and with it what the ledger counts.
    pub fn ended(&self, receipt: &Receipt) {
        let answer = self.paid.answer(receipt);
        self.paid.progress.change(self.place, |place| place.ended = Some(answer));
    }
}
