//! Random nodes of the operators of images and encoders.

use graph::{Attributes, Checked, Dimension, Element, Format, Interval, Tensor};

use super::{Case, Random, bytes};

type Made = (Checked, Vec<Tensor>, usize);

/// `None` for operators that are not of this kind.
pub fn case(name: &str, mut case: Case, random: &mut Random) -> Option<Made> {
    case.rows = 1 + case.rows % 5;
    let width = 1 + random.below(40);
    let none = Attributes::new();
    Some(match name {
        "convolve" => convolve(case, random),
        "pool_max" | "pool_sum" => {
            let (sizes, attributes) = windows(random, 4);
            let wide = [(Element::I32, 9000), (Element::I64, 9000)];
            let all = [(Element::I8, 127), (Element::U8, 255), (Element::I16, 9000), wide[0], wide[1]];
            let (element, magnitude) = all[random.below(5)];
            case.integers(random, element, &[&sizes[..], &[width]].concat(), magnitude);
            case.node(name, attributes)
        }
        "add_scaled" => add_scaled(case, random, width),
        "layer_norm" => {
            let (element, magnitude) =
                [(Element::I8, 127), (Element::I16, 32_767), (Element::I32, 100_000)][random.below(3)];
            case.integers(random, element, &[width], magnitude);
            case.constant(random.integers(Element::I32, &[width], bytes(-(1 << 20), 1 << 20)));
            case.constant(random.integers(Element::I64, &[width], bytes(-(1 << 40), 1 << 40)));
            let attributes = scaled(random, none).with("epsilon", random.within(1, 1 << 20));
            case.node(name, attributes.with("shift", random.within(0, 40)))
        }
        "attend" => attend(case, random),
        "transpose" => {
            let mut axes = vec![1, 2, 3];
            (0..3).for_each(|place| axes.swap(place, random.below(3)));
            let sizes = [1 + random.below(4), 1 + random.below(9), 1 + random.below(5)];
            let element = [Element::I8, Element::I16][random.below(2)];
            case.integers(random, element, &sizes, 100);
            case.node(name, none.with("axes", [vec![0], axes].concat()))
        }
        "slice" => {
            let (size, axis) = (1 + random.below(9), 1 + random.below(2));
            let sizes = if axis == 1 { [size, 3] } else { [3, size] };
            case.integers(random, Element::I16, &sizes, 100);
            let (start, step) = (random.below(size), 1 + random.below(size));
            let count = 1 + random.below((size - start - 1) / step + 1);
            let attributes = none.with("axis", axis as i64).with("start", start as i64);
            case.node(name, attributes.with("step", step as i64).with("count", count as i64))
        }
        "quantise" => {
            case.floats(random, &[width]);
            case.node(name, scaled(random, none).with("fraction", random.within(-3, 16)))
        }
        "dequantise" => {
            let (element, magnitude) =
                [(Element::I8, 127), (Element::U8, 255), (Element::I32, 1 << 24)][random.below(3)];
            case.integers(random, element, &[width], magnitude);
            case.node(name, none.with("fraction", random.within(-3, 16)))
        }
        _ => return None,
    })
}

/// An element and a clamp within it.
fn scaled(random: &mut Random, attributes: Attributes) -> Attributes {
    let (element, low, high) = [
        (Element::I8, -128, 127),
        (Element::U8, 0, 255),
        (Element::I16, -2047, 2047),
        (Element::I32, -(1 << 29), 1 << 29),
    ][random.below(4)];
    attributes.with("element", i64::from(element.code())).with("low", low).with("high", high)
}

/// Sizes and windows over them, of one or two axes.
fn windows(random: &mut Random, pads_max: usize) -> (Vec<usize>, Attributes) {
    let axes = 1 + random.below(2);
    let mut lists = [const { Vec::new() }; 5];
    let mut behind = Vec::new();
    for _ in 0..axes {
        let (kernel, dilation) = (1 + random.below(3), 1 + random.below(2));
        let extent = (kernel - 1) * dilation + 1;
        // Less padding than a window is long, on axes that are not shorter than a step: no window sees nothing.
        let pad = |random: &mut Random| random.below(pads_max.min(extent)) as i64;
        let values = [extent + random.below(6), kernel, 1 + random.below(2), dilation];
        lists.iter_mut().zip(values).for_each(|(list, value)| list.push(value as i64));
        lists[4].push(pad(random));
        // A stride could leave the last window on the padding alone.
        behind.push(if values[2] == 1 { pad(random) } else { 0 });
    }
    let [sizes, kernel, strides, dilations, mut pads] = lists;
    pads.extend(behind);
    let attributes = Attributes::new().with("kernel", kernel).with("strides", strides);
    let sizes = sizes.into_iter().map(|size| size as usize).collect();
    (sizes, attributes.with("dilations", dilations).with("pads", pads))
}

