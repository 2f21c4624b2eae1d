//! Every fast kernel against the reference evaluator: random shapes and values, every level of the CPU, one thread and
//! several, cut into chunks, and together with another text.

mod classical;
mod experts;
mod images;

use graph::{
    Attributes, Checked, Data, Dimension, Element, Format, Graph, Input, Interval, Kind, Output, Reach, Shape, Source,
    Tensor, evaluate, formats::Packer, ops::find,
};
use proptest::prelude::*;

use crate::{
    cpu::Level,
    kernel::{Place, Threads},
    ops::{KERNELS, TAILED},
    plan::{Chunk, Lane, Plan, Workspace},
};

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() >> 11) as usize % limit
    }

    fn within(&mut self, low: i64, high: i64) -> i64 {
        // The ends come up often: they are where sums are largest.
        match self.below(8) {
            0 => low,
            1 => high,
            _ => low + self.below((high - low + 1) as usize) as i64,
        }
    }

    fn float(&mut self) -> f32 {
        let scale = [1e-6, 0.1, 1.0, 30.0][self.below(4)];
        (self.next() as i32 as f32) / 2_147_483_648.0 * scale
    }

    fn integers(&mut self, element: Element, shape: &[usize], interval: Interval) -> Tensor {
        let count = shape.iter().product();
        let values: Vec<i64> = (0..count).map(|_| self.within(interval.low, interval.high)).collect();
        Tensor::of_integers(element, shape, values).unwrap()
    }

    fn floats(&mut self, shape: &[usize]) -> Tensor {
        let count = shape.iter().product();
        Tensor::of(shape, Data::F32((0..count).map(|_| self.float()).collect()))
    }

    /// Weights of a format; scales have subnormals among them, and nothing is infinite.
    fn packed(&mut self, format: Format, shape: &[usize]) -> Tensor {
        let layout = format.layout();
        let (columns, outer) = shape.split_last().unwrap();
        let blocks = format.blocks(*columns).unwrap();
        let mut packer = Packer::new(format, shape).unwrap();
        for _ in 0..outer.iter().product::<usize>() {
            let mut source: Vec<u8> = match format {
                Format::F32 => (0..*columns).flat_map(|_| self.float().to_le_bytes()).collect(),
                Format::I8 => (0..*columns).map(|_| self.within(-128, 127) as u8).collect(),
                _ => (0..blocks * layout.source).map(|_| self.within(0, 255) as u8).collect(),
            };
            for block in source.chunks_mut(layout.source) {
                let halves: &[usize] = match format {
                    Format::F16 | Format::Bf16 | Format::Q8_0 | Format::Q4_0 | Format::Q5_0 | Format::Iq4Nl => &[1],
                    Format::Q4K | Format::Q5K | Format::Q4_1 | Format::Q5_1 => &[1, 3],
                    Format::Q6K => &[209],
                    Format::F32 | Format::I8 => &[],
                };
                halves.iter().for_each(|&upper| block[upper] &= 0x3f);
            }
            packer.push(&source);
        }
        Tensor::packed(shape, packer.finish().unwrap())
    }
}

/// A graph of one node whose inputs are the arguments, constants among them.
struct Case {
    graph: Graph,
    inputs: Vec<Tensor>,
    sources: Vec<Source>,
    rows: usize,
}

impl Case {
    fn new(random: &mut Random) -> Self {
        Self { graph: Graph::default(), inputs: Vec::new(), sources: Vec::new(), rows: 1 + random.below(40) }
    }

    fn shape(&self, sizes: &[usize]) -> Vec<usize> {
        [self.rows].into_iter().chain(sizes.iter().copied()).collect()
    }

    fn argument(&mut self, tensor: Tensor, interval: Interval) {
        let sizes = &tensor.shape()[1..];
        let dimensions = [Dimension::Rows].into_iter().chain(sizes.iter().map(|&size| Dimension::Fixed(size)));
        let (element, shape) = (tensor.element(), Shape(dimensions.collect()));
        let name = format!("x{}", self.inputs.len());
        self.graph.inputs.push(Input { name, element, shape, interval });
        self.sources.push(Source::Input(self.inputs.len()));
        self.inputs.push(tensor);
    }

