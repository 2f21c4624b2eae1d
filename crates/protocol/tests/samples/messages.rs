//! Samples of what is sent: transactions, one for each action, jobs, frames, opening requests, views.

use crypto::threshold::{GroupKey, GroupSignature};
use protocol::{
    Action, Bytes, EpochRecord, EvmAddress, PayerProof, Role, Signature, SignedTransaction, Standing, Transaction,
    Version,
    refund::SaltedRequest,
    registry::float_root,
    request::Finish,
    service::{
        CertifiedEpoch, ChallengeView, DoneFrame, FailedFrame, Failure, Frame, OpeningRequest, ReceiptView, TokenFrame,
        VerdictRecord,
    },
    transaction::{
        Announce, Call, Challenge, ClaimRefund, NameHome, NameKey, PayShares, PayeeShare, PostReceipts, PublishModel,
        RegisterNode, ReportAudit, ReportBurns, Respond, RotateKey, SeatKey, ShowDoubleVote, Transfer, UpdateNode,
        Vote, prove_possession,
    },
};

use super::{
    Kind, noun, plain,
    records::{
        certificate, chat_opening, digest, epoch, key, list, public, score, signed_receipt, status, tensor_frames, text,
    },
};

pub fn kinds() -> Vec<Kind> {
    let transactions: Vec<_> = actions().into_iter().map(|(name, action)| (name, transaction(action))).collect();
    let signed: Vec<(_, SignedTransaction)> =
        transactions.iter().take(1).map(|(name, transaction)| (*name, transaction.clone().sign(&key(1)))).collect();
    let asked = OpeningRequest {
        version: Version,
        chain_id: 7,
        receipt: digest("receipt"),
        auditor: public(13),
        asked_at_ms: 1_790_000_002_000,
    };
    vec![
        noun("transaction", transactions),
        plain("signed_transaction", signed),
        plain("signed_job", vec![("chat", chat_opening().request.into_job(&key(12)))]),
        plain("frame", frames()),
        noun("opening_request", vec![("plain", asked.clone())]),
        plain("signed_opening_request", vec![("plain", asked.sign(&key(13)))]),
        plain("certified_epoch", vec![("certified", certified(epoch(41))), ("bare", bare(epoch(42)))]),
        plain("receipt_view", vec![("plain", view())]),
        noun("verdict_record", vec![("plain", verdict())]),
        plain("challenge_view", vec![("open", challenge(true)), ("withheld", challenge(false))]),
    ]
}

fn transaction(action: Action) -> Transaction {
    Transaction { version: Version, chain_id: 7, sender: public(1), nonce: 9, action }
}

fn possession() -> Signature {
    prove_possession(&key(11), 7, &public(1))
}

fn publish_float() -> PublishModel {
    let manifest = digest("float manifest");
    PublishModel { root: float_root(&manifest), name: text("og-float"), float_manifest: Some(manifest) }
}

