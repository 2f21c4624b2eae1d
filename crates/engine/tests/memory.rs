//! What kernels of programs take in memory is what the run's account says, and some tiles: else a program within its limits
//! could take more than a judge has.
//!
//! Every allocation of this program is counted, so nothing else may run beside the test: there is one.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    collections::BTreeMap,
    sync::atomic::{AtomicUsize, Ordering},
};

use engine::{Level, program_kernels};
use graph::program::{
    Alone, Array, Attribute, Body, By, Element, Limits, Node, Port, Program, Source, Type, Value, machine::Derived,
    ops::find,
};

struct Counting;

static IN_USE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every call is handed to the system's allocator as it is; counting touches nothing of it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = IN_USE.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(now, Ordering::Relaxed);
        // SAFETY: the caller's promise about the layout is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the pointer came from `alloc` above, hence from the system's allocator, with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// What one hand's tiles take at most, and channels that are always laid out.
const TILES: u64 = 24 << 20;

fn thirds(shape: &[usize]) -> Value {
    let count: usize = shape.iter().product();
    let values = (0..count).map(|at| (at % 7) as f32 / 3.0 - 0.9).collect();
    Array::f32s(shape, values).unwrap().into()
}

fn program(name: &str, version: u16, attributes: &[(&str, Vec<i64>)], count: u32) -> Program {
    let own = attributes.iter().map(|(name, value)| ((*name).to_owned(), Attribute::Integers(value.clone())));
    let node = Node {
        name: name.to_owned(),
        operator: find("", name).unwrap(),
        version,
        attributes: own.collect::<BTreeMap<String, Attribute>>(),
        inputs: (0..count).map(Source::Slot).collect(),
        outputs: vec![Some(count)],
        derived: Derived::default(),
    };
    let port = || Port { name: "x".to_owned(), kind: Type::Tensor { element: Element::F32, shape: None } };
    let body = Body::new((0..count).collect(), vec![node], vec![Source::Slot(count)]);
    Program {
        inputs: (0..count).map(|_| port()).collect(),
        outputs: vec![port()],
        constants: vec![],
        body,
        slots: count + 1,
    }
    .released()
}

fn run(program: &Program, inputs: &[Value], bytes: u64) -> Option<Vec<Value>> {
    let by = By { pick: program_kernels(Level::detect()), crew: &Alone };
    program.run_by(inputs.to_vec(), Limits { bytes, ..Limits::default() }, by, None).ok()
}

/// An operator, its version, its attributes and its inputs.
type Case = (&'static str, u16, Vec<(&'static str, Vec<i64>)>, Vec<Value>);

/// The fewest bytes with which a program runs.
fn account(program: &Program, inputs: &[Value]) -> u64 {
    let (mut low, mut high) = (0, 1 << 31);
    while low + 1 < high {
        let middle = (low + high) / 2;
        if run(program, inputs, middle).is_some() { high = middle } else { low = middle }
    }
    high
}

#[test]
fn kernels_take_no_more_than_the_account_and_their_tiles() {
    let apart = vec![("dilations", vec![1_000]), ("pads", vec![1_000, 1_000])];
    let cases: [Case; 4] = [
        // One column of a million places: thirty-two of them side by side are 128 MiB.
        ("MatMul", 13, vec![], vec![thirds(&[1, 1 << 20]), thirds(&[1 << 20, 1])]),
        ("MatMul", 13, vec![], vec![thirds(&[40, 100_000]), thirds(&[100_000, 33])]),
        // A place each, and a thousand of padding on both sides: laid out, 64 MiB.
        ("Conv", 11, apart, vec![thirds(&[1, 8_000, 1]), thirds(&[1, 8_000, 3])]),
        ("Conv", 11, vec![], vec![thirds(&[1, 20_000, 2, 3, 3]), thirds(&[1, 20_000, 2, 2, 2])]),
    ];
    for (name, version, attributes, inputs) in cases {
        let program = program(name, version, &attributes, u32::try_from(inputs.len()).unwrap());
        let own: u64 = inputs.iter().map(Value::weight).sum();
        let allowed = account(&program, &inputs);
        let before = IN_USE.load(Ordering::Relaxed);
        PEAK.store(before, Ordering::Relaxed);
        let found = run(&program, &inputs, u64::MAX).unwrap();
        let taken = (PEAK.load(Ordering::Relaxed) - before) as u64 + own;
        assert!(taken <= allowed + TILES, "{name} of {attributes:?}: took {taken} of {allowed}");
        // And a sum that is put down and taken up again has the meaning's bits.
        assert_eq!(found, program.run(inputs, Limits::default()).unwrap(), "{name}");
    }
}
