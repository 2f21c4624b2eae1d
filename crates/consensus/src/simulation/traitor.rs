//! A validator that signs twice: each vote that it hears as its own, and another one that excludes it.
//!
//! It proposes nothing, stores nothing and answers nobody; its key and its seat are real.

use commonware_codec::{DecodeExt as _, Encode as _};
use commonware_consensus::simplex::types::{Finalize, Notarize, Nullify, Proposal, Vote};
use commonware_cryptography::{ed25519::PublicKey, sha256::Digest};
use commonware_p2p::{Receiver, Recipients, Sender};

use crate::Scheme;

/// Runs until its network ends.
pub(super) async fn betray<S, R>(scheme: Scheme, (mut sender, mut receiver): (S, R))
where
    S: Sender<PublicKey = PublicKey>,
    R: Receiver<PublicKey = PublicKey>,
{
    while let Ok((_, message)) = receiver.recv().await {
        let Ok(heard) = Vote::<Scheme, Digest>::decode(message) else { continue };
        for vote in contradiction(&scheme, heard).into_iter().flatten() {
            // Whom it does not reach is not deceived.
            let _reached = sender.send(Recipients::All, vote.encode(), true);
        }
    }
}

/// Two votes of its own of which an honest validator signs at most one.
fn contradiction(scheme: &Scheme, heard: Vote<Scheme, Digest>) -> [Option<Vote<Scheme, Digest>>; 2] {
    match heard {
        Vote::Notarize(heard) => {
            let other = another(&heard.proposal);
            [heard.proposal, other].map(|proposal| Notarize::sign(scheme, proposal).map(Vote::Notarize))
        }
        Vote::Finalize(heard) => {
            let other = another(&heard.proposal);
            [heard.proposal, other].map(|proposal| Finalize::sign(scheme, proposal).map(Vote::Finalize))
        }
        Vote::Nullify(heard) => [Nullify::sign::<Digest>(scheme, heard.round).map(Vote::Nullify), None],
    }
}

/// The same place for a block that does not exist.
fn another(proposal: &Proposal<Digest>) -> Proposal<Digest> {
    Proposal::new(proposal.round, proposal.parent, Digest(proposal.payload.0.map(|byte| !byte)))
}
