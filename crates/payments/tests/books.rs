//! The books under any sequence of events: nobody is charged more than was signed, shares sum, and a journal says all of it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop where it is")]

mod stage;

use std::collections::BTreeMap;

use payments::{
    B256, U256,
    books::{Books, Due, Entry, PurseRecord, STRANGERS_MAX, SendingOn, USED_MAX, USED_OF_ONE, Wanted},
    chain::{Done, Log, Signature},
    keccak256,
    price::{Holder, Quote, address},
    scheme::{Offer, Refused, Scheme, batch},
    signing::{channel::ChannelConfig, permit2},
    wire::Network,
};
use proptest::prelude::*;
use protocol::{Canonical as _, Digest, share::Split};
use stage::{
    NOW_MS, NOW_S, PAY_TO, PRICE, WAYS, Way, answer, authorise, channel, deposited, holding, offer, pay, payer, split,
    wanted,
};

/// A payment of the first payer's, in the books.
fn opened(books: &mut Books, offer: &Offer) -> Digest {
    let authorised = authorise(&pay(&payer(1), offer, 1), offer, &holding(PRICE)).unwrap();
    let (purse, entry) = books.open(&authorised, NOW_MS).unwrap();
    books.apply(&entry);
    purse
}

/// A call on it.
fn called(books: &mut Books, purse: &Digest, offer: &Offer, split: &Split) -> u64 {
    let (call, entry) = books.reserve(purse, &wanted(offer, split, 1)).unwrap();
    books.apply(&entry);
    call
}

/// All that can be settled now.
fn all_due(books: &Books) -> Vec<Due> {
    let waiting = books.waiting(Network::BASE);
    let payments = waiting.iter().filter_map(|waiting| books.due_of(&waiting.purse));
    payments.chain(books.claimable(Network::BASE, 1)).collect()
}

/// What may happen; numbers are taken modulo what there is.
#[derive(Clone, Debug)]
enum Event {
    Open { way: usize, nonce: u64 },
    Voucher { cover: u128 },
    Reserve { purse: usize, max: u128, name: Option<u8> },
    Deliver { call: usize, amount: u128 },
    Charge { call: usize, amount: u128 },
    EndAnswer { call: usize, amount: u128 },
    Abandon { call: usize },
    Leave { call: usize, amount: u128 },
    Close { purse: usize },
    Settle { purse: usize, is_refused: bool },
    Refund { receipt: usize },
    Fall { receipt: usize },
    Mature { after_ms: u64 },
}

fn event() -> impl Strategy<Value = Event> {
    let small = 0_u128..2 * PRICE;
    prop_oneof![
        (0_usize..3, 0_u64..6).prop_map(|(way, nonce)| Event::Open { way, nonce }),
        (0_u128..12 * PRICE).prop_map(|cover| Event::Voucher { cover }),
        (any::<usize>(), small.clone(), proptest::option::of(0_u8..4)).prop_map(|(purse, max, name)| Event::Reserve {
            purse,
            max,
            name
        }),
        (any::<usize>(), small.clone()).prop_map(|(call, amount)| Event::Deliver { call, amount }),
        (any::<usize>(), small.clone()).prop_map(|(call, amount)| Event::Charge { call, amount }),
        (any::<usize>(), small.clone()).prop_map(|(call, amount)| Event::EndAnswer { call, amount }),
        any::<usize>().prop_map(|call| Event::Abandon { call }),
        (any::<usize>(), small).prop_map(|(call, amount)| Event::Leave { call, amount }),
        any::<usize>().prop_map(|purse| Event::Close { purse }),
        (any::<usize>(), any::<bool>()).prop_map(|(purse, is_refused)| Event::Settle { purse, is_refused }),
        any::<usize>().prop_map(|receipt| Event::Refund { receipt }),
        any::<usize>().prop_map(|receipt| Event::Fall { receipt }),
        (0_u64..10).prop_map(|after_ms| Event::Mature { after_ms }),
    ]
}

/// Books, their journal, and what must hold beside them.
#[derive(Default)]
struct World {
    books: Books,
    journal: Vec<Vec<u8>>,
    /// Settled on the chain, by purse: it takes each signature once, except a channel's.
    chain: BTreeMap<Digest, u128>,
    receipts: u8,
}

/// One of the receipts that a history's answers have.
fn receipt_of(index: usize) -> Digest {
    Digest([u8::try_from(index % 256).unwrap(); 32])
}

impl World {
    fn note(&mut self, entry: Entry) {
        self.journal.push(entry.encode());
        self.books.apply(&entry);
    }

    fn purses(&self) -> Vec<Digest> {
        let purses = self.books.entries().into_iter();
        purses.filter_map(|entry| if let Entry::Purse(purse) = entry { Some(purse.id) } else { None }).collect()
    }

    fn pick(&self, purse: usize) -> Option<Digest> {
        let purses = self.purses();
        purses.get(purse.checked_rem(purses.len())?).copied()
    }

    fn pick_call(&self, call: usize) -> Option<u64> {
        let entries = self.books.entries().into_iter();
        let calls: Vec<u64> =
            entries.filter_map(|entry| if let Entry::Call(call) = entry { Some(call.call) } else { None }).collect();
        calls.get(call.checked_rem(calls.len())?).copied()
    }

    fn step(&mut self, event: &Event) -> Option<()> {
        match event {
            Event::Open { way, nonce } => {
                let offer = offer(WAYS[*way]);
                let authorised = authorise(&pay(&payer(1), &offer, *nonce), &offer, &holding(3 * PRICE)).unwrap();
                let (_, entry) = self.books.open(&authorised, NOW_MS).ok()?;
                self.note(entry);
            }
            Event::Voucher { cover } => {
                let offer = offer(Way::Batch);
                let channel = channel(&payer(1), &offer);
                let voucher = batch::read(&channel.voucher(&payer(1), *cover), &offer, NOW_S).unwrap();
                self.books.note_facts(voucher.purse(), deposited(10 * PRICE));
                let (_, entries) = self.books.raise(&voucher, 1, &offer, NOW_MS).ok()?;
                entries.into_iter().for_each(|entry| self.note(entry));
            }
            Event::Reserve { purse, max, name } => {
                let (split, purse) = (split(), self.pick(*purse)?);
                let mut wanted = wanted(&offer(Way::Transfer), &split, 1);
                (wanted.max, wanted.name) = (*max, name.map(|name| Digest([name; 32])));
                let (_, entry) = self.books.reserve(&purse, &wanted).ok()?;
                self.note(entry);
            }
            Event::Deliver { call, amount } => {
                let quote = Quote { amount: *amount, opg: amount * 7 };
                let entry = self.books.deliver(self.pick_call(*call)?, quote).ok()??;
                self.note(entry);
            }
            Event::Charge { call, amount } => {
                let charged = self.charged(*amount);
                let entry = self.books.charge(self.pick_call(*call)?, charged, NOW_MS).unwrap();
                self.note(entry);
            }
            Event::EndAnswer { call, amount } => {
                self.receipts = self.receipts.wrapping_add(1);
                let ended = answer(*amount, amount * 7, self.receipts).remove(0);
                let counted = Quote { amount: amount / 2, opg: amount * 3 };
                let entry = self.books.end_answer(self.pick_call(*call)?, ended, counted)?;
                self.note(entry);
            }
            Event::Abandon { call } => {
                let entry = self.books.abandon(self.pick_call(*call)?, NOW_MS).unwrap();
                self.note(entry);
            }
            Event::Leave { call, amount } => {
                let (call, ended) = (self.pick_call(*call)?, self.ended());
                let entry = self.books.leave(call, ended, Quote { amount: *amount, opg: amount * 7 }, NOW_MS).unwrap();
                self.note(entry);
            }
            Event::Close { purse } => {
                self.note(Entry::Closed(self.pick(*purse)?));
            }
            Event::Settle { purse, is_refused } => {
                let due = all_due(&self.books);
                let due = due.get(purse.checked_rem(due.len())?)?.clone();
                self.settle(&due, *is_refused);
            }
            Event::Refund { receipt } => self.note(self.books.refund(&receipt_of(*receipt), NOW_MS).ok()?),
            Event::Fall { receipt } => self.note(self.books.fall(&receipt_of(*receipt), NOW_MS)?),
            Event::Mature { after_ms } => {
                let few = usize::try_from(*after_ms).unwrap();
                let receipts: Vec<Digest> =
                    self.books.held_upto(NOW_MS).map(|(receipt, _)| receipt).take(few).collect();
                let entry = self.books.mature(&receipts, NOW_MS - 5 + after_ms)?;
                self.note(entry);
            }
        }
        Some(())
    }

    /// What a call comes to: every third one has two answers.
    fn charged(&mut self, amount: u128) -> Vec<payments::books::Answer> {
        self.receipts = self.receipts.wrapping_add(1);
        let mut charged = answer(amount, amount * 7, self.receipts);
        if self.receipts.is_multiple_of(3) {
            self.receipts = self.receipts.wrapping_add(1);
            charged.extend(answer(amount / 2, amount * 7 / 2, self.receipts));
        }
        charged
    }

    /// What had ended of a call whose payer leaves: of every second one, an answer.
    fn ended(&mut self) -> Vec<payments::books::Answer> {
        self.receipts = self.receipts.wrapping_add(1);
        let has_ended = self.receipts.is_multiple_of(2);
        if has_ended { answer(PRICE / 3, PRICE, self.receipts) } else { Vec::new() }
    }

