//! Random nodes of the operators of classical models.

use graph::{Attributes, Checked, Element, Tensor};

use super::{Case, Random, bytes};

type Made = (Checked, Vec<Tensor>, usize);

/// Trees of which some share branches, and some are a leaf alone.
pub fn trees(mut case: Case, random: &mut Random, features: usize) -> Made {
    let (element, magnitude) =
        [(Element::I8, 127), (Element::U8, 255), (Element::I16, 32_767), (Element::I32, 1 << 30)][random.below(4)];
    case.integers(random, element, &[features], magnitude);
    let (splits, leaves, targets) = (1 + random.below(40), 1 + random.below(12), 1 + random.below(4));
    let leads = |random: &mut Random, after: usize| {
        let later = splits - after;
        // Near ones, so that walks are long.
        if later == 0 || random.below(4) == 0 {
            -1 - random.below(leaves) as i64
        } else {
            (after + random.below(later.min(3))) as i64
        }
    };
    let mut table = Vec::new();
    for split in 0..splits {
        let value = random.within(-magnitude, magnitude);
        table.extend([random.below(features) as i64, value, leads(random, split + 1), leads(random, split + 1)]);
    }
    let mut starts = vec![0];
    let mut votes = Vec::new();
    for _ in 0..leaves {
        for _ in 0..random.below(4) {
            votes.extend([random.below(targets) as i64, random.within(-(1 << 20), 1 << 20)]);
        }
        starts.push((votes.len() / 2) as i64);
    }
    let roots: Vec<i64> = (0..1 + random.below(20)).map(|_| leads(random, random_place(splits))).collect();
    let list = |shape: &[usize], values: Vec<i64>| Tensor::of_integers(Element::I32, shape, values).unwrap();
    case.constant(list(&[splits, 4], table));
    case.constant(list(&[leaves + 1], starts));
    case.constant(list(&[votes.len() / 2, 2], votes));
    case.constant(list(&[roots.len()], roots));
    case.node("trees", Attributes::new().with("targets", targets as i64))
}

/// Roots stand near the first splits.
fn random_place(splits: usize) -> usize {
    splits / 8
}

pub fn weigh(mut case: Case, random: &mut Random, columns: usize) -> Made {
    let (element, magnitude) =
        [(Element::I8, 127), (Element::U8, 255), (Element::I16, 32_767), (Element::I32, 1 << 24)][random.below(4)];
    case.integers(random, element, &[columns], magnitude);
    let outputs = 1 + random.below(5);
    case.constant(random.integers(Element::I32, &[outputs, columns], bytes(-(1 << 29), 1 << 29)));
    case.constant(random.integers(Element::I64, &[outputs], bytes(-(1 << 60), 1 << 60)));
    let (element, limit) =
        [(Element::I8, 127), (Element::U8, 255), (Element::I16, 2047), (Element::I32, 1 << 30)][random.below(4)];
    let attributes = Attributes::new().with("element", i64::from(element.code())).with("high", limit);
    let low = if element == Element::U8 { 0 } else { -limit };
    case.node("weigh", attributes.with("low", low).with("shift", random.within(0, 62)))
}
