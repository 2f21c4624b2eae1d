//! Goes after the lies that are kept, until the validators have decided them.
//!
//! A lie that is told is not over: another's challenge of it may lapse, and where its worker is slashed for another receipt it comes
//! into question, from which only a challenge **with its opening** takes it (`specs/ledger.md`, *Challenges*). The worker has
//! forgotten its opening by then, and the window is closed; so we keep ours, and go on for as long as it takes.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use crypto::Digest;
use network::NetworkError;
use protocol::{Action, Standing, transaction::Challenge};

use crate::desk::Desk;

/// Between two looks at what became of them.
const PAUSE: Duration = Duration::from_secs(1);
/// Of our challenges that may be open for this one to be added: half of what the ledger allows by default. The other half is left
/// to receipts whose windows close.
const OPEN_MAX: usize = 8;
/// How long the ledger has to show a challenge before it is sent again, and again after twice that, up to the second.
const RESEND: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(64));
/// A challenge that lapses costs each time. What the validators could not decide so often, they cannot.
const LAPSES_MAX: u32 = 3;

/// What we know of one lie on its way.
#[derive(Default)]
struct Pursuit {
    /// Sent without being shown, and when last.
    sent: Option<(u32, Instant)>,
    /// A challenge was open when we last looked, and whether it was ours.
    open: Option<bool>,
    lapses: u32,
}

impl Pursuit {
    fn is_due(&self) -> bool {
        let (first, longest) = RESEND;
        self.sent.is_none_or(|(times, at)| {
            let doublings = times.saturating_sub(1).min(8);
            at.elapsed() >= first.saturating_mul(1 << doublings).min(longest)
        })
    }

    fn note_open(&mut self, is_own: bool) {
        (self.sent, self.open) = (None, Some(is_own));
    }

    fn note_sent(&mut self) {
        let times = self.sent.map_or(0, |(times, _)| times);
        self.sent = Some((times.saturating_add(1), Instant::now()));
    }

    /// No challenge is open, and nothing is decided: if one of ours was, it has lapsed.
    fn note_ended(&mut self) {
        self.lapses = self.lapses.saturating_add(u32::from(self.open.take() == Some(true)));
    }
}

/// Works for ever.
pub(crate) async fn pursue(desk: Arc<Desk>) {
    let mut pursuits = BTreeMap::new();
    loop {
        tokio::time::sleep(PAUSE).await;
        if desk.lies.len() == 0 {
            continue;
        }
        if let Err(error) = round(&desk, &mut pursuits).await {
            tracing::debug!(%error, "cannot see what is challenged");
        }
    }
}

async fn round(desk: &Desk, pursuits: &mut BTreeMap<Digest, Pursuit>) -> Result<(), NetworkError> {
    let own = desk.key.public_key();
    let challenges = desk.ledger.challenges().await?;
    let open: BTreeMap<Digest, bool> =
        challenges.iter().map(|view| (view.receipt.receipt.id(), view.challenger == own)).collect();
    drop(challenges);
    let mut room = OPEN_MAX.saturating_sub(open.values().filter(|is_own| **is_own).count());
    for receipt in desk.lies.ids() {
        let pursuit = pursuits.entry(receipt).or_default();
        match open.get(&receipt) {
            Some(is_own) => pursuit.note_open(*is_own),
            // What has just ended is looked at whether or not there is room, or what is decided would wait for it.
            None if pursuit.open.is_some() || (room > 0 && pursuit.is_due()) => match standing(desk, &receipt).await {
                Some(Standing::Challenged) => {
                    pursuit.note_ended();
                    if pursuit.lapses >= LAPSES_MAX {
                        give_up(desk, pursuits, &receipt).await;
                    } else if room > 0 {
                        room = room.saturating_sub(1);
                        challenge(desk, receipt, pursuit).await;
                    }
                }
                Some(Standing::Upheld | Standing::Refuted | Standing::Withheld) => {
                    forget(desk, pursuits, &receipt).await;
                }
                // It was challenged when we kept it: a validator that lags said so.
                Some(Standing::Anchored | Standing::Audited) | None => {}
            },
            None => {}
        }
    }
    Ok(())
}

async fn standing(desk: &Desk, receipt: &Digest) -> Option<Standing> {
    let asked = desk.ledger.receipt(receipt).await;
    asked
        .inspect_err(|error| tracing::debug!(%receipt, %error, "cannot see what became of it"))
        .ok()
        .map(|view| view.status.standing)
}

/// In question: nobody else has asked the validators.
async fn challenge(desk: &Desk, receipt: Digest, pursuit: &mut Pursuit) {
    let Some(opening) = desk.lies.opening(&receipt) else { return };
    pursuit.note_sent();
    match desk.sender.send(Action::Challenge(Challenge { receipt, opening: Some(opening) })).await {
        Ok(_) => tracing::info!(%receipt, "in question, and false: challenged"),
        Err(error) => {
            desk.counts.failed.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(%receipt, %error, "failed to challenge what is in question, trying again");
        }
    }
}

async fn give_up(desk: &Desk, pursuits: &mut BTreeMap<Digest, Pursuit>, receipt: &Digest) {
    desk.counts.missed.fetch_add(1, Ordering::Relaxed);
    tracing::warn!(%receipt, "false, but the validators did not decide it {LAPSES_MAX} times; hint: they may lack its model");
    forget(desk, pursuits, receipt).await;
}

async fn forget(desk: &Desk, pursuits: &mut BTreeMap<Digest, Pursuit>, receipt: &Digest) {
    pursuits.remove(receipt);
    if let Err(error) = desk.lies.forget(receipt).await {
        tracing::warn!(%receipt, %error, "failed to forget a lie that is decided: it is looked at again after a restart");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_that_is_not_shown_is_sent_again_ever_later_and_one_that_lapses_not_for_ever() {
        let mut pursuit = Pursuit::default();
        assert!(pursuit.is_due());
        pursuit.note_sent();
        assert!(!pursuit.is_due());
        let ago = |seconds| Instant::now().checked_sub(Duration::from_secs(seconds)).unwrap();
        for (times, early, late) in [(1, 1, 2), (2, 3, 4), (5, 31, 32), (6, 63, 64), (u32::MAX, 63, 64)] {
            pursuit.sent = Some((times, ago(early)));
            assert!(!pursuit.is_due(), "{times}");
            pursuit.sent = Some((times, ago(late)));
            assert!(pursuit.is_due(), "{times}");
        }
        for lapses in 0..=LAPSES_MAX {
            assert_eq!(pursuit.lapses, lapses);
            pursuit.note_ended();
            assert_eq!(pursuit.lapses, lapses, "none of ours was open");
            pursuit.note_open(false);
            pursuit.note_ended();
            assert_eq!(pursuit.lapses, lapses, "that was another's");
            pursuit.note_open(true);
            pursuit.note_ended();
        }
    }
}
