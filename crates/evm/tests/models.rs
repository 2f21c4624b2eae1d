//! Models: published once, priced, versioned, made from each other, and paid for to the last unit.
#![allow(clippy::unwrap_used, reason = "what fails here is a failed test")]
#![allow(non_snake_case, reason = "fields are named as in Solidity")]

mod common;
mod stage;

use alloy_primitives::{B256, U256, keccak256};
use alloy_sol_types::SolCall;
use common::{Net, address, event, refused, system_refused};
use evm::modules::models::{ADDRESS, EnterModel, IModels};
use evm::{Founding, StateRead as _};
use proptest::prelude::*;
use protocol::Digest;
use protocol::registry::{ModelKind, float_root};

fn net() -> Net {
    Net::founded(Founding::default())
}

fn root(number: u8) -> B256 {
    B256::repeat_byte(number)
}

fn publication(number: u8) -> IModels::Publication {
    IModels::Publication {
        root: root(number),
        name: "sage".to_owned(),
        version: format!("1.{number}"),
        licence: "apache-2.0".to_owned(),
        price: IModels::Price { perCall: 1, perInputToken: 20, perOutputToken: 300, unit: 0 },
        splits: Vec::new(),
        parents: Vec::new(),
    }
}

fn split(payee: u64, share: u32) -> IModels::Split {
    IModels::Split { payee: address(payee), share }
}

fn parent(number: u8, share: u32) -> IModels::Parent {
    IModels::Parent { root: root(number), share }
}

fn send<C: SolCall>(net: &mut Net, from: u64, call: &C) -> evm::Receipt {
    net.call(from, ADDRESS, call, U256::ZERO)
}

fn publish(net: &mut Net, from: u64, publication: IModels::Publication) -> evm::Receipt {
    send(net, from, &IModels::publishCall { publication })
}

fn ask<C: SolCall>(net: &Net, call: &C) -> C::Return {
    net.ask(ADDRESS, call).unwrap()
}

fn payouts(net: &Net, number: u8, amount: u64) -> Vec<(alloy_primitives::Address, u64)> {
    let told = ask(net, &IModels::payoutsCall { root: root(number), amount: U256::from(amount) });
    told.iter().map(|payout| (payout.payee, payout.amount.to())).collect()
}

#[test]
fn a_model_is_published_once_and_can_be_read() {
    let mut net = net();
    let long = "a licence whose name is longer than a single word of storage holds".to_owned();
    let wanted = IModels::Publication { licence: long.clone(), splits: vec![split(3, 100_000)], ..publication(7) };
    let receipt = publish(&mut net, 1, wanted.clone());
    let told: IModels::ModelPublished = event(receipt.logs());
    assert_eq!((told.root, told.publisher, told.version.as_str()), (root(7), address(1), "1.7"));
    let model = ask(&net, &IModels::modelCall { root: root(7) });
    assert_eq!((model.publisher, model.depth, model.retired), (address(1), 1, false));
    assert_eq!((model.name.as_str(), model.version.as_str(), model.licence), ("sage", "1.7", long));
    assert_eq!((model.price.perOutputToken, model.splits.len(), model.splits[0].payee), (300, 1, address(3)));
    assert_eq!(model.publishedAt.to::<u64>(), net.header.timestamp);
    refused(&publish(&mut net, 2, wanted), &IModels::RootPublished { root: root(7), publisher: address(1) });
    assert_eq!(ask(&net, &IModels::modelCountCall {}), U256::ONE);
    assert_eq!(ask(&net, &IModels::modelsCall { from: U256::ZERO, count: U256::MAX }), [root(7)]);
    // The name lies where Solidity would have it: short, in the record's fourth word.
    let record: U256 = keccak256([root(7).0, [0; 32]].concat()).into();
    let name = net.world.slot(&ADDRESS, &(record + U256::from(3))).unwrap().to_be_bytes::<32>();
    assert_eq!((&name[..4], name[31]), (&b"sage"[..], 8));
}

#[test]
fn versions_of_a_name_belong_to_their_publisher() {
    let mut net = net();
    for number in [1, 2] {
        assert!(publish(&mut net, 1, publication(number)).succeeded());
    }
    assert!(publish(&mut net, 2, publication(3)).succeeded());
    let versions = |publisher| IModels::versionsCall {
        publisher: address(publisher),
        name: "sage".to_owned(),
        from: U256::ZERO,
        count: U256::MAX,
    };
    assert_eq!(ask(&net, &versions(1)), [root(1), root(2)]);
    assert_eq!(ask(&net, &versions(2)), [root(3)]);
    let again = IModels::Publication { version: "1.1".to_owned(), ..publication(4) };
    refused(&publish(&mut net, 1, again.clone()), &IModels::VersionPublished { root: root(1) });
    assert!(publish(&mut net, 2, again).succeeded());
}

