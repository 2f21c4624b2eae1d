//! What a node takes in memory is never more than what a run's account says: else a program within its limits could take
//! a validator's machine.
//!
//! Every allocation of this program is counted, so nothing else may run beside the test: there is one.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use graph::program::{
    Array, Attribute, Body, Data, Element, Limits, Node, Port, Program, Source, Type, Value, machine::Derived,
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

/// One node over these inputs, all of which the run holds.
fn program(name: &str, version: u16, attributes: &[(&str, Attribute)], elements: &[Element]) -> Program {
    let count = u32::try_from(elements.len()).unwrap();
    let operator = find("", name).or_else(|| find("ai.onnx.ml", name)).unwrap();
    let own: BTreeMap<String, Attribute> =
        attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    let node = Node {
        name: name.to_owned(),
        operator,
        version,
        attributes: own,
        inputs: (0..count).map(Source::Slot).collect(),
        outputs: vec![Some(count)],
        derived: Derived::default(),
    };
    let port = |element: &Element| Port { name: "x".to_owned(), kind: Type::Tensor { element: *element, shape: None } };
    Program {
        inputs: elements.iter().map(port).collect(),
        outputs: vec![],
        constants: vec![],
        body: Body::new((0..count).collect(), vec![node], vec![]),
        slots: count + 1,
    }
    .released()
}

fn runs(program: &Program, inputs: &[Value], bytes: u64) -> bool {
    program.run(inputs.to_vec(), Limits { bytes, ..Limits::default() }).is_ok()
}

/// The fewest bytes with which a program runs.
fn account(program: &Program, inputs: &[Value]) -> u64 {
    let (mut low, mut high) = (0, 1 << 31);
    assert!(runs(program, inputs, high), "{:?}", program.run(inputs.to_vec(), Limits::default()).err());
    while low + 1 < high {
        let middle = (low + high) / 2;
        if runs(program, inputs, middle) { high = middle } else { low = middle }
    }
    high
}

const SIDE: usize = 128;

fn of(element: Element) -> Value {
    let bytes: Vec<u8> = match element {
        Element::F32 => (0..SIDE * SIDE).flat_map(|at| (at as f32 % 7.0).to_le_bytes()).collect(),
        Element::Bool => (0..SIDE * SIDE).map(|at| (at % 3 == 0).into()).collect(),
        _ => (0..SIDE * SIDE * element.bytes()).map(|at| u8::from(at % element.bytes() == 0)).collect(),
    };
    Array::from_bytes(element, &[SIDE, SIDE], &bytes).unwrap().into()
}

fn list(values: &[i64]) -> Value {
    Array::i64s(&[values.len()], values.to_vec()).unwrap().into()
}

type Case = (&'static str, u16, Vec<(&'static str, Attribute)>, Vec<Value>);

