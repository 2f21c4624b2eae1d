//! Ids and claims by the bytes that came: those of what was read of them, encoded again.
#![allow(clippy::unwrap_used, reason = "a test stops where it finds what cannot be")]

mod samples;

use crypto::Claim;
use proptest::prelude::*;
use protocol::{
    Action, Bundle, Canonical, Digest, List, Noun as _, Reader, Receipt, SignedReceipt, SignedTransaction, Transaction,
    Version, transaction::PostReceipts,
};
use samples::{kinds, records::key};

/// All samples of a kind.
fn all<T: Canonical>(kind: &str) -> Vec<T> {
    let kind = kinds().iter().find(|known| known.name == kind).unwrap();
    kind.samples.iter().map(|(_, face)| T::from_value(face).unwrap()).collect()
}

fn posted(receipts: Vec<SignedReceipt>, nonce: u64) -> SignedTransaction {
    let action = Action::PostReceipts(PostReceipts { receipts: List::new(receipts).unwrap() });
    Transaction { version: Version, chain_id: 7, sender: key(1).public_key(), nonce, action }.sign(&key(1))
}

fn check(signed: &SignedTransaction) {
    let transaction = &signed.transaction;
    let read = SignedTransaction::identified(&signed.encode()).unwrap();
    let domain = "og/transaction/signature/v1";
    let claim = Claim::new(&transaction.sender, domain, &transaction.encode(), &signed.signature);
    assert_eq!((&read.signed, read.id, read.claim), (signed, transaction.id(), claim));
    let of = |signed: &SignedReceipt| {
        let (receipt, domain) = (&signed.receipt, "og/receipt/signature/v1");
        (receipt.id(), Claim::new(&receipt.worker_key, domain, &receipt.encode(), &signed.signature))
    };
    let receipts: Vec<(Digest, Claim)> = match &transaction.action {
        Action::PostReceipts(batch) => batch.receipts.iter().map(of).collect(),
        _ => Vec::new(),
    };
    assert_eq!(read.receipts, receipts);
}

/// Receipts of every length that there is, by a worker or not.
fn receipt() -> impl Strategy<Value = SignedReceipt> {
    let samples = all::<Receipt>("receipt");
    let parts = (0..samples.len(), 0_usize..=16, any::<u64>(), any::<u128>(), any::<[u8; 32]>());
    parts.prop_map(move |(sample, parents, sequence, charge, digest)| {
        let parents = List::new(vec![Digest(digest); parents]).unwrap();
        let receipt = Receipt { parents, sequence, charge, nonce: Digest(digest), ..samples[sample].clone() };
        receipt.sign(&key(digest[0]))
    })
}

#[test]
fn what_the_samples_own_bytes_give_is_what_their_encodings_give() {
    all::<SignedTransaction>("signed_transaction").iter().for_each(check);
    for transaction in all::<Transaction>("transaction") {
        check(&transaction.sign(&key(1)));
    }
    check(&posted(all::<SignedReceipt>("signed_receipt"), 0));
    check(&posted(all::<Receipt>("receipt").into_iter().map(|receipt| receipt.sign(&key(11))).collect(), 3));
    check(&posted(Vec::new(), 4));
}

#[test]
fn what_cannot_be_read_is_refused_for_the_same_reason() {
    let bytes = posted(all::<SignedReceipt>("signed_receipt"), 0).encode();
    let refused = |bytes: &[u8]| {
        let error = SignedTransaction::identified(bytes).unwrap_err();
        assert_eq!(Err(error), SignedTransaction::decode(bytes));
    };
    (0..bytes.len()).for_each(|length| refused(&bytes[..length]));
    refused(&[&bytes[..], &[0]].concat());
}

#[test]
fn a_reader_notes_the_bytes_of_the_nouns_of_one_domain_only() {
    let bundle = &all::<Bundle>("bundle")[0];
    let bytes = bundle.encode();
    let receipt = bundle.receipt.receipt.encode();
    for (domain, expected) in
        [(Receipt::DOMAIN, vec![receipt]), (Bundle::DOMAIN, vec![bytes.clone()]), ("og/test", Vec::new())]
    {
        let mut reader = Reader::noting(&bytes, domain);
        assert_eq!(&reader.whole::<Bundle>().unwrap(), bundle);
        assert_eq!(reader.noted(), expected, "{domain}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_any_receipts_own_bytes_give_is_what_their_encodings_give(
        receipts in prop::collection::vec(receipt(), 0..9), nonce in any::<u64>(),
    ) {
        check(&posted(receipts, nonce));
    }
}