fn convolve(mut case: Case, random: &mut Random) -> Made {
    let plain = random.below(4) == 0;
    let (sizes, attributes) = if plain {
        let lists = ["kernel", "strides", "dilations", "pads"].into_iter();
        (Vec::new(), lists.fold(Attributes::new(), |all, name| all.with(name, Vec::<i64>::new())))
    } else {
        windows(random, 3)
    };
    let places: usize = match attributes.integers("kernel") {
        Ok(kernel) => kernel.iter().product::<i64>() as usize,
        Err(_) => 1,
    };
    // Lines, patches, channels alone, and groups with and without whole tiles.
    let (channels, groups, outputs) = match random.below(5) {
        0 => (4 * (1 + random.below(5)), 1, 1 + random.below(150)),
        1 => (1 + random.below(9), 1, 1 + random.below(40)),
        2 => (5 + random.below(30), 0, 0),
        3 => (6, 2, 32),
        _ => (6, 3, 9),
    };
    let (groups, outputs) = if groups == 0 { (channels, channels) } else { (groups, outputs) };
    let element = [Element::I8, Element::U8][random.below(2)];
    let magnitude = if element == Element::I8 { 127 } else { 255 };
    case.integers(random, element, &[&sizes[..], &[channels]].concat(), magnitude);
    case.constant(random.packed(Format::I8, &[outputs, places * (channels / groups)]));
    case.constant(random.integers(Element::I32, &[outputs], bytes(-100_000, 100_000)));
    let each = if random.below(2) == 0 { 1 } else { outputs };
    case.constant(random.integers(Element::I32, &[each], bytes(0, 32_767)));
    case.constant(random.integers(Element::U8, &[each], bytes(0, 40)));
    let attributes = scaled(random, attributes).with("groups", groups as i64);
    case.node("convolve", attributes)
}

fn add_scaled(mut case: Case, random: &mut Random, width: usize) -> Made {
    let elements = [(Element::I8, 127), (Element::U8, 255), (Element::I16, 32_767), (Element::I32, 1 << 24)];
    let (element, magnitude) = elements[random.below(4)];
    case.integers(random, element, &[3, width], magnitude);
    match random.below(4) {
        0 => case.constant(random.integers(Element::I16, &[width], bytes(-32_768, 32_767))),
        1 => case.constant(random.integers(Element::I16, &[1, 3, width], bytes(-32_768, 32_767))),
        2 => case.constant(random.integers(Element::I16, &[3, 1], bytes(-32_768, 32_767))),
        _ => {
            let (element, magnitude) = elements[random.below(4)];
            case.integers(random, element, &[3, width], magnitude);
        }
    }
    let attributes = scaled(random, Attributes::new()).with("left", random.within(-20_000, 20_000));
    let attributes = attributes.with("right", random.within(-20_000, 20_000)).with("shift", random.within(0, 33));
    case.node("add_scaled", attributes)
}

fn attend(mut case: Case, random: &mut Random) -> Made {
    let (heads, queries, keys) = (1 + random.below(3), 1 + random.below(20), 1 + random.below(90));
    let (head, width) = (1 + random.below(20), 1 + random.below(40));
    case.integers(random, Element::I8, &[heads, queries, head], 127);
    case.integers(random, Element::I8, &[heads, keys, head], 127);
    case.integers(random, Element::I8, &[heads, keys, width], 127);
    let first = random.within(1, 32_767);
    let mut table = random.integers(Element::I16, &[50], bytes(0, first)).integers().unwrap();
    table[0] = first;
    case.constant(Tensor::of_integers(Element::I16, &[50], table).unwrap());
    let bits = Interval { low: 0, high: 1 };
    match random.below(4) {
        0 => {}
        1 => case.constant(random.integers(Element::U8, &[queries, keys], bits)),
        2 => {
            let mask = random.integers(Element::I64, &case.shape(&[1, 1, keys]), bits);
            case.argument(mask, bits);
        }
        _ => {
            let mask = random.integers(Element::U8, &case.shape(&[heads, queries, keys]), bits);
            case.argument(mask, bits);
        }
    }
    let attributes = Attributes::new().with("multiplier", random.within(0, 1000)).with("shift", random.within(0, 20));
    debug_assert!(
        case.graph.inputs.iter().all(|input| input.shape.0.first() == Some(&Dimension::Rows)),
        "rows in front"
    );
    case.node("attend", attributes)
}
