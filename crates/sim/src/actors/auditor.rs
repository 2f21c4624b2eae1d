//! An auditor: goes through the certified epochs, asks workers for openings, judges by the real core, reports or
//! challenges; or challenges what is true.

use std::collections::{BTreeMap, BTreeSet};

use auditor::{Judgement, judge};
use crypto::{Digest, SigningKey};
use engine::Model;
use protocol::{
    Action, Opening, Standing,
    service::ReceiptView,
    transaction::{Challenge, ReportAudit},
};
use validator::Node;

use super::{sender::Sender, validators::Validators, worker::Worker};
use crate::{scenario::Auditing, seats};

/// How often a worker is asked for an opening before it is challenged for withholding it.
const ASKS_MAX: u32 = 3;
/// Auditors ask other validators first than workers do.
const ACTOR: u64 = 1;

pub(crate) struct Auditor {
    actor: u64,
    auditing: Auditing,
    sender: Sender,
    /// Openings that workers did not give.
    asked: BTreeMap<Digest, u32>,
    /// The one true receipt that a false auditor goes after.
    target: Option<Digest>,
}

impl Auditor {
    pub fn new(index: usize, auditing: Auditing) -> Self {
        let key: SigningKey = seats::auditor(index);
        let actor = ACTOR.wrapping_add(index as u64);
        Self { actor, auditing, sender: Sender::new(key), asked: BTreeMap::new(), target: None }
    }

    pub fn work(&mut self, validators: &Validators<'_>, workers: &[Worker], model: &Model) {
        let now_ms = validators.now_ms();
        let Some(node) = validators.asked(self.actor).filter(|node| self.sender.is_idle(node, now_ms)) else { return };
        let views = auditable(node);
        let actions: Vec<Action> = match self.auditing {
            Auditing::Honest => {
                let questions = in_question(node);
                let fresh = views.iter().filter(|view| view.status.standing == Standing::Anchored);
                let fresh = fresh.filter_map(|view| self.audit(view, workers, model)).collect::<Vec<_>>();
                let lies = questions.iter().filter_map(|view| refute(view, workers, model));
                fresh.into_iter().chain(lies).collect()
            }
            Auditing::ChallengesTheTruth => self.accuse(&views, workers, model, true).into_iter().collect(),
            Auditing::AsksInVain => self.accuse(&views, workers, model, false).into_iter().collect(),
        };
        actions.into_iter().for_each(|action| self.sender.send(node, now_ms, action));
    }

    fn audit(&mut self, view: &ReceiptView, workers: &[Worker], model: &Model) -> Option<Action> {
        let receipt = view.receipt.receipt.id();
        let Some(opening) = opening(view, workers) else {
            let asked = self.asked.entry(receipt).or_insert(0);
            *asked = asked.saturating_add(1);
            return (*asked >= ASKS_MAX).then_some(Action::Challenge(Challenge { receipt, opening: None }));
        };
        match judge(model, &view.receipt.receipt, opening) {
            Judgement::Equal => Some(Action::ReportAudit(ReportAudit { receipt })),
            Judgement::False(_) => Some(Action::Challenge(Challenge { receipt, opening: Some(opening.clone()) })),
            Judgement::OtherOpening(_) => Some(Action::Challenge(Challenge { receipt, opening: None })),
            Judgement::NotDecidable | Judgement::CouldNotTell(_) => None,
        }
    }

    /// Challenges one receipt although it is true, until the ledger has taken the challenge.
    fn accuse(&mut self, views: &[ReceiptView], workers: &[Worker], model: &Model, open: bool) -> Option<Action> {
        let is_true = |view: &&ReceiptView| {
            let judged = opening(view, workers).map(|opening| judge(model, &view.receipt.receipt, opening));
            judged == Some(Judgement::Equal)
        };
        if self.target.is_none() {
            self.target = views.iter().find(is_true).map(|view| view.receipt.receipt.id());
        }
        let receipt = self.target?;
        let view = views.iter().find(|view| view.receipt.receipt.id() == receipt)?;
        let opening = opening(view, workers).filter(|_| open).cloned();
        match view.status.standing {
            Standing::Anchored | Standing::Audited => Some(Action::Challenge(Challenge { receipt, opening })),
            Standing::Challenged | Standing::Upheld | Standing::Refuted | Standing::Withheld => None,
        }
    }
}

/// Challenges a receipt in question that is false. A true one is left, and one that nobody opens stays as it is.
fn refute(view: &ReceiptView, workers: &[Worker], model: &Model) -> Option<Action> {
    let (receipt, opening) = (view.receipt.receipt.id(), opening(view, workers)?);
    let is_false = matches!(judge(model, &view.receipt.receipt, opening), Judgement::False(_));
    is_false.then(|| Action::Challenge(Challenge { receipt, opening: Some(opening.clone()) }))
}

fn opening<'a>(view: &ReceiptView, workers: &'a [Worker]) -> Option<&'a Opening> {
    let receipt = &view.receipt.receipt;
    let worker = workers.iter().find(|worker| worker.key().public_key() == receipt.worker_key)?;
    worker.opening(&receipt.id())
}

/// Receipts of certified epochs that are challenged while no challenge of them is open, however old they are.
fn in_question(node: &Node) -> Vec<ReceiptView> {
    let Some(newest) = node.newest_certified().map(|certified| certified.record.epoch) else { return Vec::new() };
    let ledger = node.ledger();
    let open: BTreeSet<Digest> = ledger.challenges().map(|challenge| challenge.receipt).collect();
    let views = (0..=newest).filter_map(|epoch| ledger.epoch_receipts(epoch)).flatten();
    views.filter(|view| view.status.standing == Standing::Challenged && !open.contains(&view.status.receipt)).collect()
}

/// Receipts of certified epochs whose window is open.
fn auditable(node: &Node) -> Vec<ReceiptView> {
    let Some(newest) = node.newest_certified().map(|certified| certified.record.epoch) else { return Vec::new() };
    let ledger = node.ledger();
    let window = u64::from(ledger.rules().challenge_window);
    let oldest = ledger.open_epoch().saturating_sub(window);
    (oldest..=newest).filter_map(|epoch| ledger.epoch_receipts(epoch)).flatten().collect()
}
