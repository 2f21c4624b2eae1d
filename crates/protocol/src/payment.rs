//! What covers a request, and what its receipt shows of that: the terms in full, so that anybody can count the charge again; the payer
//! as far as the request's privacy allows.
//!
//! A charge is a function of terms and token counts, and never above the maximum that its payer agreed to.

use crypto::{Digest, hash};

use crate::{
    canonical::Canonical,
    nouns::{choice, record, words},
    price::{Quote, Tariff, Usage},
    settlement::EvmAddress,
};

words! {
    /// What a charge follows from.
    Basis {
        /// The tokens that were used.
        Metered = 1, "metered";
        /// The call: its maximum, whatever was used.
        Whole = 2, "whole";
    }
}

record! {
    /// By what a request is priced, and the most that it may be charged.
    #[derive(Copy)]
    Terms in "og/price-terms/v1" {
        tariff: Tariff,
        basis: Basis,
        /// Where one payment covers several requests: this one's part of it.
        max: Quote,
    }
}

record! {
    /// Who pays, on which chain, in what, and what draws on: one payment, a session's cap, or a channel.
    #[derive(Copy)]
    Payer {
        /// Chain id.
        network: u64,
        asset: EvmAddress,
        account: EvmAddress,
        /// The purse that is charged.
        purse: Digest,
    }
}

record! {
    /// The payment that covers a request. Only the opening shows it whole.
    #[derive(Copy)]
    Payment {
        payer: Payer,
        /// Hides the payer where nothing of it is shown.
        salt: Digest,
        terms: Terms,
    }
}

choice! {
    /// As much of a payer as a receipt shows.
    #[derive(Copy)]
    ShownPayer {
        /// A salted commitment: whoever holds the opening, and nobody else, can say who paid.
        Private(Digest) = 1, "private";
        /// The purse: receipts of one payment, session or channel can be told to belong together.
        Hashed(Digest) = 2, "hashed";
        Full(Payer) = 3, "full";
    }
}

record! {
    /// What a receipt shows of the payment that covers it.
    #[derive(Copy)]
    Paid {
        paid_by: ShownPayer,
        terms: Terms,
        /// What is charged, in base units of the payer's asset; the receipt's `charge` is the same in OPG.
        amount: u128,
    }
}

impl Terms {
    /// What `usage` costs. What has no price, or one above the maximum, costs the maximum.
    pub fn charge(&self, usage: Usage) -> Quote {
        match self.basis {
            Basis::Whole => self.max,
            Basis::Metered => self.tariff.quote(usage).map_or(self.max, |quote| quote.at_most(self.max)),
        }
    }
}

impl Payer {
    /// Salted commitment to a payer.
    pub fn commitment(&self, salt: &Digest) -> Digest {
        hash("og/commitment/payer/v1", &[&salt.0, &self.encode()])
    }
}
