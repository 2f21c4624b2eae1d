//! Whom an answer's request names as its payer, held against who paid for it.
//!
//! The gateway writes the request, and the ledger gives back what fell to whoever that names. So whoever paid looks, because nobody else
//! can: what is not shown counts as another's.

use payments::Address;
use protocol::{Canonical, Digest, Opening, Payer, ShownPayer, SignedReceipt, WrittenBundle};
use serde_json::Value;
use thiserror::Error;
use verify::{CheckLine, Outcome, Report, Verdict};

use crate::{home::Home, spending::Book};

/// The check's name among those of a report.
const CHECK: &str = "payer";
const HINT: &str = "what its receipt charged goes back to whoever is named, if the answer falls: keep receipt and opening, they are evidence; --payer names who paid, where that was a wallet of elsewhere";

/// Why an answer does not show who paid for it as its payer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Misnamed {
    #[error("the request that its receipt is of names {0} as the payer")]
    Another(Address),
    #[error("the request that its receipt is of names no payer")]
    Nobody,
    #[error("it came without {0}, so that nobody sees whom its request names as the payer")]
    Untold(&'static str),
    #[error("its {part} cannot be read: {reason}")]
    Unreadable { part: &'static str, reason: String },
    #[error("its receipt is another than the one that it names")]
    OtherReceipt,
    #[error("its opening is another receipt's: `{0}` differs")]
    OtherOpening(&'static str),
    #[error("the worker's signature under its receipt does not hold")]
    Unsigned,
}

/// Whether what an answer says of itself shows that `paid_by` is its payer.
pub fn check(own: &Value, paid_by: Address) -> Result<(), Misnamed> {
    let (signed, opening): (SignedReceipt, Opening) = (read(own, "receipt")?, read(own, "opening")?);
    let id = signed.receipt.id().to_string();
    if own["receipt_id"].as_str() != Some(id.as_str()) {
        return Err(Misnamed::OtherReceipt);
    }
    opening.matches(&signed.receipt).map_err(|mismatch| Misnamed::OtherOpening(mismatch.0))?;
    if !signed.signature_holds() {
        return Err(Misnamed::Unsigned);
    }
    match opening.request.payment.map(|payment| address(&payment.payer)) {
        None => Err(Misnamed::Nobody),
        Some(named) if named != paid_by => Err(Misnamed::Another(named)),
        Some(_) => Ok(()),
    }
}

fn read<T: Canonical>(own: &Value, part: &'static str) -> Result<T, Misnamed> {
    if own[part].is_null() {
        return Err(Misnamed::Untold(part));
    }
    let unreadable = |reason: api::face::FaceError| Misnamed::Unreadable { part, reason: reason.to_string() };
    api::face::read(own[part].to_string().as_bytes()).map_err(unreadable)
}

fn address(payer: &Payer) -> Address {
    Address::from(payer.account.0)
}

/// Whom a bundle names as the payer, as it says before anything of it is checked.
pub struct Claimed {
    receipt: Digest,
    payer: Named,
}

#[derive(Clone, Copy)]
enum Named {
    /// The answer cost nothing.
    Nobody,
    /// There is no opening, and the receipt does not show it.
    Hidden,
    By(Address),
}

impl Claimed {
    pub fn of(bundle: &WrittenBundle) -> Self {
        let (signed, opening) = match bundle {
            WrittenBundle::Whole(bundle) => (&bundle.receipt, &bundle.opening),
            WrittenBundle::Short(bundle) => (&bundle.receipt, &bundle.opening),
        };
        let opened = opening.as_ref().and_then(|opening| opening.request.payment);
        let payer = match (signed.receipt.payment.map(|paid| paid.paid_by), opened) {
            (None, _) => Named::Nobody,
            (Some(_), Some(payment)) => Named::By(address(&payment.payer)),
            (Some(ShownPayer::Full(payer)), None) => Named::By(address(&payer)),
            (Some(ShownPayer::Private(_) | ShownPayer::Hashed(_)), None) => Named::Hidden,
        };
        Self { receipt: signed.receipt.id(), payer }
    }

    /// Adds to a report who is named, held against `expected`. Where nobody is expected, an answer that was given to this folder must name
    /// one who paid from it, if anybody did. What was refused before stays refused for that.
    pub fn judge(&self, home: &Home, expected: Option<Address>, report: &mut Report) {
        if matches!(report.verdict, Verdict::Refused { .. }) {
            return;
        }
        let Some((outcome, detail)) = self.outcome(home, expected) else { return };
        let check = CHECK;
        match &outcome {
            Outcome::Failed(reason) => report.verdict = Verdict::Refused { check, reason: reason.clone() },
            Outcome::Unknown(reason) if matches!(report.verdict, Verdict::Held(_)) => {
                let reason = reason.clone();
                report.verdict = Verdict::CouldNotTell { check, reason, try_again_epoch: None };
            }
            Outcome::Passed | Outcome::Skipped(_) | Outcome::Unknown(_) => {}
        }
        if !matches!(outcome, Outcome::Passed) {
            report.hint = Some(HINT);
        }
        report.checks.push(CheckLine { name: check, outcome, detail });
    }

    /// What came of the check, and what it showed; `None` where there is nothing to check.
    fn outcome(&self, home: &Home, expected: Option<Address>) -> Option<(Outcome, String)> {
        let passed = |detail| Some((Outcome::Passed, detail));
        let failed = |reason| Some((Outcome::Failed(reason), String::new()));
        match (self.payer, expected) {
            (Named::Nobody | Named::Hidden, None) => None,
            (Named::Nobody, Some(expected)) => failed(format!("nobody paid for it found, {expected} expected")),
            (Named::Hidden, Some(_)) => {
                let reason = "there is no opening, and the receipt itself does not show who paid".to_owned();
                Some((Outcome::Unknown(reason), String::new()))
            }
            (Named::By(found), Some(expected)) if found == expected => passed(format!("{found}, as expected")),
            (Named::By(found), Some(expected)) => failed(format!("{found} found, {expected} expected")),
            (Named::By(found), None) => match Book::payers(home) {
                Err(error) => passed(format!("{found}; who paid from this folder is not known: {error:#}")),
                Ok(payers) if payers.contains(&found) => passed(format!("{found}, who has paid from this folder")),
                Ok(payers) if !payers.is_empty() && home.receipt_file(&self.receipt.to_string()).exists() => {
                    failed(format!("the answer was given to this folder, from which {found} never paid"))
                }
                Ok(_) => passed(format!("{found}, who never paid from this folder")),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use payments::wire::Network;
    use protocol::{Receipt, Trust};
    use serde_json::json;
    use storage::write_file;

    use super::*;
    use crate::spending::{Purse, Signing, Spending};

    /// A bundle that holds, of a receipt that 0x0707… paid for, with its trust.
    const VECTOR: &str = include_str!("../../../verify/vectors/held.json");
    const PAID_BY: Address = Address::repeat_byte(7);
    const ANOTHER: Address = Address::repeat_byte(8);

    fn vector() -> Value {
        serde_json::from_str(VECTOR).unwrap()
    }

    /// What an answer with the vector's receipt says of itself.
    fn own() -> Value {
        let bundle = &vector()["bundle"];
        let receipt: Receipt = api::face::read(bundle["receipt"]["receipt"].to_string().as_bytes()).unwrap();
        json!({ "receipt_id": receipt.id().to_string(), "receipt": bundle["receipt"], "opening": bundle["opening"] })
    }

    fn home() -> (tempfile::TempDir, Home) {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(Some(folder.path().to_owned()));
        (folder, home)
    }

    #[test]
    fn an_answer_names_who_paid_for_it_by_the_opening_of_its_own_receipt() {
        let own = own();
        assert_eq!(check(&own, PAID_BY), Ok(()));
        assert_eq!(check(&own, ANOTHER), Err(Misnamed::Another(PAID_BY)));
        let refused = |path: &str, value: Value| {
            let mut own = own.clone();
            *own.pointer_mut(path).unwrap() = value;
            check(&own, PAID_BY).unwrap_err()
        };
        assert_eq!(refused("/opening", Value::Null), Misnamed::Untold("opening"));
        assert_eq!(refused("/receipt", Value::Null), Misnamed::Untold("receipt"));
        assert!(matches!(refused("/opening", json!({})), Misnamed::Unreadable { part: "opening", .. }));
        assert_eq!(refused("/receipt_id", json!("ab".repeat(32))), Misnamed::OtherReceipt);
        assert_eq!(refused("/receipt/signature", json!("00".repeat(64))), Misnamed::Unsigned);
        // Another payer than the receipt commits to, and none at all.
        let account = "/opening/request/payment/payer/account";
        assert_eq!(refused(account, json!("08".repeat(20))), Misnamed::OtherOpening("request"));
        assert_eq!(refused("/opening/request/payment", Value::Null), Misnamed::OtherOpening("request"));
    }

    #[test]
    fn a_receipt_whose_request_names_nobody_is_nobodys() {
        let mut opening: Opening = api::face::read(vector()["bundle"]["opening"].to_string().as_bytes()).unwrap();
        opening.request.payment = None;
        let signed: SignedReceipt = api::face::read(vector()["bundle"]["receipt"].to_string().as_bytes()).unwrap();
        let request = protocol::request::request_commitment(&opening.request_salt, &opening.request);
        let stream_head = protocol::request::StreamHead::start(&request).after(&opening.output).0;
        let receipt = Receipt { request, stream_head, payment: None, charge: 0, ..signed.receipt };
        let key = crypto::SigningKey::from_seed(&[9; 32]);
        let signed = Receipt { worker_key: key.public_key(), ..receipt }.sign(&key);
        let face = |noun: protocol::Value| serde_json::from_str::<Value>(&api::face::to_json(&noun)).unwrap();
        let own = json!({
            "receipt_id": signed.receipt.id().to_string(),
            "receipt": face(signed.to_value()),
            "opening": face(opening.to_value()),
        });
        assert_eq!(check(&own, PAID_BY), Err(Misnamed::Nobody));
    }

    fn bundle() -> WrittenBundle {
        api::face::read(vector()["bundle"].to_string().as_bytes()).unwrap()
    }

    /// The verdict on a bundle, and what is said of its payer.
    fn judged(home: &Home, bundle: &WrittenBundle, expected: Option<Address>) -> (u8, Option<String>) {
        let trust: Trust = api::face::read(vector()["trust"].to_string().as_bytes()).unwrap();
        let mut report = verify::verify_parsed(Ok(bundle.clone()), Ok(&trust));
        Claimed::of(bundle).judge(home, expected, &mut report);
        let line = report.checks.iter().find(|check| check.name == CHECK);
        let said = line.map(|check| check.outcome.reason().unwrap_or(&check.detail).to_owned());
        assert_eq!(report.hint.is_some(), report.exit_code() != 0);
        (report.exit_code(), said)
    }

    #[test]
    fn a_bundle_is_held_only_where_it_names_the_payer_that_is_expected() {
        let (_folder, home) = home();
        let (code, said) = judged(&home, &bundle(), Some(PAID_BY));
        assert_eq!((code, said), (0, Some(format!("{PAID_BY}, as expected"))));
        let (code, said) = judged(&home, &bundle(), Some(ANOTHER));
        assert_eq!((code, said), (1, Some(format!("{PAID_BY} found, {ANOTHER} expected"))));
        let WrittenBundle::Whole(mut whole) = bundle() else { panic!("a vector of version 1") };
        whole.opening = None;
        let hidden = WrittenBundle::Whole(whole);
        let (code, said) = judged(&home, &hidden, Some(PAID_BY));
        assert!(code == 2 && said.unwrap().contains("there is no opening"));
        assert_eq!(judged(&home, &hidden, None), (0, None));
    }

    #[test]
    fn what_nobody_paid_for_has_no_payer() {
        let (_folder, home) = home();
        let free = Claimed { receipt: Digest::ZERO, payer: Named::Nobody };
        let failed = Outcome::Failed(format!("nobody paid for it found, {PAID_BY} expected"));
        assert_eq!(free.outcome(&home, Some(PAID_BY)), Some((failed, String::new())));
        assert_eq!(free.outcome(&home, None), None);
    }

    #[test]
    fn an_answer_of_this_folder_names_one_who_paid_from_it() {
        let (_folder, home) = home();
        let opening = home.receipt_file(own()["receipt_id"].as_str().unwrap());
        write_file(&opening, b"{}").unwrap();
        let (code, said) = judged(&home, &bundle(), None);
        assert!(code == 0 && said.unwrap().ends_with("who never paid from this folder"), "nobody did");
        let pays = |payer| {
            let purse = Purse::new(payer, Network::BASE, Address::ZERO);
            Spending::open(&home).unwrap().spend(&purse, Some(1), Signing::of_call(1), 0).unwrap().unwrap();
        };
        pays(ANOTHER);
        let (code, said) = judged(&home, &bundle(), None);
        assert!(code == 1 && said.unwrap().contains(&format!("from which {PAID_BY} never paid")));
        assert_eq!(judged(&home, &bundle(), Some(PAID_BY)).0, 0, "where that was a wallet of elsewhere");
        std::fs::remove_file(&opening).unwrap();
        assert_eq!(judged(&home, &bundle(), None).0, 0, "another's answer");
        write_file(&opening, b"{}").unwrap();
        pays(PAID_BY);
        let (code, said) = judged(&home, &bundle(), None);
        assert!(code == 0 && said.unwrap().ends_with("who has paid from this folder"));
    }
}
