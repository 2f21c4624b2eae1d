//! A validator that signs twice: each vote that it hears as its own, and another one that excludes it.
//!
//! It proposes nothing, stores nothing, deals nothing and answers nobody; its keys and its seats are real, in every term.

use std::sync::PoisonError;

use commonware_codec::{DecodeExt as _, Encode as _};
use commonware_consensus::simplex::types::{Finalize, Notarize, Nullify, Proposal, Vote};
use commonware_cryptography::{ed25519::PublicKey, sha256::Digest};
use commonware_p2p::{Receiver, Recipients, Sender};

use super::Rosters;
use crate::{Scheme, member::Member, switch::Header};

/// Runs until its network ends.
pub(super) async fn betray<S, R>(member: Member, rosters: Rosters, (mut sender, mut receiver): (S, R))
where
    S: Sender<PublicKey = PublicKey>,
    R: Receiver<PublicKey = PublicKey>,
{
    while let Ok((_, mut message)) = receiver.recv().await {
        let Ok(header) = Header::read(&mut message) else { continue };
        let Ok(heard) = Vote::<Scheme, Digest>::decode(message) else { continue };
        let seats = {
            let rosters = rosters.lock().unwrap_or_else(PoisonError::into_inner);
            rosters.iter().flatten().find_map(|roster| roster.seats(header.term))
        };
        let Some(seats) = seats else { continue };
        for (seat, scheme) in member.sitting(&seats) {
            for vote in contradiction(&scheme, &heard).into_iter().flatten() {
                let header = Header::to_all(header.term, seat);
                let bytes = [header.to_bytes(), vote.encode().to_vec()].concat();
                // Whom it does not reach is not deceived.
                let _reached = sender.send(Recipients::All, bytes, true);
            }
        }
    }
}

/// Two votes of its own of which an honest validator signs at most one.
fn contradiction(scheme: &Scheme, heard: &Vote<Scheme, Digest>) -> [Option<Vote<Scheme, Digest>>; 2] {
    match heard {
        Vote::Notarize(heard) => [heard.proposal.clone(), another(&heard.proposal)]
            .map(|proposal| Notarize::sign(scheme, proposal).map(Vote::Notarize)),
        Vote::Finalize(heard) => [heard.proposal.clone(), another(&heard.proposal)]
            .map(|proposal| Finalize::sign(scheme, proposal).map(Vote::Finalize)),
        Vote::Nullify(heard) => [Nullify::sign::<Digest>(scheme, heard.round).map(Vote::Nullify), None],
    }
}

/// The same place for a block that does not exist.
fn another(proposal: &Proposal<Digest>) -> Proposal<Digest> {
    Proposal::new(proposal.round, proposal.parent, Digest(proposal.payload.0.map(|byte| !byte)))
}
