//! Limits and meanings of single nouns: counts, openings, keys' intervals, signatures.
#![allow(clippy::unwrap_used, reason = "a test stops where it finds what cannot be")]

mod samples;

use protocol::{
    Bytes, Canonical as _, DecodeError, Digest, Element, List, Opening, Output, Receipt, Request, SignedReceipt,
    Standing, Tensor, Text, TooLong, Value,
    receipt::Mismatch,
    registry::{KeyRecord, OPEN_END},
    request::{Sampling, Scored, ScoredToken, StreamHead, TENSOR_BYTES_MAX},
    service::{OpeningRequest, SignedJob, SignedOpeningRequest},
    transaction::{SignedTransaction, possession_holds, prove_possession},
};
use samples::{
    kinds,
    records::{key, score},
};

fn sample<T: protocol::Canonical>(kind: &str) -> T {
    let kind = kinds().iter().find(|known| known.name == kind).unwrap();
    T::from_value(&kind.samples[0].1).unwrap()
}

#[test]
fn a_count_beyond_its_limit_is_refused_before_its_items_are_read() {
    let bytes = |count: u32| [&count.to_be_bytes()[..], &[0; 64]].concat();
    let limit = |found| DecodeError::Limit { field: "start", found, limit: 4 };
    for found in [5, 1 << 20, u32::MAX] {
        assert_eq!(List::<u32, 4>::decode(&bytes(found)).unwrap_err(), limit(found as usize));
        assert_eq!(Text::<4>::decode(&bytes(found)).unwrap_err(), limit(found as usize));
        assert_eq!(Bytes::<4>::decode(&bytes(found)).unwrap_err(), limit(found as usize));
    }
}

#[test]
fn a_count_of_more_than_what_is_left_is_refused_before_anything_is_allocated() {
    let bytes = [&1_000_000_u32.to_be_bytes()[..], &[0; 9]].concat();
    let short = DecodeError::Short { field: "start", wanted: 1_000_000, left: 9 };
    assert_eq!(List::<u8, 2_000_000>::decode(&bytes).unwrap_err(), short);
    assert_eq!(Text::<2_000_000>::decode(&bytes).unwrap_err(), short);
    assert_eq!(Bytes::<2_000_000>::decode(&bytes).unwrap_err(), short);
}

#[test]
fn images_of_usual_sizes_are_tensors_and_one_byte_beyond_the_limit_is_none() {
    let image = |bytes: usize| {
        let sizes = [1_u64, 3, 224, 224].map(u64::to_be_bytes).concat();
        let length = u32::try_from(bytes).unwrap().to_be_bytes();
        let shape = [&4_u32.to_be_bytes()[..], &sizes].concat();
        let name = [&1_u32.to_be_bytes()[..], b"x", &Element::F32.encode()].concat();
        [name, shape, length.to_vec(), vec![7; bytes]].concat()
    };
    for usual in [3 * 224 * 224 * 4, 3 * 256 * 256 * 4, 3 * 299 * 299, 3 * 448 * 448, 3 * 512 * 512] {
        assert_eq!(Tensor::decode(&image(usual)).unwrap().encode(), image(usual));
    }
    assert!(Tensor::decode(&image(TENSOR_BYTES_MAX)).is_ok());
    let refused = Tensor::decode(&image(TENSOR_BYTES_MAX + 1)).unwrap_err();
    assert_eq!(refused, DecodeError::Limit { field: "Tensor.data", found: 819_201, limit: 819_200 });
}