#[test]
fn a_publication_is_refused_for_what_is_wrong_with_it() {
    let mut net = net();
    assert!(publish(&mut net, 1, publication(1)).succeeded());
    let good = || publication(9);
    let text = |found: u64, most: u64| IModels::TextTooLong { bytesFound: U256::from(found), most: U256::from(most) };
    let many = |count: u64, most: u64| IModels::TooMany { count: U256::from(count), most: U256::from(most) };
    let mut publish = |wanted| publish(&mut net, 1, wanted);
    refused(&publish(IModels::Publication { root: B256::ZERO, ..good() }), &IModels::RootZero {});
    refused(&publish(IModels::Publication { name: String::new(), ..good() }), &IModels::NameEmpty {});
    refused(&publish(IModels::Publication { name: "x".repeat(129), ..good() }), &text(129, 128));
    refused(&publish(IModels::Publication { version: "x".repeat(65), ..good() }), &text(65, 64));
    refused(&publish(IModels::Publication { licence: "x".repeat(129), ..good() }), &text(129, 128));
    refused(&publish(IModels::Publication { splits: vec![split(3, 1); 9], ..good() }), &many(9, 8));
    refused(&publish(IModels::Publication { parents: vec![parent(1, 1); 5], ..good() }), &many(5, 4));
    let nobody = IModels::Split { payee: alloy_primitives::Address::ZERO, share: 1 };
    let error = IModels::SplitInvalid { payee: nobody.payee, share: 1 };
    refused(&publish(IModels::Publication { splits: vec![nobody], ..good() }), &error);
    let error = IModels::SplitInvalid { payee: address(3), share: 0 };
    refused(&publish(IModels::Publication { splits: vec![split(3, 0)], ..good() }), &error);
    let twice = IModels::ParentInvalid { root: root(1), share: 2 };
    refused(&publish(IModels::Publication { parents: vec![parent(1, 1), parent(1, 2)], ..good() }), &twice);
    let itself = IModels::ParentInvalid { root: root(9), share: 1 };
    refused(&publish(IModels::Publication { parents: vec![parent(9, 1)], ..good() }), &itself);
    let unknown = IModels::ParentUnknown { root: root(8) };
    refused(&publish(IModels::Publication { parents: vec![parent(8, 1)], ..good() }), &unknown);
    let much = IModels::SharesTooLarge { sum: U256::from(1_000_001), most: U256::from(1_000_000) };
    let wanted = IModels::Publication { splits: vec![split(3, 600_000)], parents: vec![parent(1, 400_001)], ..good() };
    refused(&publish(wanted), &much);
}

#[test]
fn only_the_publisher_changes_price_and_offer() {
    let mut net = net();
    publish(&mut net, 1, publication(1));
    let price = IModels::Price { perCall: 5, perInputToken: 0, perOutputToken: u128::MAX, unit: 0 };
    let set = IModels::setPriceCall { root: root(1), price };
    let stranger = IModels::PublisherOnly { caller: address(2), publisher: address(1) };
    refused(&send(&mut net, 2, &set), &stranger);
    refused(&send(&mut net, 2, &IModels::setRetiredCall { root: root(1), retired: true }), &stranger);
    assert!(send(&mut net, 1, &set).succeeded());
    let cost = |tokens| IModels::costCall { root: root(1), inputTokens: U256::from(7), outputTokens: tokens };
    let most = U256::from(u64::MAX);
    assert_eq!(ask(&net, &cost(most)), most * U256::from(u128::MAX) + U256::from(5));
    let amount = most + U256::ONE;
    refused(&send(&mut net, 1, &cost(amount)), &IModels::AmountTooLarge { amount, most });
    assert!(send(&mut net, 1, &IModels::setRetiredCall { root: root(1), retired: true }).succeeded());
    assert!(ask(&net, &IModels::modelCall { root: root(1) }).retired);
    let unknown = IModels::ModelUnknown { root: root(2) };
    refused(&send(&mut net, 1, &IModels::setRetiredCall { root: root(2), retired: true }), &unknown);
    refused(&send(&mut net, 1, &IModels::modelCall { root: root(2) }), &unknown);
}