fn cases() -> Vec<Case> {
    use Element::{BF16, Bool, F8E4M3, F16, F32, I8, I16, I32, I64, U8};
    let to = |element: Element| vec![("to", Attribute::Integer(element.code().into()))];
    let whole = |value: i64| Value::from(Array::i64s(&[], vec![value]).unwrap());
    let mut cases: Vec<Case> = Vec::new();
    for element in [U8, I16, I64, F16, F32] {
        for name in ["Add", "Mul", "Less", "Max"] {
            let version = find("", name).unwrap().version_in(22).unwrap();
            cases.push((name, version, vec![], vec![of(element), of(element)]));
        }
        for (name, own) in [
            ("Transpose", vec![]),
            ("Neg", vec![]),
            ("Abs", vec![]),
            ("CumSum", vec![whole(0)]),
            ("ReduceSum", vec![list(&[0])]),
            ("Tile", vec![list(&[1, 2])]),
            ("Slice", vec![list(&[1]), list(&[100])]),
            ("Gather", vec![list(&[3, 1, 2, 0])]),
            ("NonZero", vec![]),
            ("Clip", vec![]),
            ("TopK", vec![list(&[9])]),
            ("Identity", vec![]),
        ] {
            if element == U8 && name == "Neg" {
                continue;
            }
            let version = find("", name).unwrap().version_in(22).unwrap();
            let inputs = [vec![of(element)], own].concat();
            cases.push((name, version, vec![], inputs));
        }
        for target in [U8, I64, F16, F32, F8E4M3, BF16] {
            cases.push(("Cast", 21, to(target), vec![of(element)]));
        }
    }
    cases.push(("Where", 16, vec![], vec![of(Bool), of(I8), of(I8)]));
    cases.push(("And", 7, vec![], vec![of(Bool), of(Bool)]));
    cases.push(("BitwiseAnd", 18, vec![], vec![of(U8), of(U8)]));
    cases.push(("BitwiseNot", 18, vec![], vec![of(U8)]));
    cases.push(("Pow", 15, vec![], vec![of(I32), of(F32)]));
    cases.push(("MatMulInteger", 10, vec![], vec![of(U8), of(U8)]));
    cases.push(("MatMul", 13, vec![], vec![of(I32), of(I32)]));
    cases.push(("MatMul", 13, vec![], vec![of(F16), of(F16)]));
    cases.push(("IsNaN", 20, vec![], vec![of(F16)]));
    cases.push(("Concat", 13, vec![("axis", Attribute::Integer(0))], vec![of(U8), of(U8), of(U8)]));
    cases.extend([1, 60].into_iter().flat_map(text_cases));
    cases.extend(recurrent_cases());
    let line = ones(&[1, 1, 5_000]);
    let pads = vec![("pads", Attribute::Integers(vec![100, 100]))];
    cases.push(("Conv", 11, pads, vec![line, ones(&[1, 1, 200])]));
    cases
}

fn ones(shape: &[usize]) -> Value {
    Array::f32s(shape, vec![1.0; shape.iter().product()]).unwrap().into()
}

/// Cells of one unit: a long text, and many short ones both ways.
fn recurrent_cases() -> Vec<Case> {
    let both = || vec![("direction", Attribute::Text("bidirectional".to_owned()))];
    let cell = |gates: usize, sizes: [usize; 4]| {
        let [steps, batch, inputs, directions] = sizes;
        vec![ones(&[steps, batch, inputs]), ones(&[directions, gates, inputs]), ones(&[directions, gates, 1])]
    };
    vec![
        ("LSTM", 14, vec![], cell(4, [100_000, 1, 1, 1])),
        (
            "GRU",
            14,
            both().into_iter().chain([("hidden_size", Attribute::Integer(1))]).collect(),
            cell(3, [1, 50_000, 1, 2]),
        ),
    ]
}

/// As many texts, each of this many bytes.
fn words(count: usize, length: usize) -> Value {
    let word = |at: usize| format!("{}{at} ", "ŉ".repeat(length)).into();
    Array::texts(&[count], (0..count).map(word).collect()).unwrap().into()
}

/// Operators that move texts, and those that make some, over texts of about this length.
fn text_cases(length: usize) -> Vec<Case> {
    let texts = words(SIDE * 16, length);
    let tiny = Array::of(Element::F64, &[5000], Data::F64(vec![5e-324; 5000])).unwrap().into();
    let text = |text: &str| Attribute::Text(text.to_owned());
    let list_of = |value: &Value| Attribute::Texts(value.as_tensor().unwrap().as_texts().unwrap().to_vec());
    let to = |element: Element| vec![("to", Attribute::Integer(element.code().into()))];
    let stops = vec![("stopwords", list_of(&words(SIDE * 8, 9))), ("case_change_action", text("LOWER"))];
    let labels = vec![("keys_strings", list_of(&texts)), ("values_strings", list_of(&words(SIDE * 16, 200)))];
    let numbers = vec![
        ("cats_strings", list_of(&words(SIDE * 16, 200))),
        ("cats_int64s", Attribute::Integers((0..SIDE as i64 * 16).collect())),
    ];
    vec![
        ("Expand", 13, vec![], vec![texts.clone(), list(&[9, 1])]),
        ("Tile", 13, vec![], vec![texts.clone(), list(&[9])]),
        ("Gather", 13, vec![], vec![texts.clone(), list(&[3; 5000])]),
        ("Slice", 13, vec![], vec![texts.clone(), list(&[1]), list(&[1000])]),
        ("Concat", 13, vec![("axis", Attribute::Integer(0))], vec![texts.clone(), texts.clone(), texts.clone()]),
        ("Equal", 19, vec![], vec![texts.clone(), texts.clone()]),
        ("StringConcat", 20, vec![], vec![texts.clone(), texts.clone()]),
        ("StringConcat", 20, vec![], vec![texts.clone(), words(1, 100_000 / length)]),
        ("StringSplit", 20, vec![], vec![texts.clone()]),
        ("StringSplit", 20, vec![("delimiter", text("ŉ"))], vec![texts.clone()]),
        ("RegexFullMatch", 20, vec![("pattern", text("[a-z]*"))], vec![words(2, 50_000)]),
        ("StringNormalizer", 10, vec![("case_change_action", text("UPPER"))], vec![texts.clone()]),
        ("StringNormalizer", 10, vec![("case_change_action", text("UPPER"))], vec![words(1, 100_000)]),
        ("StringNormalizer", 10, stops, vec![texts.clone()]),
        ("LabelEncoder", 2, labels, vec![texts]),
        ("CategoryMapper", 1, numbers, vec![list(&[7; 5000])]),
        ("Cast", 21, to(Element::Text), vec![of(Element::F32)]),
        ("Cast", 21, to(Element::Text), vec![of(Element::Bool)]),
        ("Cast", 21, to(Element::Text), vec![list(&[i64::MIN; 5000])]),
        ("Cast", 21, to(Element::Text), vec![tiny]),
    ]
}