#[test]
fn what_is_over_its_limit_cannot_be_made_or_said() {
    assert_eq!(List::<u8, 2>::new(vec![0; 3]), Err(TooLong { found: 3, limit: 2 }));
    assert_eq!(Text::<2>::new("abc"), Err(TooLong { found: 3, limit: 2 }));
    assert_eq!(Bytes::<2>::new(vec![0; 3]), Err(TooLong { found: 3, limit: 2 }));
    let text = |text: &str| Value::Text(text.to_owned());
    assert!(List::<u8, 2>::from_value(&Value::List(vec![Value::Number(0); 3])).is_err());
    assert!(Text::<2>::from_value(&text("abc")).is_err());
    assert!(Bytes::<2>::from_value(&text("aabbcc")).is_err());
    assert!(Bytes::<2>::from_value(&text("aab")).is_err());
    assert!(Bytes::<2>::from_value(&text("AA")).is_err());
    assert!(Bytes::<2>::from_value(&text("é")).is_err());
    assert!(u8::from_value(&Value::Number(256)).is_err());
    assert!(u64::from_value(&Value::Number(1 << 53)).is_err());
    assert_eq!(u64::from_value(&text("9007199254740992")), Ok(1 << 53));
    assert_eq!(u128::from_value(&text("0")), Ok(0));
    assert!(u128::from_value(&Value::Number(0)).is_err());
    assert_eq!(i32::from_value(&text("-7")), Ok(-7));
    assert!(["-0", "+7", "07", "2147483648"].iter().all(|face| i32::from_value(&text(face)).is_err()));
    assert!(i32::from_value(&Value::Number(7)).is_err());
}

#[test]
fn text_that_is_not_utf8_is_refused() {
    assert_eq!(Text::<4>::decode(&[0, 0, 0, 1, 0xff]), Err(DecodeError::Utf8 { field: "start" }));
}

#[test]
fn a_flag_or_a_word_of_another_number_is_refused_with_what_was_expected() {
    assert_eq!(bool::decode(&[2]), Err(DecodeError::Tag { field: "start", found: 2, expected: "0, 1" }));
    let error = Standing::decode(&[7]).unwrap_err();
    assert!(error.to_string().contains("7 is none of 1 2 3 4 5 6"), "{error}");
}

#[test]
fn an_opening_that_differs_from_its_receipt_in_any_field_is_refused_by_that_field() {
    let (opening, receipt) = (sample::<Opening>("opening"), sample::<Receipt>("receipt"));
    assert_eq!(opening.matches(&receipt), Ok(()));
    type Change = fn(&mut Receipt);
    let changes: [(&str, Change); 17] = [
        ("chain_id", |receipt| receipt.chain_id += 1),
        ("request", |receipt| receipt.request = Digest::ZERO),
        ("prompt", |receipt| receipt.prompt = Digest::ZERO),
        ("output", |receipt| receipt.output = Digest::ZERO),
        ("model", |receipt| receipt.model = Digest::ZERO),
        ("parameters", |receipt| receipt.parameters.seed = 0),
        ("template_time_ms", |receipt| receipt.template_time_ms += 1),
        ("prompt_tokens", |receipt| receipt.prompt_tokens += 1),
        ("output_tokens", |receipt| receipt.output_tokens += 1),
        ("stream_head", |receipt| receipt.stream_head = Digest::ZERO),
        ("gateway", |receipt| receipt.gateway = receipt.worker_key),
        ("assurance", |receipt| receipt.assurance = protocol::Assurance::Signed),
        ("privacy", |receipt| receipt.privacy = protocol::Privacy::Full),
        ("parents", |receipt| receipt.parents = List::default()),
        ("payment", |receipt| receipt.payment = None),
        ("charge", |receipt| receipt.charge += 1),
        ("nonce", |receipt| receipt.nonce = Digest::ZERO),
    ];
    for (field, change) in changes {
        let mut receipt = receipt.clone();
        change(&mut receipt);
        assert_eq!(opening.matches(&receipt), Err(Mismatch(field)));
    }
}

#[test]
fn a_salt_of_an_opening_cannot_be_exchanged() {
    let (opening, receipt) = (sample::<Opening>("opening"), sample::<Receipt>("receipt"));
    for (field, change) in [
        ("request", (|opening| opening.request_salt = Digest::ZERO) as fn(&mut Opening)),
        ("prompt", |opening| opening.prompt_salt = Digest::ZERO),
        ("output", |opening| opening.output_salt = Digest::ZERO),
    ] {
        let mut opening = opening.clone();
        change(&mut opening);
        assert_eq!(opening.matches(&receipt), Err(Mismatch(field)));
    }
}

