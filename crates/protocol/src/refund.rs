//! What a receipt charged that fell goes back to whoever paid for it: who that is, and where it waits while nobody has shown it.
//!
//! A receipt shows of its payer what the request's privacy allows, so the ledger may not know whom to pay. Whoever holds the opening can
//! say, and shows no more than it takes.

use crypto::{Digest, hash};

use crate::{
    nouns::{choice, record},
    payment::{Payer, ShownPayer},
    receipt::{Opening, Receipt},
    request::{Privacy, Request, request_commitment},
    settlement::EvmAddress,
};

record! {
    /// A payer, and the salt of the commitment that a receipt shows of it.
    SaltedPayer { payer: Payer, salt: Digest, }
}

record! {
    /// A request, and the salt of the commitment that a receipt shows of it. Everybody reads it from then on.
    SaltedRequest { request: Request, salt: Digest, }
}

choice! {
    /// What shows who paid for a receipt.
    PayerProof {
        Payer(SaltedPayer) = 1, "payer";
        /// Where the receipt shows a purse: nothing less says whose it is.
        Request(Box<SaltedRequest>) = 2, "request";
    }
}

/// Where the refund of a receipt lies until somebody has shown who paid for it: an account that has no key.
pub fn refund_account(receipt: &Digest) -> EvmAddress {
    let Digest(bytes) = hash("og/refund/account/v1", &[&receipt.0]);
    EvmAddress(bytes.last_chunk().copied().unwrap_or_default())
}

impl PayerProof {
    /// What shows by this opening who paid, and as little else as can be; `None` where nobody did.
    pub fn of(opening: &Opening) -> Option<Self> {
        let request = &opening.request;
        let payment = request.payment.as_ref()?;
        Some(match request.privacy {
            Privacy::Private | Privacy::Full => Self::Payer(SaltedPayer { payer: payment.payer, salt: payment.salt }),
            Privacy::Hashed => {
                Self::Request(Box::new(SaltedRequest { request: request.clone(), salt: opening.request_salt }))
            }
        })
    }

    /// Who paid for a receipt; `None` where this does not show it.
    pub fn payer_of(&self, receipt: &Receipt) -> Option<Payer> {
        let shown = receipt.payment.as_ref()?.paid_by;
        match self {
            Self::Payer(SaltedPayer { payer, salt }) => {
                let is_it = match shown {
                    ShownPayer::Private(commitment) => payer.commitment(salt) == commitment,
                    ShownPayer::Full(known) => known == *payer,
                    // Whoever paid before with this purse knows it as well.
                    ShownPayer::Hashed(_) => false,
                };
                is_it.then_some(*payer)
            }
            Self::Request(asked) => {
                let payment = asked.request.payment.as_ref()?;
                let is_it = request_commitment(&asked.salt, &asked.request) == receipt.request
                    && payment.shown(asked.request.privacy) == shown;
                is_it.then_some(payment.payer)
            }
        }
    }
}