#[test]
fn no_operator_takes_more_than_its_account() {
    let mut worst = Vec::new();
    for (name, version, attributes, inputs) in cases() {
        let elements: Vec<Element> = inputs
            .iter()
            .map(|input| match input {
                Value::Tensor(array) => array.element(),
                other => panic!("{other}"),
            })
            .collect();
        let program = program(name, version, &attributes, &elements);
        let own: usize = inputs.iter().map(|input| usize::try_from(input.weight()).unwrap()).sum();
        let allowed = account(&program, &inputs);
        // Inputs are counted by the account, and were there before.
        let inputs = inputs.to_vec();
        let before = IN_USE.load(Ordering::Relaxed);
        PEAK.store(before, Ordering::Relaxed);
        let outputs = program.run(inputs, Limits::default());
        let taken = PEAK.load(Ordering::Relaxed) - before + own;
        assert!(outputs.is_ok());
        if taken as f64 > allowed as f64 * 1.1 {
            worst.push(format!("{name} of {elements:?}: took {taken} of {allowed}"));
        }
    }
    assert!(worst.is_empty(), "{worst:#?}");
    long_texts_that_are_repeated_are_refused_before_they_take_memory();
}

/// A text of a megabyte, a million times over.
fn long_texts_that_are_repeated_are_refused_before_they_take_memory() {
    let long: Arc<str> = "x".repeat(1 << 20).into();
    let one = |text: &Arc<str>| Value::from(Array::texts(&[1], vec![text.clone()]).unwrap());
    let many = Value::from(Array::texts(&[1 << 20], vec!["".into(); 1 << 20]).unwrap());
    let repeats: [Case; 4] = [
        ("Expand", 13, vec![], vec![one(&long), list(&[1 << 20])]),
        ("Tile", 13, vec![], vec![one(&long), list(&[1 << 20])]),
        ("Gather", 13, vec![], vec![one(&long), list(&[0; 1 << 20])]),
        ("StringConcat", 20, vec![], vec![one(&long), many]),
    ];
    for (name, version, attributes, inputs) in repeats {
        let elements: Vec<Element> = inputs.iter().map(|input| input.as_tensor().unwrap().element()).collect();
        let program = program(name, version, &attributes, &elements);
        let before = IN_USE.load(Ordering::Relaxed);
        PEAK.store(before, Ordering::Relaxed);
        // A watch that would read what was made, as judges do.
        let refused = program.trace(inputs, Limits::default()).unwrap_err();
        let taken = PEAK.load(Ordering::Relaxed) - before;
        assert!(refused.to_string().contains(name) && refused.to_string().contains("bytes"), "{refused}");
        assert!(taken < 1 << 27, "{name} took {taken}");
    }
}
