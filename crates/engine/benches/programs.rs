//! Products of programs by their kernels: units of work a second on one core, which a network counts on to be 2^36 at least, and how many times
//! as many they are (`specs/evidence.md`, *Products of programs*). Below 1 a judge may come too late, below 2 the price is too low.
//!
//! `cargo bench -p engine --bench programs -- [level]`. CPU time of one thread, the best of some runs; what a product took of the account is
//! found by running it.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark stops where it cannot go on, and prints")]

use std::collections::BTreeMap;

use engine::{Level, program_kernels};
use graph::{
    Work,
    program::{Array, Attribute, Body, Element, Limits, Node, Port, Program, Source, Type, Value, ops::find},
};
use rustix::time::{ClockId, clock_gettime};

/// Units a second that a network counts on.
const RATE: f64 = (1_u64 << 36) as f64;
const RUNS: usize = 5;

enum Case {
    /// Rows, inner places and columns, and of how many products.
    Product([usize; 3], usize),
    Image {
        image: [usize; 3],
        outputs: usize,
        kernel: usize,
        groups: usize,
        stride: i64,
        pad: i64,
    },
}

fn image(image: [usize; 3], outputs: usize, kernel: usize, groups: usize, stride: i64) -> Case {
    Case::Image { image, outputs, kernel, groups, stride, pad: (kernel / 2) as i64 }
}

fn cases() -> Vec<Case> {
    let products = [
        // An encoder's layers, at 128 and 512 tokens, and its attention.
        ([128, 768, 768], 1),
        ([512, 768, 3_072], 1),
        ([512, 3_072, 768], 1),
        ([512, 64, 512], 12),
        ([512, 512, 64], 12),
        // Few rows, whose matrix comes from memory; few columns; long sums; many small ones.
        ([1, 4_096, 4_096], 1),
        ([5, 4_096, 4_096], 1),
        ([4_096, 768, 1], 1),
        ([1, 768, 1], 4_096),
        ([48, 4_096, 1_024], 1),
        ([48, 16_384, 1_024], 1),
        ([48, 1 << 17, 64], 1),
        ([4_096, 1, 4_096], 1),
        ([4, 4, 4], 1 << 14),
        ([1, 1, 1], 1 << 16),
    ];
    let images = [
        image([3, 224, 224], 64, 7, 1, 2),
        image([64, 224, 224], 64, 3, 1, 1),
        image([256, 56, 56], 256, 3, 1, 1),
        image([512, 14, 14], 512, 3, 1, 1),
        image([512, 7, 7], 512, 3, 1, 1),
        image([2_048, 7, 7], 512, 1, 1, 1),
        image([3, 224, 224], 768, 16, 1, 16),
        // Each channel its own group; few outputs of many channels that lie far apart.
        image([96, 112, 112], 96, 3, 96, 1),
        image([960, 7, 7], 960, 3, 960, 1),
        image([4_096, 64, 64], 1, 1, 1, 1),
        image([4_096, 64, 64], 48, 1, 1, 1),
    ];
    products.into_iter().map(|(sizes, count)| Case::Product(sizes, count)).chain(images).collect()
}

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let levels = Level::available().into_iter().rev().filter(|level| match wanted.as_slice() {
        // Plain code is slow on purpose.
        [] => *level != Level::PORTABLE,
        wanted => wanted.iter().any(|name| name == level.name()),
    });
    for level in levels {
        cases().iter().for_each(|case| report(level, case));
    }
}

fn report(level: Level, case: &Case) {
    let (program, inputs, name) = prepared(case);
    let runs = |operations: u64| {
        let limits = Limits { operations, ..Limits::default() };
        program.run_with(inputs.clone(), limits, program_kernels(level), None).is_ok()
    };
    let (mut low, mut high) = (0, Limits::default().operations);
    assert!(runs(high), "{name} is within the limits of a run");
    while low + 1 < high {
        let middle = (low + high) / 2;
        if runs(middle) { high = middle } else { low = middle }
    }
    let once = |_| {
        let started = cpu_seconds();
        assert!(runs(high));
        cpu_seconds() - started
    };
    let seconds = (0..RUNS).map(once).fold(f64::INFINITY, f64::min);
    let rate = Work::of_program(high).call as f64 / seconds;
    println!("{:12} {name:60} {:8.2} ms {rate:9.2e} units/s {:6.2} of 2^36", level.name(), seconds * 1e3, rate / RATE);
}

/// A program of one node, its inputs, and what it is.
fn prepared(case: &Case) -> (Program, Vec<Value>, String) {
    match *case {
        Case::Product([rows, inner, columns], count) => {
            let inputs = vec![numbers(&[count, rows, inner]), numbers(&[count, inner, columns])];
            (one_node("MatMul", 13, BTreeMap::new()), inputs, format!("{count} of {rows} x {inner} x {columns}"))
        }
        Case::Image { image: [channels, height, width], outputs, kernel, groups, stride, pad } => {
            let own = BTreeMap::from([
                ("group".to_owned(), Attribute::Integer(groups as i64)),
                ("pads".to_owned(), Attribute::Integers(vec![pad; 4])),
                ("strides".to_owned(), Attribute::Integers(vec![stride; 2])),
            ]);
            let image = [1, channels, height, width];
            let weights = numbers(&[outputs, channels / groups, kernel, kernel]);
            let name =
                format!("{channels} x {height} x {width} to {outputs} by {kernel}, groups {groups}, stride {stride}");
            (one_node("Conv", 11, own), vec![numbers(&image), weights], name)
        }
    }
}

fn one_node(name: &str, version: u16, attributes: BTreeMap<String, Attribute>) -> Program {
    let node = Node {
        name: name.to_owned(),
        operator: find("", name).unwrap(),
        version,
        attributes,
        inputs: vec![Source::Slot(0), Source::Slot(1)],
        outputs: vec![Some(2)],
        derived: Default::default(),
    };
    let port = |name: &str| Port { name: name.to_owned(), kind: Type::Tensor { element: Element::F32, shape: None } };
    let body = Body::new(vec![0, 1], vec![node], vec![Source::Slot(2)]);
    Program { inputs: vec![port("a"), port("b")], outputs: vec![port("y")], constants: Vec::new(), body, slots: 3 }
        .released()
}

/// Numbers from -0.4 to 0.6, none of them subnormal.
fn numbers(shape: &[usize]) -> Value {
    let count = shape.iter().product();
    Array::f32s(shape, (0..count).map(|at: usize| (at % 97) as f32 * 0.01 - 0.405).collect()).unwrap().into()
}

fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