    fn integers(&mut self, random: &mut Random, element: Element, sizes: &[usize], magnitude: i64) {
        let low = if element == Element::U8 { 0 } else { -magnitude };
        let interval = Interval { low, high: magnitude };
        self.argument(random.integers(element, &self.shape(sizes), interval), interval);
    }

    fn floats(&mut self, random: &mut Random, sizes: &[usize]) {
        let interval = Interval { low: 0, high: 0 };
        self.argument(random.floats(&self.shape(sizes)), interval);
    }

    fn indices(&mut self, random: &mut Random, count: usize) {
        let interval = Interval { low: 0, high: count as i64 - 1 };
        let element = [Element::I32, Element::I64, Element::U8][random.below(3)];
        self.argument(random.integers(element, &self.shape(&[]), interval), interval);
    }

    /// Indices below `limit`, so many for each row.
    fn choice(&mut self, random: &mut Random, sizes: &[usize], limit: usize) {
        let interval = Interval { low: 0, high: limit as i64 - 1 };
        self.argument(random.integers(Element::I32, &self.shape(sizes), interval), interval);
    }

    fn constant(&mut self, tensor: Tensor) {
        let name = format!("c{}", self.graph.constants.len());
        let source = self.graph.constant(name, tensor);
        self.sources.push(source);
    }

    fn node(mut self, name: &str, attributes: Attributes) -> (Checked, Vec<Tensor>, usize) {
        let node = self.graph.node("node", find(name).unwrap(), attributes, &self.sources);
        self.graph.outputs.push(Output { name: "y".into(), source: node });
        (self.graph.check(self.rows.max(64)).unwrap(), self.inputs, self.rows)
    }
}

fn bytes(low: i64, high: i64) -> Interval {
    Interval { low, high }
}

fn small(random: &mut Random) -> (Element, i64) {
    [(Element::I8, 127), (Element::U8, 255), (Element::I16, 4000)][random.below(3)]
}

/// A random graph of that operator, inputs for it, and their rows.
fn case(name: &str, random: &mut Random) -> (Checked, Vec<Tensor>, usize) {
    let mut case = Case::new(random);
    let width = 1 + random.below(70);
    let none = Attributes::new();
    match name {
        "add" | "multiply" => {
            let (element, magnitude) = if random.below(2) == 0 { (Element::I8, 127) } else { (Element::I16, 32_767) };
            if name == "add" && random.below(3) == 0 {
                case.integers(random, Element::I32, &[width], 1 << 29);
                case.integers(random, Element::I32, &[width], 1 << 29);
                return case.node(name, none);
            }
            case.integers(random, element, &[width], magnitude);
            case.integers(random, Element::I16, &[width], 32_767);
            case.node(name, none)
        }
        "add_f32" | "multiply_f32" => {
            operands(&mut case, random, width);
            case.node(name, none)
        }
        "silu_f32" | "gelu_tanh_f32" | "sigmoid_f32" | "softmax_f32" => {
            case.floats(random, &[width]);
            case.node(name, none)
        }
        "softcap_f32" => {
            case.floats(random, &[width]);
            case.node(name, none.with("cap", 7.5_f32))
        }
        "gather_rows" => {
            let table = 1 + random.below(30);
            case.indices(random, table);
            case.constant(random.integers(Element::I16, &[table, width], bytes(-32_768, 32_767)));
            case.node(name, none)
        }
        "gather_blocks_f32" => {
            let (table, blocks) = (1 + random.below(30), 1 + random.below(4));
            let format = if random.below(3) == 0 { in_floats(random) } else { in_blocks(random) };
            case.indices(random, table);
            case.constant(random.packed(format, &[table, blocks * format.layout().columns]));
            case.node(name, none)
        }
        "linear" | "linear_blocks_f32" | "linear_f32" => linear(name, case, random, width),
        "concat" | "reshape" => moved(name, case, random, width),
        "linear_experts_blocks_f32" | "linear_experts_f32" => through_experts(name, case, random, width),
        "choose_experts_f32" | "weigh_experts_f32" | "combine_experts_f32" => of_experts(name, case, random, width),
        "lookup" => lookup(case, random, width),
        "requantise" => requantise(case, random, width),
        "rms_norm" => {
            let (element, magnitude) =
                if random.below(2) == 0 { (Element::I16, 32_767) } else { (Element::I32, 1 << 23) };
            case.integers(random, element, &[width], magnitude);
            case.node(name, none.with("epsilon", random.within(1, 1 << 20)))
        }
        "rms_norm_f32" => {
            case.floats(random, &[width]);
            case.constant(random.floats(&[width]));
            case.node(name, none.with("epsilon", 1e-5_f32))
        }
        "rope" | "rope_f32" => {
            turned(name, &mut case, random);
            case.node(name, none)
        }
        "attention" | "attention_f32" | "attention_q8_f32" => attention(name, case, random),
        "choose_experts" | "gather_chosen" | "linear_experts" | "combine_experts" => {
            experts::case(name, case, random, width)
        }
        "trees" => classical::trees(case, random, width),
        "weigh" => classical::weigh(case, random, width),
        other => images::case(other, case, random).unwrap_or_else(|| panic!("no case for {other}")),
    }
}