#[test]
fn a_price_is_counted_in_opg_or_in_dollars_and_in_nothing_else() {
    let mut net = net();
    let price = |unit| IModels::Price { perCall: 5, perInputToken: 6, perOutputToken: 7, unit };
    let unknown = IModels::UnitUnknown { unit: 2 };
    refused(&publish(&mut net, 1, IModels::Publication { price: price(2), ..publication(1) }), &unknown);
    assert!(publish(&mut net, 1, IModels::Publication { price: price(1), ..publication(1) }).succeeded());
    let told = |net: &Net| ask(net, &IModels::modelCall { root: root(1) }).price;
    assert_eq!((told(&net).unit, told(&net).perCall), (1, 5));
    // Behind the price of a call, in the same word: of a price in OPG, that word is what it was without a unit.
    let record: U256 = keccak256([root(1).0, [0; 32]].concat()).into();
    let word = |net: &Net| net.world.slot(&ADDRESS, &(record + U256::from(2))).unwrap();
    assert_eq!(word(&net), (U256::ONE << 128) | U256::from(5));
    refused(&send(&mut net, 1, &IModels::setPriceCall { root: root(1), price: price(2) }), &unknown);
    assert!(send(&mut net, 1, &IModels::setPriceCall { root: root(1), price: price(0) }).succeeded());
    assert_eq!((told(&net).unit, word(&net)), (0, U256::from(5)));
}

#[test]
fn an_income_goes_through_the_lineage_to_the_last_unit() {
    let mut net = net();
    publish(&mut net, 1, IModels::Publication { splits: vec![split(5, 250_000)], ..publication(1) });
    publish(&mut net, 2, IModels::Publication { parents: vec![parent(1, 100_000)], ..publication(2) });
    let both = vec![parent(1, 500_000), parent(2, 100_000)];
    publish(&mut net, 3, IModels::Publication { parents: both, splits: vec![split(1, 1)], ..publication(3) });
    assert_eq!(ask(&net, &IModels::modelCall { root: root(3) }).depth, 3);
    // 500 to the first model, of which 125 to 5; 100 to the second, of which 10 to the first, of which 2 to 5.
    let mut expected = vec![(address(1), 375 + 8), (address(2), 90), (address(3), 400), (address(5), 127)];
    expected.sort_unstable();
    assert_eq!(payouts(&net, 3, 1_000), expected);
    assert_eq!(payouts(&net, 3, 0), []);
    publish(&mut net, 1, IModels::Publication { parents: vec![parent(3, 0)], ..publication(4) });
    let old = IModels::Publication { parents: vec![parent(4, 0)], ..publication(5) };
    let error = IModels::TooManyGenerations { found: U256::from(5), most: U256::from(4) };
    refused(&publish(&mut net, 1, old), &error);
    let most = (U256::ONE << 104) - U256::ONE;
    let amount = most + U256::ONE;
    let call = IModels::payoutsCall { root: root(1), amount };
    refused(&send(&mut net, 1, &call), &IModels::AmountTooLarge { amount, most });
}

fn bare(number: u8, kind: ModelKind) -> EnterModel {
    EnterModel { root: root(number), publisher: address(1), kind, name: "sage".to_owned() }
}

#[test]
fn who_published_a_bare_root_says_the_rest_once_and_nobody_else_does() {
    let mut net = net();
    net.does(&bare(1, ModelKind::Exact));
    let told = ask(&net, &IModels::modelCall { root: root(1) });
    assert_eq!((told.bare, told.kind, told.publisher, told.depth), (true, 1, address(1), 1));
    let taken = IModels::RootPublished { root: root(1), publisher: address(1) };
    refused(&publish(&mut net, 2, publication(1)), &taken);
    system_refused(net.system(&bare(1, ModelKind::Exact)), &taken);
    let wanted = IModels::Publication { splits: vec![split(3, 5)], ..publication(1) };
    assert!(publish(&mut net, 1, wanted.clone()).succeeded());
    let told = ask(&net, &IModels::modelCall { root: root(1) });
    assert_eq!((told.bare, told.version.as_str(), told.splits.len()), (false, "1.1", 1));
    refused(&publish(&mut net, 1, wanted), &taken);
    assert_eq!(ask(&net, &IModels::modelCountCall {}), U256::ONE);
    // A price alone is enough said too.
    net.does(&bare(2, ModelKind::Exact));
    let price = IModels::Price { perCall: 5, perInputToken: 0, perOutputToken: 0, unit: 0 };
    assert!(send(&mut net, 1, &IModels::setPriceCall { root: root(2), price }).succeeded());
    assert!(!ask(&net, &IModels::modelCall { root: root(2) }).bare);
    let taken = IModels::RootPublished { root: root(2), publisher: address(1) };
    refused(&publish(&mut net, 1, publication(2)), &taken);
}

#[test]
fn a_root_that_others_are_made_from_takes_no_parents_any_more() {
    let mut net = net();
    net.does(&bare(1, ModelKind::Exact));
    let child = IModels::Publication { parents: vec![parent(1, 500_000)], ..publication(2) };
    assert!(publish(&mut net, 2, child).succeeded());
    let circle = IModels::Publication { parents: vec![parent(2, 500_000)], ..publication(1) };
    refused(&publish(&mut net, 1, circle), &IModels::ParentAlready { root: root(1) });
    assert!(publish(&mut net, 1, publication(1)).succeeded());
    assert_eq!(payouts(&net, 2, 10).len(), 2);
}