    fn settle(&mut self, due: &payments::books::Due, is_refused: bool) {
        let (id, transaction) = (due.purse.id, Digest([3; 32]));
        let entry = self.books.settling(&id, due.amount, transaction).unwrap();
        self.note(entry);
        assert!(self.books.settling(&id, due.amount, transaction).is_none(), "one at a time");
        if is_refused {
            let entry = self.books.unsettled(&id, transaction).unwrap();
            return self.note(entry);
        }
        let before = self.chain.insert(id, due.amount).unwrap_or_default();
        assert!(before == 0 || due.purse.scheme == payments::scheme::Scheme::Batch, "a signature settles once");
        assert!(before < due.amount && due.amount <= due.purse.cap, "never more than was signed");
        let entry = self.books.settled(&id, transaction, NOW_MS + 1).unwrap();
        self.note(entry);
    }

    fn check(&self) {
        for entry in self.books.entries() {
            match entry {
                Entry::Purse(purse) => {
                    let reserved = self.books.reserved(&purse.id);
                    assert!(purse.spent + reserved <= purse.cap, "{} + {reserved} > {}", purse.spent, purse.cap);
                }
                Entry::Charged(charged) => {
                    for answer in charged.answers.iter() {
                        let sum: u128 = self.books.shares(&charged, answer).iter().map(|share| share.amount).sum();
                        assert_eq!(sum, answer.opg, "the shares sum to the charge");
                    }
                }
                Entry::Call(call) => assert!(call.delivered <= call.max),
                _ => {}
            }
        }
        self.check_what_is_looked_up();
    }

    /// What a purse promises of its payer's balance, as it was a moment ago.
    fn promised_by(&self, purse: &PurseRecord) -> u128 {
        match (purse.scheme, purse.is_closed) {
            (Scheme::Batch, _) => 0,
            _ if purse.settled > 0 && purse.settled_at_ms < NOW_MS => 0,
            (_, false) => purse.cap,
            (Scheme::Exact, true) if purse.spent > 0 => purse.cap,
            (Scheme::Exact | Scheme::Upto, true) => purse.spent + self.books.reserved(&purse.id),
        }
    }

    /// What is looked up is what walking through everything finds.
    fn check_what_is_looked_up(&self) {
        let mut shares: BTreeMap<Holder, u128> =
            split().portions().iter().map(|portion| (portion.holder, 0)).chain([(Holder([0; 20]), 0)]).collect();
        let (mut due, mut unsure, mut open, mut held) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut promised: BTreeMap<(u64, Holder, Holder), u128> = BTreeMap::new();
        for entry in self.books.entries() {
            match entry {
                Entry::Charged(charged) => {
                    for answer in charged.answers.iter() {
                        held.extend((answer.receipt != Digest::ZERO).then_some(answer.receipt));
                        for share in self.books.shares(&charged, answer) {
                            *shares.entry(share.holder).or_default() += share.amount;
                        }
                    }
                }
                Entry::Purse(purse) => {
                    let is_over = purse.is_closed && self.books.reserved(&purse.id) == 0;
                    let is_ripe = match purse.scheme {
                        Scheme::Exact => is_over,
                        Scheme::Upto => is_over && purse.settled == 0,
                        Scheme::Batch => true,
                    };
                    *promised.entry((purse.network, purse.asset, purse.payer)).or_default() += self.promised_by(&purse);
                    unsure.extend(purse.settling.is_some().then_some(purse.id));
                    due.extend(
                        (is_ripe && purse.settling.is_none() && purse.spent > purse.settled).then_some(purse.id),
                    );
                    open.extend((purse.scheme == Scheme::Upto && !purse.is_closed).then_some(purse.id));
                }
                _ => {}
            }
        }
        for ((network, asset, payer), sum) in promised {
            assert_eq!(self.books.promised(Network(network), address(&asset), address(&payer), NOW_MS), sum);
        }
        for (holder, sum) in shares {
            assert_eq!(self.books.held_of(holder), sum);
        }
        let ids = |due: Vec<Due>| sorted(due.into_iter().map(|due| due.purse.id).collect());
        assert_eq!((ids(all_due(&self.books)), ids(self.books.unsure(Network::BASE))), (sorted(due), sorted(unsure)));
        assert_eq!(sorted(self.books.expiring(u64::MAX, 0)), sorted(open));
        let found = self.books.held_upto(u64::MAX).map(|(receipt, _)| receipt).collect();
        assert_eq!(sorted(found), sorted(held));
    }
}

fn sorted(mut ids: Vec<Digest>) -> Vec<Digest> {
    ids.sort_unstable();
    ids
}

/// What an open call comes to: its receipts, and what was delivered of answers without one.
fn what_is_written_down_of(books: &Books, call: &payments::books::CallRecord) -> u128 {
    let (mut receipts, mut counted) = (0, 0);
    for entry in books.entries() {
        if let Entry::AnswerEnded(ended) = entry
            && ended.call == call.call
        {
            receipts += ended.answer.amount;
            counted += ended.delivered;
        }
    }
    call.max.min(receipts + call.delivered.saturating_sub(counted))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn whatever_happens_the_books_are_right_and_the_journal_says_them(
        events in proptest::collection::vec(event(), 1..60),
    ) {
        let mut world = World::default();
        for event in &events {
            let _ = world.step(event);
            world.check();
        }
        // The journal from its beginning leads to the same books, but for what ends with a restart.
        let (recovered, ends) = Books::recover(&world.journal, NOW_MS).unwrap();
        let mut expected = world.books.clone();
        ends.iter().for_each(|entry| expected.apply(entry));
        prop_assert_eq!(recovered.entries(), expected.entries());
        prop_assert_eq!(recovered.open_calls(), 0);
        // So does the shortest journal that says the same.
        let lines: Vec<Vec<u8>> = world.books.entries().iter().map(|entry| entry.encode()).collect();
        let (kept, _) = Books::recover(&lines, NOW_MS).unwrap();
        prop_assert_eq!(kept.entries(), expected.entries());
    }

    /// A journal cut anywhere: nobody is charged more than it says was delivered or charged.
    #[test]
    fn a_crash_after_any_line_charges_no_more_than_was_written_down(
        events in proptest::collection::vec(event(), 1..60), cut: usize,
    ) {
        let mut world = World::default();
        for event in &events {
            let _ = world.step(event);
        }
        let lines = &world.journal[..cut % (world.journal.len() + 1)];
        let mut before = Books::default();
        lines.iter().for_each(|line| before.apply(&Entry::decode(line).unwrap()));
        let (after, _) = Books::recover(lines, NOW_MS).unwrap();
        for entry in before.entries() {
            let Entry::Purse(purse) = entry else { continue };
            let open = before.entries().into_iter().filter_map(|entry| match entry {
                Entry::Call(call) if call.purse == purse.id => Some(what_is_written_down_of(&before, &call)),
                _ => None,
            });
            prop_assert_eq!(after.purse(&purse.id).unwrap().spent, purse.spent + open.sum::<u128>());
        }
    }

    #[test]
    fn a_damaged_line_is_refused_or_changes_no_invariant(line in proptest::collection::vec(any::<u8>(), 0..200)) {
        match Books::recover(&[line], NOW_MS) {
            Ok((books, _)) => World { books, ..World::default() }.check_caps(),
            Err(error) => prop_assert_eq!(error.line, 0),
        }
    }
}

impl World {
    fn check_caps(&self) {
        assert_eq!(self.books.open_calls(), 0);
    }
}

#[test]
fn ten_payments_from_a_wallet_that_holds_one_open_one_purse() {
    for way in [Way::Transfer, Way::Permit2, Way::Upto] {
        let (offer, mut books) = (offer(way), Books::default());
        let opened = (0..10).filter(|index| {
            let authorised = authorise(&pay(&payer(1), &offer, *index), &offer, &holding(PRICE)).unwrap();
            match books.open(&authorised, NOW_MS) {
                Ok((_, entry)) => {
                    books.apply(&entry);
                    true
                }
                Err(refused) => {
                    assert!(matches!(refused, Refused::Funds { held: PRICE, .. }), "{refused}");
                    false
                }
            }
        });
        assert_eq!(opened.count(), 1, "{way:?}");
    }
}

#[test]
fn what_a_balance_shows_already_is_not_counted_twice() {
    for way in [Way::Transfer, Way::Permit2, Way::Upto] {
        what_a_balance_shows_of(way);
    }
}

fn what_a_balance_shows_of(way: Way) {
    let (offer, mut books, split) = (offer(way), Books::default(), split());
    let mut facts = holding(PRICE);
    let (purse, entry) = books.open(&authorise(&pay(&payer(1), &offer, 1), &offer, &facts).unwrap(), NOW_MS).unwrap();
    books.apply(&entry);
    let call = called(&mut books, &purse, &offer, &split);
    books.apply(&books.charge(call, answer(PRICE, PRICE, 1), NOW_MS).unwrap());
    let open = |books: &Books, facts: &payments::scheme::WalletFacts| {
        books.open(&authorise(&pay(&payer(1), &offer, 2), &offer, facts).unwrap(), NOW_MS)
    };
    assert!(open(&books, &facts).is_err(), "charged and not settled");
    books.apply(&Entry::Closed(purse));
    books.apply(&books.settling(&purse, PRICE, Digest([3; 32])).unwrap());
    books.apply(&books.settled(&purse, Digest([3; 32]), NOW_MS + 10).unwrap());
    assert!(open(&books, &facts).is_err(), "the balance was asked before the settlement");
    facts.asked_at_ms = NOW_MS + 11;
    assert!(open(&books, &facts).is_ok(), "the wallet was filled again");
}