/// Two operands as long as the output, or one of them a number or a row that repeats.
fn operands(case: &mut Case, random: &mut Random, width: usize) {
    let sizes = [if random.below(2) == 0 { width } else { 1 }];
    let repeated = random.below(4);
    for operand in 0..2 {
        if operand == repeated {
            case.constant(random.floats(&sizes));
        } else {
            case.floats(random, &[width]);
        }
    }
}

/// Heads, and a table of angles.
fn turned(name: &str, case: &mut Case, random: &mut Random) {
    let (heads, head) = (1 + random.below(3), 2 * (1 + random.below(20)));
    if name == "rope" {
        case.integers(random, Element::I16, &[heads * head], 32_767);
        case.constant(random.integers(Element::I16, &[64, head], bytes(-16_384, 16_384)));
    } else {
        case.floats(random, &[heads * head]);
        case.constant(random.floats(&[64, head]));
    }
}

/// Any format of scaled blocks.
fn in_blocks(random: &mut Random) -> Format {
    let formats: Vec<Format> = Format::of_blocks().collect();
    formats[random.below(formats.len())]
}

/// Any format of packed floats.
fn in_floats(random: &mut Random) -> Format {
    [Format::F32, Format::F16, Format::Bf16][random.below(3)]
}

fn linear(name: &str, mut case: Case, random: &mut Random, width: usize) -> (Checked, Vec<Tensor>, usize) {
    let outputs = 1 + random.below(50);
    match name {
        "linear" => {
            let (element, magnitude) = small(random);
            case.integers(random, element, &[width], magnitude);
            case.constant(random.packed(Format::I8, &[outputs, width]));
            if random.below(2) == 0 {
                case.constant(random.integers(Element::I32, &[outputs], bytes(-100_000, 100_000)));
            }
        }
        "linear_blocks_f32" => {
            let format = in_blocks(random);
            let columns = (1 + random.below(5)) * format.layout().columns;
            case.floats(random, &[columns]);
            case.constant(random.packed(format, &[outputs, columns]));
            if random.below(2) == 0 {
                case.constant(random.floats(&[outputs]));
            }
        }
        _ => {
            case.floats(random, &[width]);
            let format = in_floats(random);
            case.constant(random.packed(format, &[outputs, width]));
            if random.below(2) == 0 {
                case.constant(random.floats(&[outputs]));
            }
        }
    }
    case.node(name, Attributes::new())
}

/// Floats or words joined along an axis, or integers under other sizes.
fn moved(name: &str, mut case: Case, random: &mut Random, width: usize) -> (Checked, Vec<Tensor>, usize) {
    if name == "reshape" {
        let parts = 1 + random.below(5);
        case.integers(random, Element::I16, &[parts * width], 32_767);
        return case.node(name, Attributes::new().with("sizes", vec![0, parts as i64, width as i64]));
    }
    let (axis, heads, words) = (1 + random.below(2), 1 + random.below(4), random.below(2) == 0);
    for part in 1..2 + random.below(3) {
        let sizes = if axis == 1 { [part, width] } else { [heads, part * width] };
        if words {
            case.integers(random, Element::I16, &sizes, 32_767);
        } else {
            case.floats(random, &sizes);
        }
    }
    case.node(name, Attributes::new().with("axis", axis as i64))
}

