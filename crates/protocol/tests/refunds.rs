//! What shows who paid for a receipt, by each privacy, and what does not.
#![allow(clippy::unwrap_used, reason = "a test stops where it finds what cannot be")]

mod samples;

use protocol::{
    Digest, Opening, Payer, PayerProof, Privacy, Receipt,
    refund::{SaltedPayer, SaltedRequest, refund_account},
    request::request_commitment,
};
use samples::records::{chat_opening, digest, signed_receipt};

/// An answer that was asked for with this privacy, and its receipt.
fn answered(privacy: Privacy) -> (Opening, Receipt) {
    let mut opening = chat_opening();
    opening.request.privacy = privacy;
    let request = request_commitment(&opening.request_salt, &opening.request);
    let receipt = Receipt { request, privacy, ..signed_receipt().receipt }.billed(&opening.request);
    (opening, receipt)
}

fn payer(opening: &Opening) -> Payer {
    opening.request.payment.unwrap().payer
}

fn by_payer(payer: Payer, opening: &Opening) -> PayerProof {
    PayerProof::Payer(SaltedPayer { payer, salt: opening.request.payment.unwrap().salt })
}

fn by_request(opening: &Opening) -> PayerProof {
    PayerProof::Request(Box::new(SaltedRequest { request: opening.request.clone(), salt: opening.request_salt }))
}

#[test]
fn an_opening_shows_who_paid_and_the_request_only_where_nothing_less_does() {
    for privacy in [Privacy::Private, Privacy::Hashed, Privacy::Full] {
        let (opening, receipt) = answered(privacy);
        let proof = PayerProof::of(&opening).unwrap();
        assert_eq!(proof.payer_of(&receipt), Some(payer(&opening)), "{privacy}");
        assert_eq!(matches!(proof, PayerProof::Request(_)), privacy == Privacy::Hashed, "{privacy}");
        assert_eq!(by_request(&opening).payer_of(&receipt), Some(payer(&opening)), "{privacy}");
    }
}

#[test]
fn another_payer_another_salt_and_another_request_show_nothing() {
    for privacy in [Privacy::Private, Privacy::Hashed, Privacy::Full] {
        let (opening, receipt) = answered(privacy);
        let other = Payer { purse: digest("another purse"), ..payer(&opening) };
        assert_eq!(by_payer(other, &opening).payer_of(&receipt), None, "{privacy}");
        let (mut salted, mut asked, mut paid) = (opening.clone(), opening.clone(), opening.clone());
        salted.request_salt = digest("another salt");
        asked.request.nonce = digest("another nonce");
        paid.request.payment.as_mut().unwrap().payer = other;
        for opening in [&salted, &asked, &paid] {
            assert_eq!(by_request(opening).payer_of(&receipt), None, "{privacy}");
        }
    }
    let (mut opening, receipt) = answered(Privacy::Private);
    opening.request.payment.as_mut().unwrap().salt = digest("another salt");
    assert_eq!(by_payer(payer(&opening), &opening).payer_of(&receipt), None);
    let (opening, receipt) = answered(Privacy::Hashed);
    assert_eq!(by_payer(payer(&opening), &opening).payer_of(&receipt), None, "a purse names nobody");
}

#[test]
fn a_request_that_the_receipt_bills_to_somebody_else_shows_nothing() {
    let (opening, receipt) = answered(Privacy::Private);
    let mut billed = opening.request.clone();
    billed.payment.as_mut().unwrap().payer.purse = digest("another purse");
    assert_eq!(by_request(&opening).payer_of(&receipt.billed(&billed)), None);
}

#[test]
fn a_free_answer_has_no_payer_and_each_receipt_an_account_of_its_own() {
    let (mut opening, mut receipt) = answered(Privacy::Private);
    let proof = by_payer(payer(&opening), &opening);
    (receipt.payment, receipt.charge) = (None, 0);
    assert_eq!(proof.payer_of(&receipt), None);
    opening.request.payment = None;
    assert_eq!(PayerProof::of(&opening), None);
    assert_eq!(refund_account(&Digest([7; 32])).to_string(), "0x70e8db1938acee9247922fcc9a600ff99c83756b");
    assert_ne!(refund_account(&digest("one")), refund_account(&digest("another")));
}
