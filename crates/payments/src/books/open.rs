//! What is taken: a payment becomes a purse, a voucher raises one, a call draws on one. Decisions only: each returns the entries that
//! the caller writes down and applies, or a refusal that changes nothing.

use protocol::{Bytes, Digest, Milliseconds};

use crate::{
    books::{
        entry::{CallRecord, Entry, NameRecord, PurseRecord, Raised},
        state::Books,
    },
    price::{Split, holder},
    scheme::{Authorised, Offer, PROOF_BYTES_MAX, Refused, Scheme, batch, batch::Voucher},
};

/// A call that somebody wants answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted<'a> {
    /// The most that it can cost.
    pub max: u128,
    pub request: Digest,
    /// Digest of the payment identifier.
    pub name: Option<Digest>,
    pub model: Digest,
    pub split: &'a Split,
    /// Id of the lineage that shares the publisher's part; zero for none.
    pub lineage: Digest,
    pub now_ms: Milliseconds,
}

impl Books {
    /// Opens a purse for a payment out of the payer's balance, unless it was used before or the payer has promised too much.
    pub fn open(&self, authorised: &Authorised, now_ms: Milliseconds) -> Result<(Digest, Entry), Refused> {
        let (claim, id) = (authorised.claim(), authorised.id());
        if self.purses.contains_key(&id) {
            return Err(Refused::NonceUsed);
        }
        if self.is_crowded_by((authorised.network().chain_id(), holder(authorised.asset()), holder(claim.payer))) {
            return Err(Refused::Fruitless);
        }
        let promised = self.promised(authorised.network(), authorised.asset(), claim.payer, authorised.asked_at_ms());
        let left = authorised.funds().saturating_sub(promised);
        if left < claim.cap {
            return Err(Refused::Funds { held: authorised.funds(), needed: promised.saturating_add(claim.cap) });
        }
        let record = PurseRecord {
            id,
            scheme: claim.scheme,
            method: claim.method,
            network: authorised.network().chain_id(),
            asset: holder(authorised.asset()),
            payer: holder(claim.payer),
            payee: holder(authorised.payee()),
            cap: claim.cap,
            proof: claim.proof.clone(),
            expires_at_s: claim.expires_at_s,
            opened_at_ms: now_ms,
            spent: 0,
            calls: 0,
            settled: 0,
            settled_at_ms: 0,
            settling: None,
            is_closed: false,
            announced: 0,
        };
        Ok((id, Entry::Purse(record)))
    }

    /// Takes a voucher for a call of at most `max`: its channel's purse, and the entries that raise it.
    pub fn raise(
        &self,
        voucher: &Voucher,
        max: u128,
        offer: &Offer,
        now_ms: Milliseconds,
    ) -> Result<(Digest, Vec<Entry>), Refused> {
        self.raise_by(voucher, voucher_proof(voucher)?, max, offer, now_ms)
    }

    /// The same with the proof written out before: it takes longer than all else here.
    pub(crate) fn raise_by(
        &self,
        voucher: &Voucher,
        proof: Bytes<PROOF_BYTES_MAX>,
        max: u128,
        offer: &Offer,
        now_ms: Milliseconds,
    ) -> Result<(Digest, Vec<Entry>), Refused> {
        let id = voucher.purse();
        let standing = self.standing(&id).ok_or(Refused::UnknownChannel)?;
        batch::against(voucher, max, &standing)?;
        if self.is_published(&id, voucher.max_claimable) {
            // Whoever shows it need not be its payer.
            return Err(Refused::Published(voucher.max_claimable));
        }
        let entry = match self.purses.get(&id) {
            Some(purse) if purse.is_closed => return Err(Refused::Withdrawing),
            // An older voucher that still covers the call changes nothing.
            Some(purse) if purse.cap >= voucher.max_claimable => return Ok((id, Vec::new())),
            Some(_) => Entry::Raised(Raised { purse: id, cap: voucher.max_claimable, proof }),
            None => Entry::Purse(PurseRecord {
                id,
                scheme: Scheme::Batch,
                method: offer.method,
                network: voucher.network.chain_id(),
                asset: holder(voucher.config.token),
                payer: holder(voucher.config.payer),
                payee: holder(voucher.config.receiver),
                cap: voucher.max_claimable,
                proof,
                expires_at_s: u64::MAX,
                opened_at_ms: now_ms,
                spent: standing.spent,
                calls: 0,
                settled: standing.spent,
                settled_at_ms: now_ms,
                settling: None,
                is_closed: false,
                announced: standing.spent,
            }),
        };
        Ok((id, vec![entry]))
    }

    /// Lets a call draw on a purse.
    pub fn reserve(&self, purse: &Digest, wanted: &Wanted<'_>) -> Result<(u64, Entry), Refused> {
        let record = self.purses.get(purse).ok_or(Refused::UnknownSession)?;
        self.check_name(purse, wanted)?;
        let is_used = record.scheme == Scheme::Exact && record.calls > 0;
        if is_used {
            return Err(Refused::NonceUsed);
        }
        if record.is_closed {
            return Err(Refused::UnknownSession);
        }
        let (left, needed) = (self.left(purse), wanted.max);
        if needed > left {
            return Err(Refused::SessionExhausted { left, needed });
        }
        let call = self.next_call;
        let record = CallRecord {
            call,
            purse: *purse,
            max: wanted.max,
            request: wanted.request,
            name: wanted.name,
            model: wanted.model,
            split: wanted.split.portions().clone(),
            lineage: wanted.lineage,
            at_ms: wanted.now_ms,
            delivered: 0,
            delivered_opg: 0,
        };
        Ok((call, Entry::Call(record)))
    }

    /// A payment identifier stands for one request, paid once: whoever sends it again learns what became of it.
    pub(crate) fn check_name(&self, purse: &Digest, wanted: &Wanted<'_>) -> Result<(), Refused> {
        let Some(known) = wanted.name.and_then(|name| self.names.get(&name)) else { return Ok(()) };
        if known.request != wanted.request || known.purse != *purse {
            return Err(Refused::Conflict);
        }
        if known.is_over { Err(Refused::NonceUsed) } else { Err(Refused::InFlight) }
    }

    /// What a payment identifier was used for.
    pub fn named(&self, name: &Digest) -> Option<&NameRecord> {
        self.names.get(name)
    }
}

/// Channel and newest voucher, as a claim needs them.
pub(crate) fn voucher_proof<const N: usize>(voucher: &Voucher) -> Result<Bytes<N>, Refused> {
    let config = &voucher.config;
    // Each paid call has one: written as it stands, since nothing in it needs to be escaped.
    let channel = format!(
        r#""payer":"{:#x}","payerAuthorizer":"{:#x}","receiver":"{:#x}","receiverAuthorizer":"{:#x}","token":"{:#x}","withdrawDelay":{},"salt":"{:#x}""#,
        config.payer,
        config.payer_authorizer,
        config.receiver,
        config.receiver_authorizer,
        config.token,
        config.withdraw_delay_s,
        config.salt,
    );
    let signed = format!(
        r#""channelId":"{:#x}","maxClaimableAmount":"{}","signature":"{}""#,
        voucher.channel,
        voucher.max_claimable,
        alloy_primitives::hex::encode_prefixed(&voucher.signature),
    );
    let bytes = format!(r#"{{"channelConfig":{{{channel}}},"voucher":{{{signed}}}}}"#).into_bytes();
    let found = bytes.len();
    let too_large = |_| Refused::Wire(crate::wire::WireError::TooLarge { found, limit: N });
    Bytes::new(bytes).map_err(too_large)
}