fn of_experts(name: &str, mut case: Case, random: &mut Random, width: usize) -> (Checked, Vec<Tensor>, usize) {
    match name {
        "choose_experts_f32" => choose_experts(case, random, width),
        "weigh_experts_f32" => {
            let count = 1 + random.below(width);
            case.floats(random, &[width]);
            case.choice(random, &[count], width);
            let attributes = Attributes::new().with("normalise", random.within(0, 1)).with("scale", 2.5_f32);
            case.node(name, attributes)
        }
        _ => {
            let count = 1 + random.below(8);
            case.floats(random, &[count, width]);
            case.floats(random, &[count]);
            case.node(name, Attributes::new())
        }
    }
}

/// Slots with one row of activations for all, one each, or a matrix each without a choice.
fn through_experts(name: &str, mut case: Case, random: &mut Random, width: usize) -> (Checked, Vec<Tensor>, usize) {
    let (slots, outputs) = (1 + random.below(5), 1 + random.below(50));
    let (format, columns) = if name == "linear_experts_f32" {
        (in_floats(random), width)
    } else {
        let format = in_blocks(random);
        (format, (1 + random.below(3)) * format.layout().columns)
    };
    let way = random.below(3);
    let experts = if way == 0 { slots } else { 1 + random.below(7) };
    let sizes = [slots, columns];
    case.floats(random, &sizes[usize::from(way == 1)..]);
    case.constant(random.packed(format, &[experts, outputs, columns]));
    if way > 0 {
        case.choice(random, &[slots], experts);
    }
    case.node(name, Attributes::new())
}

fn choose_experts(mut case: Case, random: &mut Random, width: usize) -> (Checked, Vec<Tensor>, usize) {
    let groups = 1 + random.below(4);
    let experts = groups * width;
    // Few different scores, so that many are equal.
    let shape = case.shape(&[experts]);
    let scores = (0..shape.iter().product()).map(|_| random.within(-4, 4) as f32 * 0.25).collect();
    case.argument(Tensor::of(&shape, Data::F32(scores)), Interval { low: 0, high: 0 });
    if random.below(2) == 0 {
        let bias = (0..experts).map(|_| random.within(-1, 1) as f32).collect();
        case.constant(Tensor::of(&[experts], Data::F32(bias)));
    }
    case.node("choose_experts_f32", choosing(random, groups, width))
}

/// How some of so many groups of so many experts are chosen.
fn choosing(random: &mut Random, groups: usize, width: usize) -> Attributes {
    let kept = 1 + random.below(groups);
    match random.below(2) {
        0 => Attributes::new().with("count", 1 + random.below((groups * width).min(8)) as i64),
        _ => Attributes::new()
            .with("count", 1 + random.below((kept * width).min(8)) as i64)
            .with("groups", groups as i64)
            .with("kept", kept as i64)
            .with("best", 1 + random.below(width.min(3)) as i64),
    }
}

fn lookup(mut case: Case, random: &mut Random, width: usize) -> (Checked, Vec<Tensor>, usize) {
    let element = [Element::I8, Element::I16, Element::I32][random.below(3)];
    case.integers(random, element, &[width], 100);
    let wide = [(Element::I32, 1 << 30), (Element::I64, 1 << 40)];
    let most = [(Element::I8, 127), (Element::U8, 255), (Element::I16, 32_767), wide[0], wide[1]];
    let (element, most) = most[random.below(5)];
    let least = if element == Element::U8 { 0 } else { -most };
    case.constant(random.integers(element, &[201], bytes(least, most)));
    case.node("lookup", Attributes::new().with("first", -100))
}

