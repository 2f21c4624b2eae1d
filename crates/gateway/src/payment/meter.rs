//! Counts one answer of a paid call for whoever fetches it from workers.

use std::sync::Arc;

use api::ApiError;
use protocol::Receipt;
use storage::Ticket;

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

    /// The answer has this receipt, which is to be kept once its charge survives a crash.
    pub fn ended(&self, receipt: &Receipt) -> Result<Charging, ApiError> {
        let ticket = self.paid.ended(self.place, receipt)?;
        Ok(Charging { paid: Arc::clone(&self.paid), ticket })
    }
}

/// A charge on its way to the disk.
pub struct Charging {
    paid: Arc<Paid>,
    ticket: Option<Ticket>,
}

impl Charging {
    pub async fn wait(self) -> Result<(), ApiError> {
        match self.ticket {
            Some(ticket) => self.paid.written(ticket).await,
            None => Ok(()),
        }
    }
}