#[test]
fn a_refund_undoes_an_unsettled_charge_and_owes_a_settled_one() {
    for (way, is_settled) in WAYS.into_iter().flat_map(|way| [(way, false), (way, true)]) {
        let (offer, mut books, split) = (offer(way), Books::default(), split());
        let purse = if way == Way::Batch { raised(&mut books) } else { opened(&mut books, &offer) };
        let call = called(&mut books, &purse, &offer, &split);
        let charge = answer(600, 600, 1);
        books.apply(&books.charge(call, charge, NOW_MS).unwrap());
        assert_eq!(books.held_of(split.portions()[0].holder), 360);
        books.apply(&Entry::Closed(purse));
        if is_settled {
            books.apply(&books.settling(&purse, 600, Digest([3; 32])).unwrap());
            let too_soon = books.refund(&Digest([1; 32]), NOW_MS);
            assert_eq!(too_soon, Err(Refused::InFlight), "nobody knows yet whether its payer has paid");
            books.apply(&books.settled(&purse, Digest([3; 32]), NOW_MS).unwrap());
        }
        books.apply(&books.refund(&Digest([1; 32]), NOW_MS).unwrap());
        assert_eq!(books.held_of(split.portions()[0].holder), 0, "held credit is taken back first");
        let owed = books.owed(offer.asset.network, offer.asset.address, payer(1).key().address());
        let spent = books.purse(&purse).unwrap().spent;
        // A payment by `exact` has moved whole.
        let back = if matches!(way, Way::Transfer | Way::Permit2) { PRICE } else { 600 };
        assert_eq!((spent, owed), if is_settled { (600, back) } else { (0, 0) });
        assert!(books.refund(&Digest([1; 32]), NOW_MS).is_err(), "once");
        assert!(all_due(&books).is_empty(), "nothing is left to settle");
        let model = wanted(&offer, &split, 1).model;
        assert_eq!(books.revenue_of(&model).map(|(_, amount, calls)| (amount, calls)).collect::<Vec<_>>(), [(0, 0)]);
    }
}

#[test]
fn what_fell_stays_charged_for_the_ledger_says_that_its_payer_is_owed_it_and_nobody_earned_it() {
    for (way, is_settled) in WAYS.into_iter().flat_map(|way| [(way, false), (way, true)]) {
        let (offer, mut books, split) = (offer(way), Books::default(), split());
        let purse = if way == Way::Batch { raised(&mut books) } else { opened(&mut books, &offer) };
        let call = called(&mut books, &purse, &offer, &split);
        books.apply(&books.charge(call, answer(600, 4_200, 1), NOW_MS).unwrap());
        books.apply(&Entry::Closed(purse));
        if is_settled {
            books.apply(&books.settling(&purse, 600, Digest([3; 32])).unwrap());
        }
        let fallen = books.fall(&Digest([1; 32]), NOW_MS).unwrap();
        books.apply(&fallen);
        books.apply(&fallen);
        if is_settled {
            books.apply(&books.settled(&purse, Digest([3; 32]), NOW_MS).unwrap());
        }
        assert_eq!(books.held_of(split.portions()[0].holder), 0, "{way:?}: held credit is let go");
        assert_eq!(books.free().count(), 0, "{way:?}: and is nobody's here");
        assert_eq!(books.purse(&purse).unwrap().spent, 600, "{way:?}: it is settled like what stands");
        assert_eq!(all_due(&books).len(), usize::from(!is_settled), "{way:?}");
        let owed = books.owed(offer.asset.network, offer.asset.address, payer(1).key().address());
        // A payment by `exact` has moved whole: what was not charged of it is its payer's, and no more.
        let rest = if is_settled && matches!(way, Way::Transfer | Way::Permit2) { PRICE - 600 } else { 0 };
        assert_eq!(owed, rest, "{way:?}: not given back twice");
        assert!(books.fall(&Digest([1; 32]), NOW_MS).is_none(), "{way:?}: once");
        assert!(books.refund(&Digest([1; 32]), NOW_MS).is_err(), "{way:?}: and in one way");
        let model = wanted(&offer, &split, 1).model;
        assert_eq!(books.revenue_of(&model).map(|(_, amount, calls)| (amount, calls)).collect::<Vec<_>>(), [(0, 0)]);
        for books in [&books, &kept(&books)] {
            let sums: Vec<_> = books.converted().map(|sums| (sums.amount, sums.opg, sums.count)).collect();
            assert_eq!(sums, [(600, 4_200, 1)], "{way:?}: what was taken, and what is owed for it");
        }
    }
}

#[test]
fn credit_is_free_once_the_window_has_closed_and_can_be_refunded_no_more() {
    for way in WAYS {
        let (offer, mut books, split) = (offer(way), Books::default(), split());
        let purse = if way == Way::Batch { raised(&mut books) } else { opened(&mut books, &offer) };
        let call = called(&mut books, &purse, &offer, &split);
        books.apply(&books.charge(call, answer(600, 601, 1), NOW_MS).unwrap());
        let others = books.mature(&[Digest([2; 32])], NOW_MS);
        assert!(others.is_none(), "{way:?}: its own receipt must stand, however much time has passed");
        assert_eq!(books.held_upto(NOW_MS).collect::<Vec<_>>(), [(Digest([1; 32]), NOW_MS)], "{way:?}");
        books.apply(&books.mature(&[Digest([1; 32])], 0).unwrap());
        assert!(books.refund(&Digest([1; 32]), NOW_MS).is_err(), "{way:?}");
        assert_eq!(books.held_of(split.portions()[0].holder), 0, "{way:?}");
        assert_eq!(books.free().count(), 0, "{way:?}: what has a receipt is the ledger's to say");
    }
}

#[test]
fn what_stands_is_counted_in_what_it_was_paid_in_and_in_opg_and_what_falls_is_not() {
    let (mut books, split) = (Books::default(), split());
    let (dollars, coins) = (offer(Way::Transfer), offer(Way::Upto));
    let purse = opened(&mut books, &dollars);
    let call = called(&mut books, &purse, &dollars, &split);
    books.apply(&books.charge(call, answer(600, 4_200, 1), NOW_MS).unwrap());
    let purse = opened(&mut books, &coins);
    let call = called(&mut books, &purse, &coins, &split);
    books.apply(&books.leave(call, answer(300, 300, 2), Quote { amount: 40, opg: 40 }, NOW_MS).unwrap());
    let purse = raised(&mut books);
    let call = called(&mut books, &purse, &offer(Way::Batch), &split);
    books.apply(&books.charge(call, answer(500, 3_500, 3), NOW_MS).unwrap());
    assert_eq!(books.converted().count(), 0, "all of it may fall");
    books.apply(&books.refund(&Digest([3; 32]), NOW_MS).unwrap());
    books.apply(&books.mature(&[Digest([1; 32]), Digest([2; 32])], NOW_MS).unwrap());
    let holder = |offer: &Offer| payments::price::holder(offer.asset.address);
    for books in [&books, &kept(&books)] {
        let sums: Vec<_> = books.converted().map(|sums| (sums.asset, sums.amount, sums.opg, sums.count)).collect();
        assert_eq!(sums, [(holder(&dollars), 600, 4_200, 1), (holder(&coins), 340, 340, 2)]);
    }
}

#[test]
fn what_a_charge_is_worth_when_its_shares_are_due_less_what_is_due_is_gained_or_lost() {
    let (mut books, split, dollars) = (Books::default(), split(), offer(Way::Transfer));
    let (network, asset) = (dollars.asset.network, dollars.asset.address);
    let quote = |amount, opg| Quote { amount, opg };
    assert!(books.value(network, asset, quote(0, 7)).is_none(), "of nothing there is no worth");
    // Seven of OPG a unit where calls are taken; then, before each stands, what a unit has come to be worth.
    for (index, (value, gained)) in
        [(None, 0_i128), (Some(quote(1_000, 9_000)), 1_200), (Some(quote(1, 4)), -600)].into_iter().enumerate()
    {
        if let Some(value) = value {
            books.apply(&books.value(network, asset, value).unwrap());
            assert!(books.value(network, asset, value).is_none(), "it is known");
        }
        let receipt = u8::try_from(index + 1).unwrap();
        let authorised =
            authorise(&pay(&payer(1), &dollars, u64::from(receipt)), &dollars, &holding(10 * PRICE)).unwrap();
        let (purse, entry) = books.open(&authorised, NOW_MS).unwrap();
        books.apply(&entry);
        let call = called(&mut books, &purse, &dollars, &split);
        books.apply(&books.charge(call, answer(600, 4_200, receipt), NOW_MS).unwrap());
        let before: Vec<i128> = books.converted().map(|sums| books.gained(&sums)).collect();
        books.apply(&books.mature(&[Digest([receipt; 32])], NOW_MS).unwrap());
        for books in [&books, &kept(&books)] {
            let found: Vec<i128> = books.converted().map(|sums| books.gained(&sums)).collect();
            assert_eq!(found, [gained], "after {before:?}");
        }
    }
    // A journal that was begun anew before anything was valued.
    let sums = books.converted().next().unwrap();
    let mut old = Books::default();
    old.apply(&Entry::Converted(sums.clone()));
    assert_eq!((old.gained(&sums), kept(&old)), (0, old));
}