fn actions() -> Vec<(&'static str, Action)> {
    let register = RegisterNode {
        role: Role::Worker,
        key: public(11),
        possession: possession(),
        endpoint: text("http://127.0.0.1:7101"),
        stake: 10_000_000_000_000_000_000_000,
        models: list(vec![digest("model")]),
    };
    let rotate = RotateKey { node: digest("node"), key: public(11), possession: possession() };
    let update = UpdateNode { endpoint: text("http://127.0.0.1:7102"), models: list(vec![]) };
    let (receipt, opening) = (digest("receipt"), chat_opening());
    let proof = PayerProof::of(&opening).unwrap();
    let asked = SaltedRequest { request: opening.request.clone(), salt: opening.request_salt };
    let by_request = PayerProof::Request(Box::new(asked));
    let share = |byte, due, unreceipted| PayeeShare { payee: EvmAddress([byte; 20]), due, unreceipted };
    let shares = vec![share(0, 0, 1), share(2, 300, 0)];
    vec![
        ("transfer", Action::Transfer(Transfer { to: EvmAddress([2; 20]), amount: 1 })),
        ("register_node", Action::RegisterNode(register)),
        ("update_node", Action::UpdateNode(update)),
        ("rotate_key", Action::RotateKey(rotate)),
        (
            "publish_model",
            Action::PublishModel(PublishModel { root: digest("model"), name: text("og-demo"), float_manifest: None }),
        ),
        ("publish_float_model", Action::PublishModel(publish_float())),
        ("post_receipts", Action::PostReceipts(PostReceipts { receipts: list(vec![signed_receipt()]) })),
        ("report_audit", Action::ReportAudit(ReportAudit { receipt })),
        ("challenge", Action::Challenge(Challenge { receipt, opening: Some(opening.clone()) })),
        ("challenge_withheld", Action::Challenge(Challenge { receipt, opening: None })),
        ("respond", Action::Respond(Respond { receipt, opening })),
        ("vote", Action::Vote(Vote { receipt, refuted: true })),
        ("report_burns", Action::ReportBurns(ReportBurns { burns: list(vec![super::settlement::burn()]) })),
        (
            "name_key",
            Action::NameKey(NameKey { serial: 1, key: GroupKey([0xcd; 96]), signature: GroupSignature([0xab; 48]) }),
        ),
        (
            "call",
            Action::Call(Call { module: EvmAddress([1; 20]), value: 5, input: Bytes::new(vec![0xde, 0xad]).unwrap() }),
        ),
        ("show_double_vote", Action::ShowDoubleVote(ShowDoubleVote { evidence: Bytes::new(vec![7; 3]).unwrap() })),
        ("pay_shares", Action::PayShares(PayShares { number: 3, shares: list(shares) })),
        ("name_home", Action::NameHome(NameHome { base: Some(EvmAddress([2; 20])) })),
        ("name_no_home", Action::NameHome(NameHome { base: None })),
        (
            "announce",
            Action::Announce(Announce {
                agreement: text("127.0.0.1:9000"),
                seats: list(vec![SeatKey {
                    key: public(9),
                    possession: prove_possession(&key(9), 31_337, &public(1)),
                }]),
            }),
        ),
        ("claim_refund", Action::ClaimRefund(ClaimRefund { receipt, proof })),
        ("claim_refund_by_request", Action::ClaimRefund(ClaimRefund { receipt, proof: by_request })),
    ]
}

fn frames() -> Vec<(&'static str, Frame)> {
    let done = DoneFrame { receipt: signed_receipt(), opening: chat_opening(), finish: Finish::Stop };
    vec![
        ("token", Frame::Token(TokenFrame { token: 17, text: text(" Ep"), score: None })),
        ("scored_token", Frame::Token(TokenFrame { token: 17, text: text(" Ep"), score: Some(score(-1_250_000)) })),
        ("prompt_scores", Frame::PromptScores(list(vec![score(0), score(i32::MIN)]))),
        ("tensors", Frame::Tensors(tensor_frames())),
        ("done", Frame::Done(Box::new(done))),
        (
            "failed",
            Frame::Failed(FailedFrame { failure: Failure::ContextTooLong, message: text("512 tokens at most") }),
        ),
    ]
}

fn certified(record: EpochRecord) -> CertifiedEpoch {
    CertifiedEpoch { record, certificate: Some(certificate()) }
}

fn bare(record: EpochRecord) -> CertifiedEpoch {
    CertifiedEpoch { record, certificate: None }
}

fn view() -> ReceiptView {
    ReceiptView { receipt: signed_receipt(), status: status(Standing::Upheld) }
}

fn verdict() -> VerdictRecord {
    VerdictRecord { receipt: digest("receipt"), standing: Standing::Refuted, epoch: 40 }
}

fn challenge(open: bool) -> ChallengeView {
    ChallengeView {
        receipt: signed_receipt(),
        challenger: public(13),
        opened_epoch: 39,
        opening: open.then(chat_opening),
    }
}
