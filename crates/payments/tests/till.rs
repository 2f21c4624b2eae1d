//! The till at work: a handler runs once, what has left is paid, and nothing that was acknowledged is lost.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop where it is")]

mod stage;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use payments::{
    UNPAID_TOKENS_MAX,
    books::{ANSWERS_MAX, Answer, MATURED_MAX, Wanted},
    price::{Quote, Usage},
    scheme::Refused,
};
use protocol::Digest;
use stage::{PRICE, WAYS, Way, answers, holding, offer, pay, payer, rich, split, take, tariff, till, till_at, wanted};

fn output(tokens: u64) -> Usage {
    Usage { input: 5, output: tokens }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_replays_at_once_run_the_handler_once() {
    for way in WAYS {
        let folder = tempfile::tempdir().unwrap();
        let (till, offer, runs) = (till(folder.path()), offer(way), Arc::new(AtomicUsize::new(0)));
        let payment = pay(&payer(1), &offer, 1);
        let tasks: Vec<_> = (0..20)
            .map(|_| {
                let (till, offer, payment, runs) =
                    (Arc::clone(&till), offer.clone(), payment.clone(), Arc::clone(&runs));
                tokio::spawn(async move {
                    let split = split();
                    let reservation = take(&till, &payment, &offer, &rich(), &wanted(&offer, &split, 1))?;
                    runs.fetch_add(1, Ordering::SeqCst);
                    reservation.durable().await?;
                    reservation.charge(answers(100, 1)).await
                })
            })
            .collect();
        let mut paid = 0;
        for task in tasks {
            paid += usize::from(task.await.unwrap().is_ok());
        }
        assert_eq!((runs.load(Ordering::SeqCst), paid), (1, 1), "{way:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_payments_from_a_wallet_that_holds_one_run_the_handler_once() {
    for way in WAYS {
        let folder = tempfile::tempdir().unwrap();
        let (till, offer, runs) = (till(folder.path()), offer(way), Arc::new(AtomicUsize::new(0)));
        let tasks: Vec<_> = (0..10)
            .map(|index| {
                let (till, offer, runs) = (Arc::clone(&till), offer.clone(), Arc::clone(&runs));
                tokio::spawn(async move {
                    // Of a channel, ten vouchers, each over one more call.
                    let payment = match way {
                        Way::Batch => covering(&offer, u128::from(index + 1) * PRICE),
                        Way::Transfer | Way::Permit2 | Way::Upto => pay(&payer(1), &offer, index),
                    };
                    let split = split();
                    let taken = take(&till, &payment, &offer, &holding(PRICE), &wanted(&offer, &split, 1));
                    if let Ok(reservation) = taken {
                        runs.fetch_add(1, Ordering::SeqCst);
                        reservation.charge(answers(100, 1)).await.unwrap();
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(runs.load(Ordering::SeqCst), 1, "{way:?}");
    }
}

#[tokio::test]
async fn whoever_leaves_in_the_middle_is_charged_for_what_was_delivered() {
    for (way, charged) in [(Way::Transfer, PRICE), (Way::Permit2, PRICE), (Way::Upto, 200), (Way::Batch, 200)] {
        let folder = tempfile::tempdir().unwrap();
        let (till, offer, split) = (till(folder.path()), offer(way), split());
        let mut reservation =
            take(&till, &pay(&payer(1), &offer, 1), &offer, &rich(), &wanted(&offer, &split, 1)).unwrap();
        let purse = reservation.purse();
        reservation.delivered(output(20)).await.unwrap();
        drop(reservation);
        assert_eq!(till.books().purse(&purse).unwrap().spent, charged, "{way:?}");
        assert_eq!(till.books().reserved(&purse), 0);
    }
}

#[tokio::test]
async fn whoever_leaves_before_anything_came_is_charged_nothing_and_the_network_never_charges_for_its_own_faults() {
    for way in WAYS {
        let folder = tempfile::tempdir().unwrap();
        let (till, offer, split) = (till(folder.path()), offer(way), split());
        let taken = take(&till, &pay(&payer(1), &offer, 1), &offer, &rich(), &wanted(&offer, &split, 1)).unwrap();
        let purse = taken.purse();
        drop(taken);
        assert_eq!(till.books().purse(&purse).unwrap().spent, 0, "{way:?}");
        let other = payer(2);
        let taken = take(&till, &pay(&other, &offer, 2), &offer, &rich(), &wanted(&offer, &split, 1)).unwrap();
        taken.release();
        let third = payer(3);
        let mut taken = take(&till, &pay(&third, &offer, 3), &offer, &rich(), &wanted(&offer, &split, 1)).unwrap();
        taken.delivered(output(20)).await.unwrap();
        // Broken off without a receipt.
        assert_eq!(taken.charge(Vec::new()).await.unwrap().charged, 0, "{way:?}");
    }
}

#[tokio::test]
async fn after_a_crash_at_any_token_no_more_is_charged_than_was_delivered_and_few_tokens_go_unpaid() {
    for way in WAYS {
        for tokens in [1, 31, 32, 33, 63, 64, 65, 95, 96, 97] {
            let folder = tempfile::tempdir().unwrap();
            let (offer, split) = (offer(way), split());
            let first = till(folder.path());
            let payment = pay(&payer(1), &offer, 1);
            let mut taken = take(&first, &payment, &offer, &rich(), &wanted(&offer, &split, 1)).unwrap();
            let purse = taken.purse();
            taken.durable().await.unwrap();
            for token in 1..=tokens {
                taken.delivered(output(token)).await.unwrap();
            }
            // The process ends here: nothing more is written. What is on the disk is copied as a crash would leave it.
            let crashed = tempfile::tempdir().unwrap();
            std::fs::copy(folder.path().join("payments.log"), crashed.path().join("payments.log")).unwrap();
            std::mem::forget(taken);
            let again = till(crashed.path());
            let spent = again.books().purse(&purse).unwrap().spent;
            let paid = u64::try_from(spent / 10).unwrap();
            assert!(paid <= tokens && tokens - paid <= UNPAID_TOKENS_MAX, "{way:?}: {paid} of {tokens}");
            assert_eq!(again.books().open_calls(), 0);
        }
    }
}

#[tokio::test]
async fn a_long_prompt_is_written_down_with_the_first_token() {
    for way in WAYS {
        let folder = tempfile::tempdir().unwrap();
        let (offer, split) = (offer(way), split());
        let first = till(folder.path());
        let taken = take(&first, &pay(&payer(1), &offer, 1), &offer, &rich(), &wanted(&offer, &split, 1)).unwrap();
        let (purse, mut taken) = (taken.purse(), taken);
        taken.durable().await.unwrap();
        taken.delivered(Usage { input: 10_000, output: 1 }).await.unwrap();
        let crashed = tempfile::tempdir().unwrap();
        std::fs::copy(folder.path().join("payments.log"), crashed.path().join("payments.log")).unwrap();
        std::mem::forget(taken);
        // The stage's price is of what comes out: one token of it.
        assert_eq!(till(crashed.path()).books().purse(&purse).unwrap().spent, 10, "{way:?}");
    }
}

#[tokio::test]
async fn a_payment_is_known_after_a_restart() {
    for way in WAYS {
        let folder = tempfile::tempdir().unwrap();
        let (offer, split, payment) = (offer(way), split(), pay(&payer(1), &offer(way), 1));
        let first = till(folder.path());
        let taken = take(&first, &payment, &offer, &rich(), &wanted(&offer, &split, 1)).unwrap();
        taken.charge(answers(100, 1)).await.unwrap();
        drop(first);
        let again = till(folder.path());
        let refused = take(&again, &payment, &offer, &rich(), &wanted(&offer, &split, 1)).err().unwrap();
        let expected = if way == Way::Batch {
            "invalid_batch_settlement_evm_cumulative_amount_mismatch"
        } else {
            "invalid_transaction_state"
        };
        assert_eq!(refused.reason(), expected, "{way:?}");
    }
}

/// A voucher of the first payer's over so much.
fn covering(offer: &payments::scheme::Offer, sum: u128) -> payments::wire::PaymentPayload {
    let channel = stage::channel(&payer(1), offer);
    let payload = channel.voucher(&payer(1), sum);
    payments::payer::Channel::payment(&stage::required(&[]), &offer.requirements(), payload)
}

#[tokio::test]
async fn a_payment_identifier_stands_for_one_request() {
    for way in WAYS {
        let folder = tempfile::tempdir().unwrap();
        let (till, offer, split) = (till(folder.path()), offer(way), split());
        let payment = pay(&payer(1), &offer, 1);
        let mut first = wanted(&offer, &split, 1);
        first.name = Some(Digest([7; 32]));
        let taken = take(&till, &payment, &offer, &rich(), &first).unwrap();
        // Of a channel, by a voucher that covers one more call: the sum is not why it is refused.
        let next = if way == Way::Batch { covering(&offer, 2 * PRICE) } else { payment };
        let again = take(&till, &next, &offer, &rich(), &first).err();
        assert_eq!(again, Some(Refused::InFlight), "{way:?}");
        let mut other = wanted(&offer, &split, 2);
        other.name = first.name;
        assert_eq!(take(&till, &next, &offer, &rich(), &other).err(), Some(Refused::Conflict), "{way:?}");
        taken.charge(answers(10, 1)).await.unwrap();
        let another = take(&till, &pay(&payer(2), &offer, 2), &offer, &rich(), &first).err();
        assert_eq!(another, Some(Refused::Conflict), "{way:?}: another payment under the same name");
    }
}

#[tokio::test]
async fn a_charge_is_never_over_what_was_reserved() {
    for way in WAYS {
        let folder = tempfile::tempdir().unwrap();
        let (till, offer, split) = (till(folder.path()), offer(way), split());
        let taken = take(&till, &pay(&payer(1), &offer, 1), &offer, &rich(), &wanted(&offer, &split, 1)).unwrap();
        let ended = taken.charge(answers(1_000_000, 1)).await.unwrap();
        assert_eq!((ended.charged, ended.spent), (PRICE, PRICE), "{way:?}");
    }
}

#[tokio::test]
async fn a_channel_pays_for_calls_side_by_side_as_far_as_its_voucher_covers_them() {
    let folder = tempfile::tempdir().unwrap();
    let (till, offer, split, payer) = (till(folder.path()), offer(Way::Batch), split(), payer(1));
    let channel = stage::channel(&payer, &offer);
    let voucher = |cover| {
        let payload = channel.voucher(&payer, cover);
        payments::payer::Channel::payment(&stage::required(&[]), &offer.requirements(), payload)
    };
    let wanted = wanted(&offer, &split, 1);
    let one = take(&till, &voucher(PRICE), &offer, &rich(), &wanted).unwrap();
    let refused = take(&till, &voucher(PRICE), &offer, &rich(), &wanted).err();
    assert_eq!(refused, Some(Refused::Cumulative { found: PRICE, expected: 2 * PRICE }));
    let two = take(&till, &voucher(2 * PRICE), &offer, &rich(), &wanted).unwrap();
    assert_eq!(one.charge(answers(30, 1)).await.unwrap().spent, 300);
    assert_eq!(two.charge(answers(40, 2)).await.unwrap().spent, 700);
    // What was not charged is the payer's again: the voucher that covered two calls covers a third.
    let three = take(&till, &voucher(2 * PRICE), &offer, &rich(), &wanted).unwrap();
    assert_eq!(three.charge(answers(100, 3)).await.unwrap().spent, 1_700);
    let beyond = take(&till, &voucher(1_001 * PRICE), &offer, &rich(), &wanted).err();
    assert_eq!(beyond, Some(Refused::OverBalance { found: 1_001 * PRICE, balance: 1_000 * PRICE }));
}

#[tokio::test]
async fn a_session_pays_for_many_calls_and_never_more_than_its_cap() {
    let folder = tempfile::tempdir().unwrap();
    let (till, offer, split) = (till(folder.path()), offer(Way::Upto), split());
    let mut wanted = wanted(&offer, &split, 1);
    wanted.max = 400;
    let first = take(&till, &pay(&payer(1), &offer, 1), &offer, &rich(), &wanted).unwrap();
    let purse = first.purse();
    let second = till.draw(&purse, &wanted, stage::tariff(&offer)).unwrap();
    let third = till.draw(&purse, &wanted, stage::tariff(&offer)).err();
    assert_eq!(third, Some(Refused::SessionExhausted { left: 200, needed: 400 }), "atomic: two are reserved");
    first.charge(answers(10, 1)).await.unwrap();
    second.charge(answers(40, 2)).await.unwrap();
    assert_eq!(till.books().left(&purse), 500);
    till.note(|_| Some(payments::books::Entry::Closed(purse))).unwrap();
    assert_eq!(till.draw(&purse, &wanted, stage::tariff(&offer)).err(), Some(Refused::UnknownSession));
    assert_eq!(till.books().due_of(&purse).unwrap().amount, 500);
}

#[tokio::test]
async fn a_journal_that_is_begun_anew_says_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let (offer, split) = (offer(Way::Upto), split());
    let first = till(folder.path());
    for index in 0..20 {
        let payment = pay(&payer(1), &offer, index);
        let taken = take(&first, &payment, &offer, &rich(), &wanted(&offer, &split, 1)).unwrap();
        taken.charge(answers(index, 1)).await.unwrap();
    }
    let before = first.books().entries();
    assert!(!first.compact(u64::MAX, 3_600).unwrap());
    assert!(first.compact(0, 3_600).unwrap());
    let ticket = first.note(|books| books.mature(&[Digest([1; 32])], stage::NOW_MS)).unwrap().unwrap();
    first.durable(ticket).await.unwrap();
    assert_ne!(first.books().entries(), before);
    let after = first.books().clone();
    drop(first);
    let again = till(folder.path());
    let mut expected = after;
    for purse in expected.entries() {
        if let payments::books::Entry::Purse(purse) = purse {
            expected.apply(&payments::books::Entry::Closed(purse.id));
        }
    }
    assert_eq!(again.books().entries(), expected.entries());
}

#[tokio::test]
async fn a_payment_that_came_to_nothing_is_forgotten_an_hour_after_its_end_however_short_the_journal_is() {
    for way in [Way::Transfer, Way::Permit2, Way::Upto] {
        let (folder, offer, split) = (tempfile::tempdir().unwrap(), offer(way), split());
        let first = till(folder.path());
        let taken = take(&first, &pay(&payer(1), &offer, 1), &offer, &rich(), &wanted(&offer, &split, 1)).unwrap();
        let purse = taken.purse();
        taken.release();
        first.note(|_| Some(payments::books::Entry::Closed(purse))).unwrap();
        let is_known = |till: &payments::Till| till.books().purse(&purse).is_some();
        assert!(!first.compact(u64::MAX, 3_600).unwrap() && is_known(&first), "{way:?}");
        drop(first);
        let later = till_at(folder.path(), || stage::NOW_MS + 4_000_000);
        assert!(is_known(&later), "{way:?}");
        assert!(!later.compact(u64::MAX, 3_600).unwrap() && !is_known(&later), "{way:?}");
    }
}

#[tokio::test]
async fn a_large_state_is_begun_anew_once_and_not_with_every_look() {
    let folder = tempfile::tempdir().unwrap();
    let (offer, split, till) = (offer(Way::Upto), split(), till(folder.path()));
    let fill = async |indices: std::ops::Range<u64>| {
        for index in indices {
            let payment = pay(&payer(1), &offer, index);
            let taken = take(&till, &payment, &offer, &rich(), &wanted(&offer, &split, 1)).unwrap();
            taken.charge(answers(index, 1)).await.unwrap();
        }
    };
    fill(0..20).await;
    // All of it is still needed: the books are larger than what a journal may be.
    assert!(till.compact(1_000, 3_600).unwrap());
    let ticket = till.note(|books| books.mature(&[Digest([1; 32])], stage::NOW_MS)).unwrap();
    if let Some(ticket) = ticket {
        till.durable(ticket).await.unwrap();
    }
    for _ in 0..3 {
        assert!(!till.compact(1_000, 3_600).unwrap(), "nothing came since");
    }
    fill(20..80).await;
    assert!(till.compact(1_000, 3_600).unwrap(), "it is twice as long");
}

#[tokio::test]
async fn however_many_receipts_stand_at_once_all_that_they_hold_is_free() {
    for way in [Way::Upto, Way::Batch] {
        let folder = tempfile::tempdir().unwrap();
        let (till, offer, split) = (till(folder.path()), offer(way), split());
        let wanted = Wanted { max: PRICE / 10, ..wanted(&offer, &split, 1) };
        let first = take(&till, &pay(&payer(1), &offer, 1), &offer, &rich(), &wanted).unwrap();
        let purse = first.purse();
        let further = (0..8).map(|_| till.draw(&purse, &wanted, tariff(&offer)).unwrap());
        let mut receipts: Vec<Digest> = Vec::new();
        for reservation in std::iter::once(first).chain(further) {
            let places = receipts.len()..receipts.len() + ANSWERS_MAX;
            let own: Vec<Digest> = places.map(|place| crypto::hash("og/test", &[&place.to_be_bytes()])).collect();
            let answer = |receipt: &Digest| Answer { receipt: *receipt, amount: 1, opg: 1, worker: None };
            reservation.charge(own.iter().map(answer).collect()).await.unwrap();
            receipts.extend(own);
        }
        assert!(receipts.len() > MATURED_MAX, "more than a line of the journal holds");
        assert_eq!(till.books().held_upto(u64::MAX).count(), receipts.len(), "{way:?}");
        till.mature(&receipts, 0).unwrap();
        assert_eq!(till.books().held_upto(u64::MAX).count(), 0, "{way:?}");
        let last = till.draw(&purse, &wanted, tariff(&offer)).unwrap();
        last.leave(Vec::new(), Quote { amount: 10, opg: 10 }).unwrap();
        till.mature(&[], u64::MAX).unwrap();
        assert!(till.books().free().count() > 0, "{way:?}: what has no receipt, by its time");
    }
}