fn requantise(mut case: Case, random: &mut Random, width: usize) -> (Checked, Vec<Tensor>, usize) {
    match random.below(6) {
        0 | 1 => case.integers(random, Element::I16, &[width], 32_767),
        2 => case.integers(random, Element::I8, &[width], 127),
        3 => case.integers(random, Element::U8, &[width], 255),
        _ => case.integers(random, Element::I32, &[width], 1 << 30),
    }
    let channels = if random.below(2) == 0 { 1 } else { width };
    case.constant(random.integers(Element::I32, &[channels], bytes(0, 32_767)));
    case.constant(random.integers(Element::U8, &[channels], bytes(0, 40)));
    let (element, limit) =
        [(Element::I8, 127), (Element::U8, 255), (Element::I16, 2047), (Element::I32, 1 << 30)][random.below(4)];
    let attributes = Attributes::new()
        .with("axis", 1)
        .with("element", i64::from(element.code()))
        .with("low", if element == Element::U8 || random.below(2) == 0 { 0 } else { -limit })
        .with("high", limit);
    case.node("requantise", attributes)
}

fn attention(name: &str, mut case: Case, random: &mut Random) -> (Checked, Vec<Tensor>, usize) {
    // Several pages of the cache, now and then.
    case.rows += random.below(3) / 2 * random.below(150);
    let (groups, kv_heads, head) = (1 + random.below(3), 1 + random.below(2), 2 * (1 + random.below(20)));
    let attributes = Attributes::new().with("heads", (groups * kv_heads) as i64).with("kv_heads", kv_heads as i64);
    let (queries, keys) = (groups * kv_heads * head, kv_heads * head);
    if name != "attention" {
        let value = 1 + random.below(30);
        for width in [queries, keys, kv_heads * value] {
            case.floats(random, &[width]);
        }
        let attributes = match random.below(3) {
            0 => attributes,
            1 => attributes.with("window", random.within(1, 30)),
            _ => attributes.with("scale", 0.3_f32).with("softcap", 5.0_f32).with("window", random.within(1, 20)),
        };
        return case.node(name, attributes);
    }
    integer_attention(case, random, attributes, [groups * kv_heads, kv_heads, head])
}

/// Windows, caps and values of another width come now and then.
fn integer_attention(
    mut case: Case,
    random: &mut Random,
    mut attributes: Attributes,
    [heads, kv_heads, head]: [usize; 3],
) -> (Checked, Vec<Tensor>, usize) {
    // Wide values with a heavy table leave 32 bits: both ways of mixing are met.
    let (element, magnitude) = if random.below(2) == 0 { (Element::I8, 127) } else { (Element::I16, 32_767) };
    let value = if random.below(2) == 0 { head } else { 1 + random.below(40) };
    case.integers(random, Element::I16, &[heads * head], 1000);
    case.integers(random, Element::I8, &[kv_heads * head], 127);
    case.integers(random, element, &[kv_heads * value], magnitude);
    let first = random.within(1, 32_767);
    let mut table = random.integers(Element::I16, &[50], bytes(0, first)).integers().unwrap();
    table[0] = first;
    case.constant(Tensor::of_integers(Element::I16, &[50], table).unwrap());
    attributes = attributes.with("multiplier", random.within(0, 1000)).with("shift", random.within(0, 20));
    if random.below(2) == 0 {
        attributes = attributes.with("window", random.within(1, 100));
    }
    if random.below(2) == 0 {
        case.constant(random.integers(Element::I16, &[300], bytes(0, 32_767)));
        attributes = attributes.with("cap_multiplier", random.within(0, 1000)).with("cap_shift", random.within(8, 24));
    }
    case.node("attention", attributes)
}