#[test]
fn a_float_model_is_its_own_who_shows_what_it_was_made_of() {
    let mut net = net();
    let manifest = B256::repeat_byte(0xf1);
    let float: B256 = float_root(&Digest(manifest.0)).0.into();
    let wanted = |version: &str| IModels::Publication { root: float, version: version.to_owned(), ..publication(1) };
    let shown = |version| IModels::publishFloatCall { publication: wanted(version), manifest };
    // Somebody was first, as if it were exact, with contributors of its own choice.
    let first = IModels::Publication { splits: vec![split(6, 7)], ..wanted("1") };
    assert!(publish(&mut net, 2, first).succeeded());
    let wrong = IModels::publishFloatCall { manifest: root(1), ..shown("1") };
    let error = IModels::ManifestInvalid { root: float, manifest: root(1) };
    refused(&send(&mut net, 1, &wrong), &error);
    assert!(send(&mut net, 1, &shown("2")).succeeded());
    let told = ask(&net, &IModels::modelCall { root: float });
    assert_eq!((told.publisher, told.kind, told.version.as_str(), told.splits.len()), (address(1), 2, "2", 0));
    let versions = |publisher| IModels::versionsCall {
        publisher: address(publisher),
        name: "sage".to_owned(),
        from: U256::ZERO,
        count: U256::MAX,
    };
    assert_eq!((ask(&net, &versions(1)), ask(&net, &versions(2))), (vec![float], vec![]));
    // Its old place is free, and the root is taken for good.
    assert!(publish(&mut net, 2, IModels::Publication { version: "1".to_owned(), ..publication(4) }).succeeded());
    let taken = IModels::RootPublished { root: float, publisher: address(1) };
    refused(&send(&mut net, 2, &shown("3")), &taken);
    refused(&publish(&mut net, 1, wanted("3")), &taken);
}

/// The same publications give the same bytes, for ever.
#[test]
fn a_history_of_models_has_its_frozen_roots() {
    let mut net = net();
    let mut lines = Vec::new();
    let licence = "a licence whose name is longer than a single word of storage holds".to_owned();
    let first = IModels::Publication { licence, splits: vec![split(5, 250_000), split(6, 1)], ..publication(1) };
    assert!(publish(&mut net, 1, first).succeeded());
    lines.push(format!("published {}", net.world.root()));
    let second = IModels::Publication { parents: vec![parent(1, 100_000)], ..publication(2) };
    assert!(publish(&mut net, 2, second).succeeded());
    lines.push(format!("descended {}", net.world.root()));
    let price = IModels::Price { perCall: 5, perInputToken: 6, perOutputToken: 7, unit: 0 };
    assert!(send(&mut net, 1, &IModels::setPriceCall { root: root(1), price }).succeeded());
    lines.push(format!("priced {}", net.world.root()));
    assert!(send(&mut net, 1, &IModels::setRetiredCall { root: root(1), retired: true }).succeeded());
    lines.push(format!("retired {}", net.world.root()));
    assert_eq!(lines.join("\n") + "\n", include_str!("../vectors/models.txt"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Whatever the lineage, the payouts are the income.
    #[test]
    fn nothing_is_left_over_or_made(
        models in prop::collection::vec((0_u64..6, prop::collection::vec((0_u64..6, 1_u32..125_000), 0..4), prop::collection::vec((any::<prop::sample::Index>(), 0_u32..125_000), 0..4)), 1..12),
        amount in any::<u64>(),
    ) {
        let mut net = net();
        let mut published: Vec<u8> = Vec::new();
        for (number, (from, splits, parents)) in (1_u8..).zip(models) {
            let splits = splits.into_iter().map(|(payee, share)| split(payee, share)).collect();
            let mut chosen: Vec<IModels::Parent> = Vec::new();
            for (index, share) in parents.into_iter().filter(|_| !published.is_empty()) {
                let candidate = parent(published[index.index(published.len())], share);
                if chosen.iter().all(|parent| parent.root != candidate.root) {
                    chosen.push(candidate);
                }
            }
            let wanted = IModels::Publication { splits, parents: chosen, ..publication(number) };
            if publish(&mut net, from, wanted).succeeded() {
                published.push(number);
            }
        }
        for number in published {
            let sum = payouts(&net, number, amount).iter().map(|(_, amount)| u128::from(*amount)).sum::<u128>();
            prop_assert_eq!(sum, u128::from(amount));
        }
    }
}
