//! Random graphs of the integer operators of experts.

use graph::{Attributes, Checked, Element, Format, Interval, Tensor};

use super::{Case, Random, bytes, choosing, small};

pub fn case(name: &str, case: Case, random: &mut Random, width: usize) -> (Checked, Vec<Tensor>, usize) {
    match name {
        "choose_experts" => choose(case, random, width),
        "gather_chosen" => gather(case, random, width),
        "linear_experts" => through(case, random, width),
        _ => combine(case, random, width),
    }
}

fn choose(mut case: Case, random: &mut Random, width: usize) -> (Checked, Vec<Tensor>, usize) {
    let groups = 1 + random.below(4);
    let experts = groups * width;
    // Few different scores, so that many are equal; or all there are.
    let most = if random.below(2) == 0 { 4 } else { i64::from(i32::MAX) };
    case.integers(random, Element::I32, &[experts], most);
    if random.below(2) == 0 {
        case.constant(random.integers(Element::I32, &[experts], bytes(-most.min(2), most)));
    }
    case.node("choose_experts", choosing(random, groups, width))
}

fn gather(mut case: Case, random: &mut Random, width: usize) -> (Checked, Vec<Tensor>, usize) {
    let element = [Element::I8, Element::U8, Element::I16, Element::I32, Element::F32][random.below(5)];
    match element {
        Element::F32 => case.floats(random, &[width]),
        element => case.integers(random, element, &[width], 100),
    }
    let count = 1 + random.below(9);
    case.choice(random, &[count], width);
    case.node("gather_chosen", Attributes::new())
}

/// Slots with one row of activations for all, one each, or a matrix each without a choice.
fn through(mut case: Case, random: &mut Random, width: usize) -> (Checked, Vec<Tensor>, usize) {
    let (slots, outputs) = (1 + random.below(5), 1 + random.below(50));
    let way = random.below(3);
    let experts = if way == 0 { slots } else { 1 + random.below(7) };
    let (element, magnitude) = small(random);
    let sizes = [slots, width];
    case.integers(random, element, &sizes[usize::from(way == 1)..], magnitude);
    case.constant(random.packed(Format::I8, &[experts, outputs, width]));
    case.constant(random.integers(Element::I32, &[experts, outputs], bytes(0, 127)));
    case.constant(random.integers(Element::U8, &[experts, outputs], bytes(0, 30)));
    if way > 0 {
        case.choice(random, &[slots], experts);
    }
    let (to, limit) =
        [(Element::I8, 127), (Element::I16, 32_767), (Element::I32, 1 << 24), (Element::U8, 255)][random.below(4)];
    case.node("linear_experts", scaled(to, limit))
}

fn combine(mut case: Case, random: &mut Random, width: usize) -> (Checked, Vec<Tensor>, usize) {
    let (count, width) = (1 + random.below(8), width * (1 + random.below(8)));
    let (element, most) = [(Element::I32, 1 << 24), (Element::I32, 1 << 30), (Element::I8, 127)][random.below(3)];
    case.integers(random, element, &[count, width], most);
    let shape = case.shape(&[count]);
    let interval = Interval { low: -3, high: 16_384 };
    case.argument(random.integers(Element::I16, &shape, interval), interval);
    let (to, limit) = [(Element::I8, 127), (Element::I16, 2047), (Element::I32, 1 << 20)][random.below(3)];
    case.node("combine_experts", scaled(to, limit).with("shift", random.within(0, 40)))
}

fn scaled(element: Element, limit: i64) -> Attributes {
    let low = if element == Element::U8 { 0 } else { -limit };
    Attributes::new().with("element", i64::from(element.code())).with("low", low).with("high", limit)
}