/// The same with a requantisation behind it, and perhaps a table behind that: one kernel has to keep the bits of all.
fn tailed(checked: &Checked, random: &mut Random) -> Checked {
    let mut graph = checked.graph().clone();
    let fact = checked.node_fact(0).unwrap();
    let rank = fact.shape.rank() as i64;
    let width = fact.shape.width().unwrap();
    let channels = if random.below(2) == 0 { 1 } else { width };
    let (element, limit) = [(Element::I8, 127), (Element::I16, 100), (Element::I32, 1 << 30)][random.below(3)];
    // About what brings the greatest sums near the limit, and far from it now and then.
    let bits = |value: u64| i64::from(value.max(1).ilog2());
    let drop = (bits(fact.interval.magnitude()) + 14 - bits(limit as u64)).clamp(0, 40);
    let shifts = bytes((drop - random.below(12) as i64).max(0), (drop + 1).max(0));
    let multipliers = random.integers(Element::I32, &[channels], bytes(0, 32_767));
    let shifts = random.integers(Element::U8, &[channels], shifts);
    let (multipliers, shifts) = (graph.constant("m", multipliers), graph.constant("s", shifts));
    let attributes = Attributes::new()
        .with("axis", rank - 1)
        .with("element", i64::from(element.code()))
        .with("low", -limit)
        .with("high", limit);
    let first = graph.outputs[0].source;
    let mut last = graph.node("cut", find("requantise").unwrap(), attributes, &[first, multipliers, shifts]);
    if element == Element::I16 && random.below(2) == 0 {
        let table = graph.constant("table", random.integers(Element::I16, &[201], bytes(-32_768, 32_767)));
        last = graph.node("looked", find("lookup").unwrap(), Attributes::new().with("first", -100), &[last, table]);
    }
    graph.outputs[0].source = last;
    graph.check(checked.rows_max()).unwrap()
}

/// What the graph's last node gives.
fn last(checked: &Checked) -> &graph::Fact {
    checked.node_fact(checked.graph().nodes.len() - 1).unwrap()
}

/// The rows `from..to` of each input.
fn cut(inputs: &[Tensor], rows: usize, from: usize, to: usize) -> Vec<Data> {
    let slice = |tensor: &Tensor| {
        let row = tensor.len() / rows;
        let bytes = tensor.element().bytes() * row;
        let shape = [(to - from) * row];
        Tensor::from_bytes(tensor.element(), &shape, &tensor.to_bytes()[from * bytes..to * bytes])
            .unwrap()
            .data()
            .clone()
    };
    inputs.iter().map(slice).collect()
}

fn to_bytes(data: &Data, count: usize) -> Vec<u8> {
    Tensor::new(&[count], data.clone()).unwrap().to_bytes()
}

/// Runs in chunks of the given sizes (the last as often as needed), alone.
fn in_chunks(plan: &Plan, inputs: &[Tensor], rows: usize, chunks: &[usize]) -> Vec<u8> {
    let (mut lane, mut space, mut bytes) = (plan.lane(), Workspace::default(), Vec::new());
    let mut sizes = chunks.iter().copied().chain(std::iter::repeat(*chunks.last().unwrap()));
    while lane.length < rows {
        let from = lane.length;
        let to = rows.min(from + sizes.next().unwrap());
        let inputs = cut(inputs, rows, from, to);
        let places: Vec<Place> = (from..to).map(|position| Place { lane: 0, position }).collect();
        let wanted: Vec<usize> = (0..places.len()).collect();
        plan.run(&mut space, &mut [&mut lane], &Chunk { inputs: &inputs, places: &places, wanted: &wanted }).unwrap();
        let width = last(plan.checked()).shape.count(1).unwrap();
        bytes.extend(to_bytes(plan.output(&space, &inputs, 0).unwrap(), (to - from) * width));
    }
    bytes
}

/// Runs two texts row by row, a row of each in every call.
fn together(plan: &Plan, inputs: &[Tensor], rows: usize) -> [Vec<u8>; 2] {
    let (mut one, mut other, mut space) = (plan.lane(), plan.lane(), Workspace::default());
    let mut bytes = [Vec::new(), Vec::new()];
    let width = last(plan.checked()).shape.count(1).unwrap();
    for position in 0..rows {
        let single = cut(inputs, rows, position, position + 1);
        let inputs: Vec<Data> = single.iter().map(doubled).collect();
        let places = [Place { lane: 0, position }, Place { lane: 1, position }];
        let mut lanes: Vec<&mut Lane> = vec![&mut one, &mut other];
        plan.run(&mut space, &mut lanes, &Chunk { inputs: &inputs, places: &places, wanted: &[0, 1] }).unwrap();
        let all = to_bytes(plan.output(&space, &inputs, 0).unwrap(), 2 * width);
        let (first, second) = all.split_at(all.len() / 2);
        bytes[0].extend(first);
        bytes[1].extend(second);
    }
    bytes
}