#[test]
fn what_had_no_receipt_is_free_once_its_time_has_passed() {
    let (offer, mut books, split) = (offer(Way::Upto), Books::default(), split());
    let purse = opened(&mut books, &offer);
    let call = called(&mut books, &purse, &offer, &split);
    books.apply(&books.leave(call, Vec::new(), Quote { amount: 600, opg: 601 }, NOW_MS).unwrap());
    assert!(books.mature(&[], NOW_MS - 1).is_none());
    books.apply(&books.mature(&[], NOW_MS).unwrap());
    assert_eq!(books.free().map(|(_, amount)| amount).sum::<u128>(), 601);
}

#[test]
fn free_shares_are_paid_once_under_a_number_that_the_ledger_takes_once() {
    use payments::books::Freed;
    let holder = |index| payments::price::holder(alloy_primitives::Address::with_last_byte(index));
    let mut books = Books::default();
    assert!(books.pay_out(0, &[]).is_none(), "there is nothing to pay");
    for (index, amount) in [(0, 10), (1, 15)] {
        books.apply(&Entry::Freed(Freed { holder: holder(index), amount }));
    }
    let entry = books.pay_out(4, &[(holder(1), 60), (holder(2), 15), (holder(3), 0)]).unwrap();
    books.apply(&entry);
    let paying = books.paying_out().unwrap().clone();
    let shares: Vec<_> = paying.shares.iter().map(|share| (share.holder, share.due, share.unreceipted)).collect();
    assert_eq!(shares, [(holder(0), 0, 10), (holder(1), 60, 15), (holder(2), 15, 0)]);
    assert!(books.pay_out(5, &[]).is_none(), "one at a time");
    assert!(books.paid_out(4).is_none(), "the ledger still waits for it");
    books.apply(&Entry::Freed(Freed { holder: holder(1), amount: 20 }));
    let lines: Vec<Vec<u8>> = books.entries().iter().map(|entry| entry.encode()).collect();
    let mut kept = Books::recover(&lines, NOW_MS).unwrap().0;
    assert_eq!(kept, books, "a journal begun anew knows what is under way");
    kept.apply(&kept.paid_out(5).unwrap());
    assert_eq!(kept.free().collect::<Vec<_>>(), [(holder(1), 5)], "what came meanwhile stays");
    let due = [(holder(1), 1)];
    assert!(kept.paid_out(6).is_none() && kept.pay_out(4, &due).is_none(), "nobody who is behind is believed");
    assert!(matches!(kept.pay_out(5, &due), Some(Entry::PayingOut(next)) if next.number == 5));
    let mut late = books.clone();
    assert!(late.lower(&[(holder(1), 60), (holder(2), 15)]).is_none(), "it stands");
    late.apply(&late.lower(&[(holder(1), 7)]).unwrap());
    let left: Vec<_> = late.paying_out().unwrap().shares.iter().map(|share| (share.due, share.unreceipted)).collect();
    assert_eq!(left, [(0, 10), (7, 15)], "what its payees got out of the stake is not sent again");
    let mut none = Books::default();
    none.apply(&none.pay_out(0, &[(holder(1), 5)]).unwrap());
    none.apply(&none.lower(&[]).unwrap());
    assert!(none.paying_out().is_none());
    assert!(kept.pay_out(5, &[(holder(1), u128::MAX)]).is_none(), "what cannot have been charged is not paid");
    let many: Vec<_> = (0..=255).map(|index| (payments::price::Holder([index; 20]), 1)).collect();
    assert!(matches!(kept.pay_out(5, &many), Some(Entry::PayingOut(next)) if next.shares.len() == 256));
    let lines: Vec<Vec<u8>> = kept.entries().iter().map(|entry| entry.encode()).collect();
    assert_eq!(Books::recover(&lines, NOW_MS).unwrap().0, kept);
}

#[test]
fn an_exact_payment_is_charged_whole_and_after_a_crash_what_had_left() {
    let quote = |amount| Quote { amount, opg: amount };
    for way in [Way::Transfer, Way::Permit2] {
        let (offer, split) = (offer(way), split());
        let opened = |marked| {
            let mut books = Books::default();
            let purse = opened(&mut books, &offer);
            let call = called(&mut books, &purse, &offer, &split);
            if let Some(entry) = books.deliver(call, quote(marked)).unwrap() {
                books.apply(&entry);
            }
            (books, purse, call)
        };
        let (books, purse, _) = opened(0);
        assert_eq!(kept(&books).purse(&purse).unwrap().spent, 0, "{way:?}: nothing had left");
        let (books, purse, _) = opened(10);
        let mut after = kept(&books);
        let (network, asset, payer_of) = (offer.asset.network, offer.asset.address, payer(1).key().address());
        assert_eq!(after.purse(&purse).unwrap().spent, 10, "{way:?}");
        assert_eq!(after.promised(network, asset, payer_of, NOW_MS), PRICE, "{way:?}: it moves whole");
        assert_eq!(all_due(&after).len(), 1, "{way:?}");
        after.apply(&after.settling(&purse, 10, Digest([3; 32])).unwrap());
        after.apply(&after.settled(&purse, Digest([3; 32]), NOW_MS).unwrap());
        assert_eq!(after.owed(network, asset, payer_of), PRICE - 10, "{way:?}: and the rest goes back");
        let (mut books, purse, call) = opened(0);
        books.apply(&books.leave(call, Vec::new(), quote(0), NOW_MS).unwrap());
        assert_eq!(books.purse(&purse).unwrap().spent, 0, "{way:?}: left before anything came");
        let (mut books, purse, call) = opened(10);
        books.apply(&books.leave(call, Vec::new(), quote(10), NOW_MS).unwrap());
        assert_eq!(books.purse(&purse).unwrap().spent, PRICE, "{way:?}: left in the middle");
        assert!(matches!(books.reserve(&purse, &wanted(&offer, &split, 1)), Err(Refused::NonceUsed)), "{way:?}");
    }
}

#[test]
fn after_a_crash_an_answer_that_has_a_receipt_is_charged_by_it_and_the_others_by_what_was_delivered() {
    let quote = |amount| Quote { amount, opg: 7 * amount };
    for way in WAYS {
        let (offer, mut books, split) = (offer(way), Books::default(), split());
        let purse = if way == Way::Batch { raised(&mut books) } else { opened(&mut books, &offer) };
        let call = called(&mut books, &purse, &offer, &split);
        let crashed = |books: &Books, expected| {
            let after = kept(books);
            assert_eq!(after.purse(&purse).unwrap().spent, expected, "{way:?}");
            assert_eq!((after.reserved(&purse), after.open_calls()), (0, 0), "{way:?}");
            after
        };
        crashed(&books, 0);
        // Two answers are under way, of which 100 and 60 have left; then one has its receipt.
        books.apply(&books.deliver(call, quote(160)).unwrap().unwrap());
        let ended = books.end_answer(call, answer(130, 910, 1).remove(0), quote(100)).unwrap();
        books.apply(&ended);
        books.apply(&ended);
        let after = crashed(&books, 130 + 60);
        let (_, charge) = after.charge_of(&Digest([1; 32])).unwrap();
        assert_eq!((charge.amount, charge.opg), (130, 910), "{way:?}: as its receipt says");
        // What came to its end before the crash is charged once.
        books.apply(&books.charge(call, answer(130, 910, 1), NOW_MS).unwrap());
        crashed(&books, 130);
        assert!(books.end_answer(call, answer(1, 1, 2).remove(0), quote(0)).is_none(), "{way:?}: the call is over");
    }
}

#[test]
fn whoever_leaves_is_charged_what_had_ended_by_its_receipts_and_the_rest_by_what_was_used() {
    let quote = |amount| Quote { amount, opg: 7 * amount };
    for way in WAYS {
        // By `exact` the price is the call's.
        let sums = if matches!(way, Way::Transfer | Way::Permit2) { [300, PRICE - 300] } else { [300, 40] };
        let (offer, split, mut books) = (offer(way), split(), Books::default());
        let purse = if way == Way::Batch { raised(&mut books) } else { opened(&mut books, &offer) };
        let call = called(&mut books, &purse, &offer, &split);
        let left = books.leave(call, answer(300, 7 * 300, 5), quote(40), NOW_MS).unwrap();
        let Entry::Charged(charged) = &left else { panic!("{left:?}") };
        let found: Vec<_> = charged.answers.iter().map(|answer| (answer.receipt, answer.amount, answer.opg)).collect();
        // By one rate, so that nothing of what the payer pays is nobody's.
        let expected = [(Digest([5; 32]), sums[0], 7 * sums[0]), (Digest::ZERO, sums[1], 7 * sums[1])];
        assert_eq!(found, expected, "{way:?}");
        books.apply(&left);
        assert_eq!(books.purse(&purse).unwrap().spent, sums[0] + sums[1]);
        assert!(books.charge_of(&Digest([5; 32])).is_some(), "what is refuted later is paid back");
    }
}

