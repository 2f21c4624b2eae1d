//! Every operator of programs over odd inputs: the meaning, the kernels of every level and any hands give the same bits, on every CPU.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "operators/cases.rs"]
mod cases;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

use cases::{Case, Drawn, cases};
use engine::{Level, program_kernels};
use graph::program::{
    Alone, By, Crew, Element, Grain, Limits, Meaning, Operator,
    execute::{meaning, value_root},
    ops,
};

const ELEMENTS: [Element; 8] =
    [Element::F32, Element::F64, Element::F16, Element::BF16, Element::I32, Element::I64, Element::U8, Element::Bool];

/// Hands that take every row as a piece of its own, the last first and several at once.
struct Shreds {
    count: usize,
    taken: AtomicBool,
}

impl Crew for Shreds {
    fn count(&self) -> usize {
        self.count
    }

    fn pieces(&self, count: usize, each: &(dyn Fn(usize) + Sync)) {
        if self.count == 1 || count < 2 || self.taken.swap(true, Ordering::AcqRel) {
            return (0..count).rev().for_each(each);
        }
        let left = AtomicUsize::new(count);
        let work = || {
            while let Ok(next) = left.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(1)) {
                each(next - 1);
            }
        };
        std::thread::scope(|scope| {
            (1..self.count).for_each(|_| {
                scope.spawn(work);
            });
            work();
        });
        self.taken.store(false, Ordering::Release);
    }

    fn stays(&self) -> bool {
        true
    }

    fn grain(&self) -> Grain {
        Grain { look: 1, share: 1 }
    }
}

/// Hands whose run nobody waits for after so many looks.
struct Leaving(AtomicUsize);

impl Crew for Leaving {
    fn count(&self) -> usize {
        2
    }

    fn pieces(&self, count: usize, each: &(dyn Fn(usize) + Sync)) {
        (0..count).take_while(|_| self.stays()).for_each(each);
    }

    fn stays(&self) -> bool {
        self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(1)).is_ok()
    }

    fn grain(&self) -> Grain {
        Grain { look: 1, share: 1 }
    }
}

/// What all outputs come to, or why there are none.
fn outcome(
    drawn: &Drawn,
    pick: fn(&'static Operator) -> Meaning,
    crew: &dyn Crew,
) -> Result<Vec<crypto::Digest>, String> {
    let outputs = drawn.program.run_by(drawn.values.clone(), Limits::default(), By { pick, crew }, None);
    outputs.map(|outputs| outputs.iter().map(value_root).collect()).map_err(|fault| fault.to_string())
}

fn each_draw(case: &Case, mut told: impl FnMut(&Drawn, Element)) {
    for element in ELEMENTS {
        for odd in [true, false] {
            told(&case.drawn(element, odd), element);
        }
    }
}

#[test]
fn every_operator_has_a_case_that_gives_something() {
    let (mut given, mut empty): (BTreeMap<&str, bool>, Vec<String>) = Default::default();
    for case in cases() {
        let mut gives = false;
        each_draw(&case, |drawn, _| gives |= outcome(drawn, meaning, &Alone).is_ok());
        let first = case.drawn(Element::F32, false);
        if !gives {
            empty.push(format!("{}: {:?}", case.line, outcome(&first, meaning, &Alone)));
        }
        *given.entry(case.operator.name).or_default() |= gives;
    }
    assert!(empty.is_empty(), "{}", empty.join("\n"));
    let all: BTreeSet<&str> = ops::OPERATORS.iter().chain(ops::ml::OPERATORS).map(|operator| operator.name).collect();
    let without: Vec<&&str> = all.iter().filter(|name| !given.contains_key(**name)).collect();
    assert!(without.is_empty(), "{without:?}");
}

#[test]
fn every_level_and_any_number_of_hands_have_the_meaning_s_bits() {
    let crews =
        [Shreds { count: 1, taken: AtomicBool::new(false) }, Shreds { count: 3, taken: AtomicBool::new(false) }];
    for case in cases() {
        each_draw(&case, |drawn, element| {
            let expected = outcome(drawn, meaning, &Alone);
            for crew in &crews {
                assert_eq!(outcome(drawn, meaning, crew), expected, "{} {element} {}", case.line, crew.count);
            }
            for level in Level::available() {
                let pick = program_kernels(level);
                assert_eq!(outcome(drawn, pick, &Alone), expected, "{} {element} {}", case.line, level.name());
                for crew in &crews {
                    let found = outcome(drawn, pick, crew);
                    assert_eq!(found, expected, "{} {element} {} {}", case.line, level.name(), crew.count);
                }
            }
        });
    }
}

#[test]
fn whoever_leaves_ends_an_operator_wherever_it_is() {
    for case in cases() {
        for element in [Element::F32, Element::F64, Element::I64] {
            let drawn = case.drawn(element, false);
            for pick in [meaning, program_kernels(Level::detect())] {
                for looks in [0, 1, 2, 3, 5, 9, 17] {
                    let crew = Leaving(AtomicUsize::new(looks));
                    let found = outcome(&drawn, pick, &crew);
                    // It may have been done sooner, or be refused before it looks.
                    let has_left = crew.0.load(Ordering::Acquire) == 0 && !crew.stays();
                    let words = found.as_ref().err().map(String::as_str).unwrap_or_default();
                    let fine = !has_left || found.is_ok() || words.contains("has ended it");
                    assert!(
                        fine || found == outcome(&drawn, pick, &Alone),
                        "{} {element} {looks}: {found:?}",
                        case.line
                    );
                    assert!(looks > 0 || words.contains("has ended it"), "{} {element}: {found:?}", case.line);
                }
            }
        }
    }
}

#[test]
fn no_case_is_refused_before_it_runs() {
    for case in cases() {
        let refused = case.drawn(Element::F32, false).program.refusals();
        // A float is drawn where an operator takes others.
        let stated = |fault: &String| fault.contains("has elements float,");
        let words: Vec<String> = refused.iter().map(ToString::to_string).filter(|fault| !stated(fault)).collect();
        assert!(words.is_empty(), "{}: {words:?}", case.line);
    }
}

/// Run on other CPUs too, where what is printed must be the same.
#[test]
fn every_operator_has_one_digest() {
    let mut digests: BTreeMap<&str, u64> = BTreeMap::new();
    for case in cases() {
        let digest = digests.entry(case.operator.name).or_insert(0xcbf2_9ce4_8422_2325);
        let mut tell = |outcome: Result<Vec<crypto::Digest>, String>| {
            let bytes = outcome.map_or_else(String::into_bytes, |roots| roots.iter().flat_map(|root| root.0).collect());
            *digest =
                bytes.iter().fold(*digest, |digest, &byte| (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        };
        each_draw(&case, |drawn, element| {
            tell(outcome(drawn, program_kernels(Level::detect()), &Alone));
            if element == Element::F32 {
                tell(outcome(drawn, meaning, &Alone));
            }
        });
    }
    for (name, digest) in digests {
        println!("digest {name} {digest:016x}");
    }
}
