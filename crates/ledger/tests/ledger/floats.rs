//! Models without an exact form: what their receipts may claim, and that nobody is judged by bits that nobody has.

use ledger::{GenesisError, GenesisModel, Ledger, Refusal, Rules};
use protocol::{
    Action, Assurance, Digest, List, Receipt, SignedReceipt, Standing, Text,
    receipt::NO_EXACT_FORM,
    registry::{ModelKind, float_root},
    transaction::{Challenge, PublishModel, ReportAudit},
};

use crate::world::{ALICE, AUDITOR, BOB, STAKE, WORKER, World, genesis, model};

const MANIFEST: Digest = Digest([5; 32]);

fn publish(root: Digest, float_manifest: Option<Digest>) -> Action {
    Action::PublishModel(PublishModel { root, name: Text::new("float").unwrap(), float_manifest })
}

fn with_float_model() -> World {
    let mut world = World::new();
    world.send(ALICE, publish(float_root(&MANIFEST), Some(MANIFEST))).unwrap();
    assert_eq!(world.ledger.model(&float_root(&MANIFEST)).unwrap().kind, ModelKind::Float);
    world
}

fn of_floats(receipt: &mut Receipt) {
    (receipt.model, receipt.spec_version) = (float_root(&MANIFEST), NO_EXACT_FORM);
    receipt.assurance = Assurance::Signed;
}

fn posted(world: &mut World, change: impl FnOnce(&mut Receipt)) -> Result<SignedReceipt, Refusal> {
    let signed = world.answer(WORKER).changed(WORKER, change);
    world.posting(&signed).map(|()| signed)
}

#[test]
fn a_float_models_receipt_is_anchored_and_no_auditor_may_speak_of_it() {
    let mut world = with_float_model();
    let signed = posted(&mut world, of_floats).unwrap();
    let receipt = signed.receipt.id();
    for action in
        [Action::ReportAudit(ReportAudit { receipt }), Action::Challenge(Challenge { receipt, opening: None })]
    {
        assert_eq!(world.send(AUDITOR, action), Err(Refusal::NoExactForm));
    }
    let opening = world.answer(WORKER).opening;
    let as_false = Action::Challenge(Challenge { receipt, opening: Some(opening) });
    assert_eq!(world.send(AUDITOR, as_false), Err(Refusal::NoExactForm));
    assert_eq!(world.ledger.status(&receipt).unwrap().standing, Standing::Anchored);
    assert_eq!(world.stake(WORKER), STAKE);
}

#[test]
fn a_float_models_receipt_claims_no_more_than_its_form_bears() {
    for assurance in [Assurance::Audited, Assurance::Quorum, Assurance::Proven] {
        let claiming = |receipt: &mut Receipt| {
            of_floats(receipt);
            receipt.assurance = assurance;
        };
        assert_eq!(posted(&mut with_float_model(), claiming).unwrap_err(), Refusal::ClaimsTooMuch(assurance));
    }
    let attested = |receipt: &mut Receipt| {
        of_floats(receipt);
        receipt.assurance = Assurance::Attested;
    };
    posted(&mut with_float_model(), attested).unwrap();
}

#[test]
fn a_receipt_has_the_form_of_its_model() {
    let exact_of_floats = posted(&mut with_float_model(), |receipt| receipt.model = float_root(&MANIFEST));
    assert_eq!(exact_of_floats.unwrap_err(), Refusal::OtherForm(ModelKind::Float));
    // Else a worker could keep an exact model's answers out of every audit.
    let floats_of_exact = posted(&mut World::new(), |receipt| {
        (receipt.spec_version, receipt.assurance) = (NO_EXACT_FORM, Assurance::Signed);
    });
    assert_eq!(floats_of_exact.unwrap_err(), Refusal::OtherForm(ModelKind::Exact));
}

#[test]
fn only_what_can_be_shown_to_be_float_is_published_as_such() {
    let mut world = World::new();
    let fresh = Digest([9; 32]);
    assert_eq!(world.send(ALICE, publish(fresh, Some(MANIFEST))), Err(Refusal::NotAFloatRoot(fresh)));
    assert_eq!(world.send(ALICE, publish(model(), Some(MANIFEST))), Err(Refusal::NotAFloatRoot(model())));
    // A float model published as exact: the proof of what it is mends that, once.
    let root = float_root(&MANIFEST);
    world.send(ALICE, publish(root, None)).unwrap();
    assert_eq!(world.ledger.model(&root).unwrap().kind, ModelKind::Exact);
    assert_eq!(world.send(BOB, publish(root, None)), Err(Refusal::ModelTaken(root)));
    world.send(BOB, publish(root, Some(MANIFEST))).unwrap();
    assert_eq!(world.ledger.model(&root).unwrap().kind, ModelKind::Float);
    assert_eq!(world.send(ALICE, publish(root, Some(MANIFEST))), Err(Refusal::ModelTaken(root)));
    assert_eq!(world.send(ALICE, publish(root, None)), Err(Refusal::ModelTaken(root)));
}

#[test]
fn a_genesis_publishes_as_float_what_can_be_shown_to_be() {
    let with = |root| {
        let mut genesis = genesis(Rules::default());
        let mut models = genesis.models.to_vec();
        models.push(GenesisModel { root, float_manifest: Some(MANIFEST), ..models[0].clone() });
        genesis.models = List::new(models).unwrap();
        Ledger::new(&genesis)
    };
    let root = float_root(&MANIFEST);
    assert_eq!(with(root).unwrap().model(&root).unwrap().kind, ModelKind::Float);
    let other = Digest([9; 32]);
    assert_eq!(with(other).unwrap_err(), GenesisError::NotAFloatRoot(other));
}