#[test]
fn a_call_that_was_late_by_our_own_doing_is_charged_what_came_of_it() {
    let quote = |amount| Quote { amount, opg: 7 * amount };
    for way in [Way::Transfer, Way::Permit2, Way::Upto] {
        let (offer, split, mut books) = (offer(way), split(), Books::default());
        let purse = opened(&mut books, &offer);
        let call = called(&mut books, &purse, &offer, &split);
        assert_eq!(books.cut_off(call, Vec::new(), Quote::ZERO, NOW_MS), Ok(Entry::Released(call)), "{way:?}");
        books.apply(&books.cut_off(call, answer(300, 7 * 300, 5), quote(40), NOW_MS).unwrap());
        assert_eq!(books.purse(&purse).unwrap().spent, 340, "{way:?}");
    }
}

#[test]
fn a_purse_is_forgotten_only_when_nothing_can_come_of_it_any_more() {
    for way in [Way::Transfer, Way::Permit2, Way::Upto] {
        let (offer, mut books) = (offer(way), Books::default());
        let purse = opened(&mut books, &offer);
        let past = NOW_S + offer.max_timeout_s + 3_601;
        assert!(books.forgettable(past, 3_600).is_empty(), "{way:?}: still open");
        books.apply(&Entry::Closed(purse));
        assert!(books.forgettable(past - 1, 3_600).is_empty(), "{way:?}: its payment could be sent again");
        assert_eq!(books.forgettable(past, 3_600), [purse], "{way:?}");
    }
}

#[test]
fn of_a_payment_that_was_charged_nothing_only_that_it_was_used_is_kept() {
    let proof = |books: &Books, purse: &Digest| books.purse(purse).unwrap().proof.len();
    for way in [Way::Transfer, Way::Permit2, Way::Upto] {
        let (offer, split, mut books) = (offer(way), split(), Books::default());
        let purse = opened(&mut books, &offer);
        let call = called(&mut books, &purse, &offer, &split);
        assert!(proof(&books, &purse) > 0);
        let mut charged = books.clone();
        charged.apply(&charged.charge(call, answer(1, 1, 1), NOW_MS).unwrap());
        charged.apply(&Entry::Closed(purse));
        assert!(proof(&charged, &purse) > 0, "{way:?}: it is to be settled");
        // A session ends while its call is answered, which is then charged nothing.
        books.apply(&Entry::Closed(purse));
        assert!(proof(&books, &purse) > 0, "{way:?}: it may be charged still");
        books.apply(&books.abandon(call, NOW_MS).unwrap());
        assert_eq!(proof(&books, &purse), 0, "{way:?}");
        let again = authorise(&pay(&payer(1), &offer, 1), &offer, &holding(PRICE)).unwrap();
        assert_eq!(kept(&books).open(&again, NOW_MS).err(), Some(Refused::NonceUsed), "{way:?}");
    }
}

#[test]
fn payments_that_came_to_nothing_cost_no_time_and_keep_out_only_who_brings_more_of_them() {
    let (offer, split, mut books) = (offer(Way::Transfer), split(), Books::default());
    let purse = opened(&mut books, &offer);
    let call = called(&mut books, &purse, &offer, &split);
    books.apply(&books.abandon(call, NOW_MS).unwrap());
    let nothing = books.purse(&purse).unwrap().clone();
    let used = |index: u64, payer: Holder| {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&index.to_be_bytes());
        Entry::Purse(PurseRecord { id: Digest(id), payer, ..nothing.clone() })
    };
    let open = |books: &Books, seed: u8| {
        let payment = authorise(&pay(&payer(seed), &offer, 2), &offer, &holding(PRICE)).unwrap();
        books.open(&payment, NOW_MS).map(|_| ())
    };
    let other = payments::price::holder(payer(2).key().address());
    let others = USED_OF_ONE - 1;
    (0..).take(others).for_each(|index| books.apply(&used(index, other)));
    (1 << 32..).take(USED_MAX - others - 2).for_each(|index| books.apply(&used(index, nothing.payer)));
    assert_eq!(open(&books, 1), Ok(()), "there is room for one more");
    books.apply(&used(1 << 33, nothing.payer));
    assert_eq!(open(&books, 1), Err(Refused::Fruitless));
    assert_eq!((open(&books, 2), open(&books, 3)), (Ok(()), Ok(())), "others did not fill it");
    let (network, asset, began_at) = (offer.asset.network, offer.asset.address, std::time::Instant::now());
    for _ in 0..10_000 {
        assert_eq!(books.promised(network, asset, payer(1).key().address(), NOW_MS), 0);
    }
    assert!(began_at.elapsed() < std::time::Duration::from_secs(20), "nobody walks through all of them");
    books.forget_used(nothing.expires_at_s);
    assert_eq!(open(&books, 1), Err(Refused::Fruitless), "they could be sent again");
    books.forget_used(nothing.expires_at_s + 1);
    assert_eq!(open(&books, 1), Ok(()));
}

#[test]
fn whoever_paid_is_known_for_as_long_as_its_answer_may_be_refuted() {
    for (way, back) in [(Way::Transfer, PRICE), (Way::Permit2, PRICE), (Way::Upto, 600)] {
        let (offer, mut books, split) = (offer(way), Books::default(), split());
        let purse = opened(&mut books, &offer);
        let call = called(&mut books, &purse, &offer, &split);
        books.apply(&books.charge(call, answer(600, 600, 1), NOW_MS).unwrap());
        books.apply(&Entry::Closed(purse));
        books.apply(&books.settling(&purse, 600, Digest([3; 32])).unwrap());
        books.apply(&books.settled(&purse, Digest([3; 32]), NOW_MS).unwrap());
        let past = NOW_S + offer.max_timeout_s + 3_601;
        assert!(books.forgettable(past, 3_600).is_empty(), "{way:?}: its receipt is still in question");
        let mut stands = books.clone();
        stands.apply(&stands.mature(&[Digest([1; 32])], 0).unwrap());
        assert_eq!(stands.forgettable(past, 3_600), [purse], "{way:?}");
        books.apply(&books.refund(&Digest([1; 32]), NOW_MS).unwrap());
        let owed = books.owed(offer.asset.network, offer.asset.address, payer(1).key().address());
        assert_eq!((owed, books.forgettable(past, 3_600)), (back, vec![purse]), "{way:?}");
    }
}

#[test]
fn a_claim_takes_channels_with_enough_or_whose_payer_withdraws() {
    let (offer, mut books, split) = (offer(Way::Batch), Books::default(), split());
    let channel = channel(&payer(1), &offer);
    let _: ChannelConfig = channel.config;
    let voucher = batch::read(&channel.voucher(&payer(1), PRICE), &offer, NOW_S).unwrap();
    books.note_facts(voucher.purse(), deposited(10 * PRICE));
    let (purse, entries) = books.raise(&voucher, PRICE, &offer, NOW_MS).unwrap();
    entries.iter().for_each(|entry| books.apply(entry));
    let call = called(&mut books, &purse, &offer, &split);
    let charge = answer(600, 600, 1);
    books.apply(&books.charge(call, charge, NOW_MS).unwrap());
    assert!(books.claimable(Network::BASE, 601).is_empty());
    assert_eq!(books.claimable(Network::BASE, 600).first().unwrap().amount, 600);
    let mut facts = deposited(10 * PRICE);
    facts.withdraw_requested_at_s = NOW_S;
    books.note_facts(purse, facts);
    assert_eq!(books.claimable(Network::BASE, 601).first().unwrap().fresh, 600, "claimed before the payer is gone");
    assert!(matches!(books.raise(&voucher, 1, &offer, NOW_MS), Err(Refused::Withdrawing)), "and served no more");
}

#[test]
fn a_charge_is_shared_among_all_who_earn_with_the_model() {
    use payments::price::{Earners, Lineage, Parent, Part, Payee};
    let holder = |index| payments::price::holder(alloy_primitives::Address::with_last_byte(index));
    let earners = |root, payees: Vec<Payee>, parents: Vec<Parent>| Earners {
        root: Digest([root; 32]),
        publisher: holder(root),
        payees: protocol::List::new(payees).unwrap(),
        parents: protocol::List::new(parents).unwrap(),
    };
    let model = earners(
        20,
        vec![Payee { holder: holder(30), millionths: 250_000 }],
        vec![Parent { root: Digest([21; 32]), millionths: 100_000 }],
    );
    let lineage = Lineage::new(protocol::List::new(vec![model, earners(21, vec![], vec![])]).unwrap()).unwrap();
    let (offer, mut books, split) = (offer(Way::Upto), Books::default(), split());
    books.apply(&books.know(&lineage).unwrap());
    assert!(books.know(&lineage).is_none(), "written down once");
    let purse = opened(&mut books, &offer);
    let mut wanted = wanted(&offer, &split, 1);
    wanted.lineage = lineage.id();
    let (call, entry) = books.reserve(&purse, &wanted).unwrap();
    books.apply(&entry);
    books.apply(&books.charge(call, answer(600, 1_000, 1), NOW_MS).unwrap());
    // The publisher's part is 300 of 1,000: a quarter to who gave data, a tenth to the parent, the rest its own.
    let held = [30, 21, 20].map(|index| books.held_of(holder(index)));
    assert_eq!(held, [75, 30, 195]);
    let _: Part = split.portions()[0].part;
    let lines: Vec<Vec<u8>> = books.entries().iter().map(|entry| entry.encode()).collect();
    let (mut kept, _) = Books::recover(&lines, NOW_MS).unwrap();
    assert_eq!([30, 21, 20].map(|index| kept.held_of(holder(index))), held, "a journal begun anew knows the lineage");
    kept.apply(&kept.mature(&[Digest([1; 32])], 0).unwrap());
    assert_eq!([30, 21, 20].map(|index| kept.held_of(holder(index))), [0; 3]);
}