fn doubled(data: &Data) -> Data {
    match data {
        Data::I8(values) => Data::I8(values.repeat(2)),
        Data::U8(values) => Data::U8(values.repeat(2)),
        Data::I16(values) => Data::I16(values.repeat(2)),
        Data::I32(values) => Data::I32(values.repeat(2)),
        Data::I64(values) => Data::I64(values.repeat(2)),
        Data::F16(values) => Data::F16(values.repeat(2)),
        Data::F32(values) => Data::F32(values.repeat(2)),
        Data::Packed(_) => unreachable!("inputs are not packed"),
    }
}

fn check(name: &str, seed: u64) {
    let mut random = Random(seed | 1);
    let (checked, inputs, rows) = case(name, &mut random);
    check_graph(name, seed, &mut random, checked, &inputs, rows);
    if TAILED.contains(&name) {
        let (checked, inputs, rows) = case(name, &mut random);
        let checked = tailed(&checked, &mut random);
        check_graph(&format!("{name} and what is behind it"), seed, &mut random, checked, &inputs, rows);
    }
}

fn check_graph(name: &str, seed: u64, random: &mut Random, checked: Checked, inputs: &[Tensor], rows: usize) {
    let expected = evaluate(&checked, inputs).unwrap()[0].to_bytes();
    let interval = last(&checked).interval;
    if checked.graph().nodes[0].operator.kind != Kind::Ordered {
        // Movement may be of floats, which have no interval.
        let extremes = evaluate(&checked, inputs).unwrap()[0].extremes();
        let holds = extremes.is_none_or(|(low, high)| low >= interval.low && high <= interval.high);
        assert!(holds, "{name}: {extremes:?} left {interval:?}");
    }
    for level in Level::available() {
        for threads in [1, 3] {
            let plan = Plan::new(checked.clone(), level, Threads::new(threads));
            let chunks = [1 + random.below(rows), 1 + random.below(5)];
            for chunks in [&[rows][..], &chunks] {
                let found = in_chunks(&plan, inputs, rows, chunks);
                assert!(found == expected, "{name} seed {seed} {} {threads} threads {chunks:?}", level.name());
            }
        }
        let plan = Plan::new(checked.clone(), level, Threads::one());
        if checked.graph().nodes[0].operator.reach != Reach::All {
            for found in together(&plan, inputs, rows) {
                assert!(found == expected, "{name} seed {seed} {} together", level.name());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn every_kernel_has_the_bits_of_its_meaning_in_any_cut(seed: u64) {
        for (name, _) in KERNELS {
            check(name, seed);
        }
    }
}

/// Rows of bytes with and without a sign through the same weights, to two clamps: what is made of the constants is made once.
#[test]
fn nodes_that_share_constants_have_each_its_own_bits() {
    let mut random = Random(77);
    let mut case = Case::new(&mut random);
    case.integers(&mut random, Element::I8, &[20], 127);
    case.integers(&mut random, Element::U8, &[20], 255);
    case.constant(random.packed(Format::I8, &[33, 20]));
    case.constant(random.integers(Element::I32, &[33], bytes(-999, 999)));
    case.constant(random.integers(Element::I32, &[33], bytes(0, 99)));
    case.constant(random.integers(Element::U8, &[33], bytes(6, 12)));
    let Case { mut graph, inputs, sources, rows } = case;
    let (x, constants) = sources.split_at(2);
    for (input, high) in [(0, 99_i64), (1, 99), (0, 1 << 20), (1, 1 << 20)] {
        let lists = ["kernel", "strides", "dilations", "pads"];
        let attributes = lists.iter().fold(Attributes::new(), |all, name| all.with(name, Vec::<i64>::new()));
        let attributes = attributes.with("groups", 1).with("element", 4).with("low", -high).with("high", high);
        let inputs = [&x[input..=input], constants].concat();
        let source = graph.node("node", find("convolve").unwrap(), attributes, &inputs);
        graph.outputs.push(Output { name: "y".into(), source });
    }
    let checked = graph.check(64).unwrap();
    let expected: Vec<Data> = evaluate(&checked, &inputs).unwrap().into_iter().map(Tensor::into_data).collect();
    for level in Level::available() {
        let plan = Plan::new(checked.clone(), level, Threads::one());
        let (mut lane, mut space) = (plan.lane(), Workspace::default());
        let places: Vec<Place> = (0..rows).map(|position| Place { lane: 0, position }).collect();
        let (all, wanted) = (cut(&inputs, rows, 0, rows), (0..rows).collect::<Vec<usize>>());
        let chunk = Chunk { inputs: &all, places: &places, wanted: &wanted };
        plan.run(&mut space, &mut [&mut lane], &chunk).unwrap();
        let found: Vec<Data> = (0..4).map(|output| plan.output(&space, &all, output).unwrap().clone()).collect();
        assert!(found == expected, "{}", level.name());
    }
}

#[test]
fn attention_and_what_is_behind_it_see_all_rows_though_few_are_wanted() {
    for seed in 1..20 {
        let mut random = Random(seed * 97);
        let (checked, inputs, rows) = case("attention", &mut random);
        let checked = tailed(&checked, &mut random);
        let expected = evaluate(&checked, &inputs).unwrap()[0].to_bytes();
        let plan = Plan::new(checked, Level::detect(), Threads::one());
        let (mut lane, mut space) = (plan.lane(), Workspace::default());
        let places: Vec<Place> = (0..rows).map(|position| Place { lane: 0, position }).collect();
        let all = cut(&inputs, rows, 0, rows);
        let chunk = Chunk { inputs: &all, places: &places, wanted: &[rows - 1] };
        plan.run(&mut space, &mut [&mut lane], &chunk).unwrap();
        let width = last(plan.checked()).shape.count(1).unwrap();
        let found = to_bytes(plan.output(&space, &all, 0).unwrap(), width);
        assert!(found == expected[expected.len() - found.len()..], "seed {seed}");
    }
}

/// Run on other CPUs too, where what is printed must be the same.
#[test]
fn every_level_and_the_reference_have_one_digest() {
    let digest = |digest: u64, bytes: &[u8]| {
        bytes.iter().fold(digest, |digest, &byte| (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    };
    let mut expected = 0xcbf2_9ce4_8422_2325;
    let mut found: Vec<(Level, u64)> = Level::available().into_iter().map(|level| (level, expected)).collect();
    for (name, _) in KERNELS {
        for seed in 1..5 {
            let mut random = Random(seed * 7 + 1);
            let (mut checked, inputs, rows) = case(name, &mut random);
            if seed > 2 && TAILED.contains(name) {
                checked = tailed(&checked, &mut random);
            }
            expected = digest(expected, &evaluate(&checked, &inputs).unwrap()[0].to_bytes());
            for (level, found) in &mut found {
                let plan = Plan::new(checked.clone(), *level, Threads::new(2));
                *found = digest(*found, &in_chunks(&plan, &inputs, rows, &[7]));
            }
        }
    }
    println!("digest {expected:016x}");
    for (level, found) in found {
        assert_eq!(found, expected, "{}", level.name());
    }
}

/// What no kernel covers runs by its meaning, one number at a time; its price knows that.
#[test]
fn every_number_that_passes_has_its_price_and_a_higher_one_where_there_is_no_kernel() {
    let numbers = |fact: &graph::Fact| fact.shape.count(1).unwrap() as u64;
    let mut uncovered = 0;
    for (name, _) in KERNELS {
        for seed in 1..40 {
            let (checked, ..) = case(name, &mut Random(seed * 13 + 5));
            let node = &checked.graph().nodes[0];
            let (facts, output) = (checked.input_facts(node).unwrap(), checked.node_fact(0).unwrap());
            let tail = std::sync::Arc::default();
            let making = crate::kernel::Making { attributes: &node.attributes, inputs: &facts, output, tail };
            let is_covered = crate::ops::fast(node, &making).is_some();
            uncovered += usize::from(!is_covered);
            let computed = facts.iter().filter(|fact| fact.constant.is_none()).map(numbers);
            let passing = computed.sum::<u64>() + numbers(output);
            let least = passing * if is_covered { 32 } else { 256 };
            let work = checked.work();
            assert!(work.row >= least, "{name}, kernel {is_covered}: {work:?} for {passing} numbers, {facts:?}");
        }
    }
    assert!(uncovered > 0, "some cases are left to meanings");
}