#[test]
fn a_stream_that_broke_off_can_be_proven_up_to_its_last_token() {
    let start = StreamHead::start(&Digest::ZERO);
    let delivered = start.token(5).token(6);
    let whole = start.after(&Output::Tokens(List::new(vec![5, 6, 7]).unwrap()));
    assert_eq!(delivered.token(7), whole);
    assert_ne!(delivered, whole);
    assert_ne!(start.token(6).token(5), delivered);
}

#[test]
fn a_stream_with_scores_commits_to_the_prompts_first() {
    let start = StreamHead::start(&Digest::ZERO);
    let token = |token| ScoredToken { token, score: score(-5) };
    let prompt = List::new(vec![score(-1)]).unwrap();
    let tokens = List::new(vec![token(5), token(6)]).unwrap();
    let whole = start.after(&Output::Scored(Scored { prompt: prompt.clone(), tokens }));
    assert_eq!(start.prompt(&prompt).scored(&token(5)).scored(&token(6)), whole);
    assert_ne!(start.scored(&token(5)).scored(&token(6)), whole);
}

#[test]
fn a_receipt_shows_the_numbers_of_its_parameters_and_none_of_their_words() {
    let (opening, receipt) = (sample::<Opening>("opening"), sample::<Receipt>("receipt"));
    let parameters = &opening.request.parameters;
    assert_eq!(receipt.parameters, Sampling::from(parameters));
    let face = format!("{:?}", receipt.to_value());
    assert!(!parameters.stop.is_empty() && parameters.constraint.is_some() && !parameters.logit_bias.is_empty());
    assert!(!face.contains("###") && !face.contains("object") && !face.contains("bias"), "{face}");
}

#[test]
fn a_key_counts_from_its_first_epoch_up_to_its_end() {
    let record = |valid_until| KeyRecord { valid_until, ..sample::<KeyRecord>("key_record") };
    assert_eq!([1, 2, 8, 9].map(|epoch| record(9).is_valid_in(epoch)), [false, true, true, false]);
    assert!(record(OPEN_END).is_valid_in(u64::MAX - 1));
}

#[test]
fn only_a_receipt_found_false_is_refuted() {
    let refuted: Vec<_> = Standing::ALL.iter().filter(|standing| standing.is_refuted()).collect();
    assert_eq!(refuted, [&Standing::Refuted, &Standing::Withheld]);
}

#[test]
fn a_signature_holds_for_nothing_but_what_was_signed() {
    let mut receipt = sample::<SignedReceipt>("signed_receipt");
    assert!(receipt.signature_holds());
    receipt.receipt.charge += 1;
    assert!(!receipt.signature_holds());

    let mut transaction = sample::<SignedTransaction>("signed_transaction");
    assert!(transaction.signature_holds());
    transaction.transaction.nonce += 1;
    assert!(!transaction.signature_holds());

    let mut job = sample::<SignedJob>("signed_job");
    assert!(job.signature_holds());
    job.request.issued_at_ms += 1;
    assert!(!job.signature_holds());
    let (before, issued_at_ms) = (job.request.clone(), job.request.issued_at_ms + 60_000);
    job.issue_again(issued_at_ms, &key(12));
    assert!(job.signature_holds());
    assert_eq!(job.request, Request { issued_at_ms, ..before }, "nothing but its time has changed");

    let mut asked = sample::<SignedOpeningRequest>("signed_opening_request");
    assert!(asked.signature_holds());
    asked.request = OpeningRequest { chain_id: 8, ..asked.request };
    assert!(!asked.signature_holds());
}

#[test]
fn a_key_is_registered_by_its_own_consent_on_one_chain_and_for_one_operator() {
    let (node, operator, other) = (key(11), key(1).public_key(), key(2).public_key());
    let proof = prove_possession(&node, 7, &operator);
    assert!(possession_holds(&node.public_key(), 7, &operator, &proof));
    assert!(!possession_holds(&node.public_key(), 8, &operator, &proof));
    assert!(!possession_holds(&node.public_key(), 7, &other, &proof));
    assert!(!possession_holds(&other, 7, &operator, &proof));
}