#[test]
fn a_lineage_that_is_learnt_late_divides_what_was_charged_before() {
    use payments::price::{Earners, Lineage, Payee};
    let holder = |index| payments::price::holder(alloy_primitives::Address::with_last_byte(index));
    let payees = protocol::List::new(vec![Payee { holder: holder(30), millionths: 250_000 }]).unwrap();
    let model = Earners { root: Digest([20; 32]), publisher: holder(20), payees, parents: protocol::List::default() };
    let lineage = Lineage::new(protocol::List::new(vec![model]).unwrap()).unwrap();
    let (offer, mut books, split) = (offer(Way::Upto), Books::default(), split());
    let purse = opened(&mut books, &offer);
    let mut wanted = wanted(&offer, &split, 1);
    wanted.lineage = lineage.id();
    let (call, entry) = books.reserve(&purse, &wanted).unwrap();
    books.apply(&entry);
    books.apply(&books.charge(call, answer(600, 1_000, 1), NOW_MS).unwrap());
    assert_eq!((books.held_of(holder(30)), books.held_of(holder(20))), (0, 0));
    let entry = books.know(&lineage).unwrap();
    books.apply(&entry);
    books.apply(&entry);
    assert_eq!((books.held_of(holder(30)), books.held_of(holder(20))), (75, 225));
}

#[test]
fn days_of_a_model_are_told_from_the_last_one_on() {
    let (offer, mut books, split) = (offer(Way::Upto), Books::default(), split());
    let purse = opened(&mut books, &offer);
    for (index, at_ms) in [NOW_MS, NOW_MS + 86_400_000, NOW_MS + 2 * 86_400_000].into_iter().enumerate() {
        let small = Wanted { max: 100, ..wanted(&offer, &split, 1) };
        let (call, entry) = books.reserve(&purse, &small).unwrap();
        books.apply(&entry);
        books.apply(&books.charge(call, answer(100, 70, u8::try_from(index).unwrap() + 1), at_ms).unwrap());
    }
    let model = wanted(&offer, &split, 1).model;
    let today = NOW_MS / 86_400_000;
    let told: Vec<_> = books.revenue_of(&model).take(2).collect();
    assert_eq!(told, [(today + 2, 70, 1), (today + 1, 70, 1)]);
    assert_eq!(books.revenue_of(&Digest([0xee; 32])).count(), 0);
}

#[test]
fn channels_that_somebody_makes_up_take_no_more_than_their_room_and_no_customers() {
    let offer = offer(Way::Batch);
    let mut books = Books::default();
    let channel = channel(&payer(1), &offer);
    let voucher = batch::read(&channel.voucher(&payer(1), PRICE), &offer, NOW_S).unwrap();
    books.note_facts(voucher.purse(), deposited(10 * PRICE));
    let (purse, entries) = books.raise(&voucher, 1, &offer, NOW_MS).unwrap();
    entries.iter().for_each(|entry| books.apply(entry));
    let made_up = |index: u64| crypto::hash("og/test", &[&index.to_be_bytes()]);
    let asked = |asked_at_ms| payments::scheme::ChannelFacts { asked_at_ms, ..deposited(0) };
    for index in 0..10_000 {
        books.note_facts(made_up(index), asked(NOW_MS + index));
        // Asked about again and again, one takes one place.
        books.note_facts(made_up(0), asked(NOW_MS + index));
    }
    assert_eq!(books.channels_known(), STRANGERS_MAX + 1);
    assert!(books.standing(&purse).is_some(), "whoever paid is not forgotten");
    assert!(books.standing(&made_up(0)).is_some() && books.standing(&made_up(9_999)).is_some());
    assert!(books.standing(&made_up(1)).is_none(), "who was asked about longest ago is");
    // A channel whose first voucher could not be written down is a stranger's again, and one that pays is none any more.
    books.apply(&Entry::Forgotten(purse));
    books.note_facts(made_up(10_000), asked(NOW_MS + 10_000));
    assert_eq!((books.channels_known(), books.standing(&purse)), (STRANGERS_MAX, None));
}

#[test]
fn what_is_owed_is_sent_back_once_and_again_only_where_the_chain_refused_it() {
    use payments::books::{Owed, Repaying};
    let mut books = Books::default();
    let holder = |index| payments::price::holder(alloy_primitives::Address::with_last_byte(index));
    let owed = |amount| Owed { network: 8_453, asset: holder(1), payer: holder(2), amount };
    let repaying = |amount| Repaying { owed: owed(amount), transaction: Digest([4; 32]), raw: Default::default() };
    books.apply(&Entry::Owed(owed(600)));
    assert!(books.repay(&repaying(601)).is_none(), "never more than is owed");
    books.apply(&books.repay(&repaying(600)).unwrap());
    assert!(books.owing().is_empty() && books.repay(&repaying(600)).is_none(), "one at a time");
    let lines: Vec<Vec<u8>> = books.entries().iter().map(|entry| entry.encode()).collect();
    assert_eq!(Books::recover(&lines, NOW_MS).unwrap().0.repayments(), [repaying(600)], "a crash forgets none");
    books.apply(&books.repaid(&repaying(600), false).unwrap());
    assert_eq!(books.owing(), [owed(600)]);
    books.apply(&books.repay(&repaying(600)).unwrap());
    books.apply(&books.repaid(&repaying(600), true).unwrap());
    assert!(books.owing().is_empty() && books.repaid(&repaying(600), true).is_none());
}

/// The bytes of a transaction that this chain takes.
fn sent_on<const MOST: usize>(network: Network) -> protocol::Bytes<MOST> {
    use payments::chain::{Call, Fees, sign};
    let call = Call { to: PAY_TO, data: vec![9; 68].into() };
    let fees = Fees { gas: 70_000, max_fee_per_gas: 2, max_priority_fee_per_gas: 1 };
    let signed = sign(&call, network.chain_id(), 3, fees, payer(1).key());
    protocol::Bytes::new(signed.raw.to_vec()).unwrap()
}

/// What is under way on a chain that has nothing.
fn on_another(books: &Books) -> std::collections::BTreeSet<Digest> {
    books.under_way_on(Network::LEDGER, true)
}

#[test]
fn a_deposit_is_sent_once_and_again_only_where_its_chain_refused_it() {
    use payments::books::{DepositStanding, Deposited, Depositing};
    let (id, mut books) = (Digest([7; 32]), Books::default());
    let deposit = Deposited { id, expires_at_s: NOW_MS / 1_000 + 10 };
    let depositing = Depositing { deposit, transaction: Digest([4; 32]), raw: sent_on(Network::BASE) };
    assert!(books.deposited(&id, true).is_none() && books.deposit_standing(&id) == DepositStanding::Unknown);
    books.apply(&books.deposit(&depositing).unwrap());
    assert!(books.deposit(&depositing).is_none(), "once");
    let lines: Vec<Vec<u8>> = books.entries().iter().map(|entry| entry.encode()).collect();
    let mut kept = Books::recover(&lines, NOW_MS).unwrap().0;
    let of_base = kept.deposits_under_way(Network::BASE);
    assert_eq!(of_base, std::slice::from_ref(&depositing), "a crash forgets none");
    assert!(kept.deposits_under_way(Network::LEDGER).is_empty() && on_another(&kept).is_empty());
    assert_eq!(kept.networks_open(), [Network::BASE.chain_id()].into(), "a payer's money is on its way there");
    kept.apply(&kept.deposited(&id, true).unwrap());
    assert!(kept.networks_open().is_empty());
    assert!(kept.deposit(&depositing).is_none() && kept.deposit_standing(&id) == DepositStanding::Done);
    let lines: Vec<Vec<u8>> = kept.entries().iter().map(|entry| entry.encode()).collect();
    assert_eq!(Books::recover(&lines, NOW_MS).unwrap().0, kept);
    kept.drop_names(NOW_MS + 11_000);
    assert_eq!(kept.deposit_standing(&id), DepositStanding::Unknown, "forgotten when its signature is worth nothing");
    books.apply(&books.deposited(&id, false).unwrap());
    assert!(books.deposit(&depositing).is_some(), "what its chain refused may be tried again");
}

/// A channel of the first payer's that holds so much, in the books.
fn raised_of(books: &mut Books, balance: u128) -> Digest {
    let offer = offer(Way::Batch);
    let voucher = batch::read(&channel(&payer(1), &offer).voucher(&payer(1), PRICE), &offer, NOW_S).unwrap();
    books.note_facts(voucher.purse(), deposited(balance));
    let (purse, entries) = books.raise(&voucher, PRICE, &offer, NOW_MS).unwrap();
    entries.iter().for_each(|entry| books.apply(entry));
    purse
}

fn raised(books: &mut Books) -> Digest {
    raised_of(books, 10 * PRICE)
}

/// A channel that was charged 600, and its purse.
fn charged_channel(balance: u128) -> (Books, Digest) {
    let (offer, mut books, split) = (offer(Way::Batch), Books::default(), split());
    let purse = raised_of(&mut books, balance);
    let call = called(&mut books, &purse, &offer, &split);
    books.apply(&books.charge(call, answer(600, 600, 1), NOW_MS).unwrap());
    (books, purse)
}

fn kept(books: &Books) -> Books {
    let lines: Vec<Vec<u8>> = books.entries().iter().map(|entry| entry.encode()).collect();
    Books::recover(&lines, NOW_MS).unwrap().0
}

#[test]
fn what_goes_back_is_set_apart_whatever_the_chain_says_and_after_a_crash() {
    use payments::books::Returning;
    let (mut books, purse) = charged_channel(10 * PRICE);
    let transaction = Digest([4; 32]);
    let returning =
        |amount| Returning { purse, channel: Digest([5; 32]), amount, transaction, raw: sent_on(Network::BASE) };
    let left = 10 * PRICE - 600;
    assert_eq!(books.returnable(&purse), left);
    assert!(books.give_back(&returning(left + 1)).is_none() && books.give_back(&returning(0)).is_none());
    books.apply(&books.give_back(&returning(left)).unwrap());
    assert!(books.give_back(&returning(1)).is_none(), "one at a time");
    // Its chain does not have it yet, and says what it said before.
    for mut books in [books.clone(), kept(&books)] {
        books.note_facts(purse, deposited(10 * PRICE));
        assert_eq!(books.standing(&purse).unwrap().facts.balance, 600);
        assert_eq!(books.returns_under_way(Network::BASE), [returning(left)]);
        assert!(books.returns_under_way(Network::LEDGER).is_empty() && on_another(&books).is_empty());
        assert_eq!(books.under_way_on(Network::BASE, false), books.under_way());
    }
    let mut refused = books.clone();
    assert!(refused.given_back(&purse, &Digest([9; 32]), true).is_none(), "another transaction's end");
    refused.apply(&refused.given_back(&purse, &transaction, false).unwrap());
    assert_eq!(refused.returnable(&purse), left);
    // What was asked before, and is heard after it, is not believed.
    let late = payments::scheme::ChannelFacts { asked_at_ms: NOW_MS + 5, ..deposited(600) };
    books.note_facts(purse, late);
    books.apply(&books.given_back(&purse, &transaction, true).unwrap());
    books.note_facts(purse, deposited(10 * PRICE));
    assert_eq!(books.standing(&purse).unwrap().facts.balance, 600);
}

#[test]
fn settlements_are_looked_for_among_payments_and_claims_among_channels() {
    let (mut books, channel) = charged_channel(10 * PRICE);
    let (offer, split) = (offer(Way::Upto), split());
    let session = opened(&mut books, &offer);
    let call = called(&mut books, &session, &offer, &split);
    books.apply(&books.charge(call, answer(300, 300, 2), NOW_MS).unwrap());
    assert!(books.waiting(Network::BASE).is_empty(), "it may pay for more");
    books.apply(&Entry::Closed(session));
    for books in [&books, &kept(&books)] {
        let found: Vec<_> = books.waiting(Network::BASE).iter().map(|waiting| (waiting.purse, waiting.fresh)).collect();
        let claims: Vec<_> = books.claimable(Network::BASE, 1).iter().map(|due| (due.purse.id, due.fresh)).collect();
        assert_eq!((found, claims), (vec![(session, 300)], vec![(channel, 600)]));
        assert_eq!(books.networks_open(), [Network::BASE.chain_id()].into());
        let elsewhere = Network::LEDGER;
        assert!(books.waiting(elsewhere).is_empty() && books.claimable(elsewhere, 1).is_empty());
    }
    books.apply(&books.settling(&session, 300, Digest([3; 32])).unwrap());
    assert_eq!((books.unsure(Network::BASE).len(), books.unsure(Network::LEDGER).len()), (1, 0));
    assert!(on_another(&books).is_empty() && books.under_way_on(Network::BASE, false).len() == 1);
}

#[test]
fn a_transaction_that_is_sent_again_at_a_higher_price_is_known_by_all_its_hashes_until_its_end() {
    let (mut books, purse) = charged_channel(10 * PRICE);
    let (first, second, third) = (Digest([3; 32]), Digest([4; 32]), Digest([5; 32]));
    assert!(books.reprice(&first, &second).is_none(), "nothing was sent");
    books.apply(&books.settling(&purse, 600, first).unwrap());
    assert!(books.reprice(&first, &first).is_none());
    books.apply(&books.reprice(&first, &second).unwrap());
    assert!(books.reprice(&first, &second).is_none(), "written down once");
    books.apply(&books.reprice(&first, &third).unwrap());
    let mut again = kept(&books);
    assert_eq!(again.entries(), books.entries(), "a journal begun anew says the same");
    assert_eq!(again.hashes_of(&first), [first, second, third]);
    assert_eq!(again.under_way().into_iter().collect::<Vec<_>>(), [first]);
    // Whichever its chain has, it is the settlement of the first.
    again.apply(&again.settled(&purse, first, NOW_MS).unwrap());
    assert!(again.under_way().is_empty() && again.reprice(&first, &Digest([6; 32])).is_none());
    again.drop_names(NOW_MS);
    assert_eq!(again.hashes_of(&first), [first], "and nothing of it is kept");
    for index in 0..=u8::MAX {
        books.apply(&Entry::Repriced(payments::books::Repriced { transaction: first, again: Digest([index; 32]) }));
    }
    assert_eq!(books.hashes_of(&first).len(), 1 + payments::books::REPRICED_MAX, "not without end");
    assert!(books.reprice(&first, &Digest([0xff; 32])).is_none());
}

#[test]
fn what_only_others_wait_behind_is_known_after_a_crash_until_its_end() {
    let (mut books, [first, again]) = (Books::default(), [3, 4].map(|byte| Digest([byte; 32])));
    assert!(books.sent(&first).is_none());
    books.apply(&Entry::Sending(first));
    let mut books = kept(&books);
    assert!(books.under_way().contains(&first));
    books.apply(&books.reprice(&first, &again).unwrap());
    assert_eq!(kept(&books).hashes_of(&first), [first, again]);
    // A journal of one chain names none: it is the first one's.
    assert!(books.under_way_on(Network::BASE, false).is_empty() && books.under_way_on(Network::BASE, true).len() == 1);
    let on_ledger = SendingOn { network: Network::LEDGER.chain_id(), transaction: Digest([8; 32]) };
    books.apply(&Entry::SendingOn(on_ledger));
    let mut books = kept(&books);
    assert_eq!(books.under_way_on(Network::LEDGER, false), [Digest([8; 32])].into());
    assert_eq!(books.under_way_on(Network::BASE, true), [first].into());
    books.apply(&books.sent(&first).unwrap());
    books.apply(&books.sent(&Digest([8; 32])).unwrap());
    assert!(kept(&books).under_way().is_empty() && books.reprice(&first, &Digest([5; 32])).is_none());
}

#[test]
fn a_voucher_that_was_shown_in_a_claim_is_remembered() {
    let (mut books, purse) = charged_channel(10 * PRICE);
    books.apply(&books.publish(&purse, PRICE).unwrap());
    assert!(books.publish(&purse, PRICE).is_none(), "written down once");
    let again = kept(&books);
    assert!(again.is_published(&purse, PRICE) && !again.is_published(&purse, 600));
}

#[test]
fn what_can_never_be_settled_is_written_off_promises_nothing_and_owes_nothing() {
    for way in [Way::Transfer, Way::Permit2, Way::Upto] {
        let (offer, mut books, split) = (offer(way), Books::default(), split());
        let purse = opened(&mut books, &offer);
        assert!(books.write_off(&purse, NOW_MS).is_none(), "{way:?}: nothing was charged");
        let call = called(&mut books, &purse, &offer, &split);
        books.apply(&books.charge(call, answer(PRICE, PRICE, 1), NOW_MS).unwrap());
        books.apply(&Entry::Closed(purse));
        let payer_of = payer(1).key().address();
        let promised = |books: &Books| books.promised(offer.asset.network, offer.asset.address, payer_of, NOW_MS);
        assert_eq!(promised(&books), PRICE, "{way:?}");
        books.apply(&books.write_off(&purse, NOW_MS).unwrap());
        assert_eq!((promised(&books), all_due(&books).len()), (0, 0), "{way:?}");
        let again = kept(&books);
        let (_, _, lost, count) = again.lost().next().unwrap();
        assert_eq!((lost, count), (PRICE, 1), "{way:?}: and counted");
        books.apply(&books.refund(&Digest([1; 32]), NOW_MS).unwrap());
        let owed = books.owed(offer.asset.network, offer.asset.address, payer_of);
        assert_eq!(owed, 0, "{way:?}: its payer never paid");
        let past = NOW_S + offer.max_timeout_s + 3_601;
        assert_eq!(books.forgettable(past, 3_600), [purse], "{way:?}");
    }
}

#[test]
fn what_ends_first_is_settled_first() {
    for way in [Way::Transfer, Way::Permit2, Way::Upto] {
        let (mut books, split) = (Books::default(), split());
        for (index, life_s) in [(1, 300), (2, 60), (3, 120)] {
            let offer = payments::scheme::Offer { max_timeout_s: life_s, ..offer(way) };
            let authorised = authorise(&pay(&payer(1), &offer, index), &offer, &holding(9 * PRICE)).unwrap();
            let (purse, entry) = books.open(&authorised, NOW_MS).unwrap();
            books.apply(&entry);
            let call = called(&mut books, &purse, &offer, &split);
            books.apply(&books.charge(call, answer(PRICE, PRICE, 7), NOW_MS).unwrap());
            books.apply(&Entry::Closed(purse));
        }
        let order: Vec<u64> = books.waiting(Network::BASE).iter().map(|waiting| waiting.expires_at_s - NOW_S).collect();
        assert_eq!(order, [60, 120, 300], "{way:?}");
    }
}

/// What a journal of today says must be readable for ever.
#[test]
fn the_entries_of_the_journal_are_frozen() {
    use payments::{
        books::{AnswerEnded, Converted, Lost, Raise, Refunded, Repriced, Returning, Valued, Worth, WrittenOff},
        price::holder,
    };
    let (purse, holder) = (Digest([1; 32]), holder(alloy_primitives::Address::with_last_byte(7)));
    let raw = protocol::Bytes::new(vec![9, 8]).unwrap();
    let returning = Returning { purse, channel: Digest([2; 32]), amount: 600, transaction: Digest([3; 32]), raw };
    let entries = [
        Entry::Returning(returning),
        Entry::Returned(purse),
        Entry::Unreturned(purse),
        Entry::Published(Raise { purse, amount: 1_000 }),
        Entry::WrittenOff(WrittenOff { purse, amount: 5, at_ms: 1_800_000_000_000 }),
        Entry::Lost(Lost { network: 8_453, asset: holder, amount: 5, count: 1 }),
        Entry::AnswerEnded(AnswerEnded {
            call: 3,
            answer: answer(130, 910, 1).remove(0),
            delivered: 100,
            delivered_opg: 700,
        }),
        Entry::Repriced(Repriced { transaction: Digest([2; 32]), again: Digest([3; 32]) }),
        Entry::Converted(Converted { network: 8_453, asset: holder, amount: 600, opg: 4_200, count: 2 }),
        Entry::Sending(Digest([4; 32])),
        Entry::Sent(Digest([4; 32])),
        Entry::Valued(Valued { network: 8_453, asset: holder, amount: 1_000_000, opg: 7_000_000 }),
        Entry::Worth(Worth { network: 8_453, asset: holder, opg: 4_300 }),
        Entry::Fell(Refunded { call: 3, receipt: Digest([4; 32]), at_ms: 1_800_000_000_000 }),
        Entry::SendingOn(SendingOn { network: 8_453, transaction: Digest([4; 32]) }),
    ];
    let found: Vec<String> = entries.iter().map(|entry| alloy_primitives::hex::encode(entry.encode())).collect();
    let frozen: Vec<String> = serde_json::from_str(include_str!("../vectors/journal.json")).unwrap();
    assert_eq!(found, frozen, "{found:#?}");
    for (line, entry) in frozen.iter().zip(&entries) {
        assert_eq!(&Entry::decode(&alloy_primitives::hex::decode(line).unwrap()).unwrap(), entry);
    }
}

#[test]
fn a_payment_that_moves_whole_and_was_charged_in_part_promises_all_of_it_and_owes_the_rest_once() {
    for way in [Way::Transfer, Way::Permit2] {
        let (offer, mut books, split) = (offer(way), Books::default(), split());
        let purse = opened(&mut books, &offer);
        let call = called(&mut books, &purse, &offer, &split);
        books.apply(&books.charge(call, answer(300, 300, 1), NOW_MS).unwrap());
        let (network, asset, payer_of) = (offer.asset.network, offer.asset.address, payer(1).key().address());
        assert_eq!(books.promised(network, asset, payer_of, NOW_MS), PRICE, "{way:?}");
        assert_eq!(books.owed(network, asset, payer_of), 0, "{way:?}: its chain has nothing yet");
        books.apply(&books.settling(&purse, 300, Digest([3; 32])).unwrap());
        let settled = books.settled(&purse, Digest([3; 32]), NOW_MS).unwrap();
        books.apply(&settled);
        books.apply(&settled);
        let again = kept(&books);
        for books in [&books, &again] {
            assert_eq!(books.owed(network, asset, payer_of), PRICE - 300, "{way:?}");
            assert!(all_due(books).is_empty(), "{way:?}");
        }
    }
}

/// A payment of the first payer's under this number, charged 300 of it; as its chain can be asked about it, and as it shows its settlement.
fn settled_elsewhere(way: Way, index: u64) -> (Signature, Done) {
    let (offer, mut books, split) = (offer(way), Books::default(), split());
    let authorised = authorise(&pay(&payer(1), &offer, index), &offer, &holding(PRICE)).unwrap();
    let (purse, entry) = books.open(&authorised, NOW_MS).unwrap();
    books.apply(&entry);
    let call = called(&mut books, &purse, &offer, &split);
    books.apply(&books.charge(call, answer(300, 300, 1), NOW_MS).unwrap());
    let purse = books.purse(&purse).unwrap();
    let signed = Signature::of(purse, offer.asset.network).unwrap();
    let call = payments::chain::payment(purse, signed.amount).unwrap();
    let mut logs = vec![moved(&signed, signed.amount)];
    if way == Way::Transfer {
        logs.insert(0, used(&signed));
    }
    (signed, Done { to: Some(call.to), input: call.data, logs })
}

fn logged(signed: &Signature, event: &str, third: B256, data: Vec<u8>) -> Log {
    let topics = vec![keccak256(event), signed.question.payer.into_word(), third];
    Log { address: signed.question.asset, topics, data: data.into() }
}

/// What a token logs of a nonce, and of a transfer to us.
fn used(signed: &Signature) -> Log {
    logged(signed, "AuthorizationUsed(address,bytes32)", signed.question.nonce, Vec::new())
}

fn moved(signed: &Signature, amount: u128) -> Log {
    let (payee, amount) = (signed.payee.into_word(), U256::from(amount).to_be_bytes_vec());
    logged(signed, "Transfer(address,address,uint256)", payee, amount)
}

#[test]
fn a_payment_that_was_charged_in_part_is_found_by_all_that_its_settlement_moves() {
    for (way, amount) in [(Way::Transfer, PRICE), (Way::Permit2, PRICE), (Way::Upto, 300)] {
        let (signed, done) = settled_elsewhere(way, 1);
        assert_eq!(signed.amount, amount, "{way:?}");
        assert!(signed.is_settled_by(&done), "{way:?}");
        assert!(done.logs.iter().any(|log| signed.is_mark(log) && log.topics == signed.topics()), "{way:?}");
        let mut less = done.clone();
        *less.logs.last_mut().unwrap() = moved(&signed, amount - 1);
        assert!(!signed.is_settled_by(&less), "{way:?}");
        let mut nothing = done.clone();
        nothing.logs.pop();
        assert!(!signed.is_settled_by(&nothing), "{way:?}");
        let mut worthless = done;
        worthless.logs.iter_mut().for_each(|log| log.address = PAY_TO);
        assert!(!signed.is_settled_by(&worthless), "{way:?}: another token's word");
    }
}

#[test]
fn one_transfer_settles_one_payment_and_no_other_whatever_its_calldata_says() {
    for way in [Way::Transfer, Way::Permit2, Way::Upto] {
        let ((first, done), (second, other)) = (settled_elsewhere(way, 1), settled_elsewhere(way, 2));
        assert!(first.is_settled_by(&done) && !second.is_settled_by(&done), "{way:?}");
        let input = [&done.input[..], &other.input[..]].concat().into();
        let both = Done { input, ..done.clone() };
        assert!(first.is_settled_by(&both) && !second.is_settled_by(&both), "{way:?}: behind what is read");
        if way == Way::Transfer {
            // The other nonce is used for something else, in the same transaction.
            let payer = first.question.payer.into_word();
            let own = logged(&first, "Transfer(address,address,uint256)", payer, vec![1; 32]);
            let logs = vec![used(&second), own, used(&first), moved(&first, PRICE)];
            let mixed = Done { logs, ..done.clone() };
            assert!(first.is_settled_by(&mixed) && !second.is_settled_by(&mixed), "{way:?}: beside it");
            let logs = vec![used(&first), used(&second), moved(&first, PRICE)];
            assert!(!first.is_settled_by(&Done { logs, ..done }), "{way:?}: not right before it");
        } else {
            let through = Done { to: Some(PAY_TO), ..done.clone() };
            assert!(!first.is_settled_by(&through), "{way:?}: whoever is called may do anything");
            let wrong = if way == Way::Upto { permit2::EXACT_PROXY } else { permit2::UPTO_PROXY };
            assert!(!first.is_settled_by(&Done { to: Some(wrong), ..done.clone() }), "{way:?}");
            assert!(!first.is_settled_by(&Done { input: vec![1, 2, 3].into(), ..done }), "{way:?}");
        }
    }
}
