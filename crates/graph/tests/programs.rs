//! Programs as bytes: one encoding, and nothing but refusals for what is no program.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::sync::Arc;

use graph::Model;
use graph::bytes::Malformed;
use graph::program::{
    Array, Attribute, Body, Element, Limits, Node, Port, Problem, Program, ProgramFault, Size, Source, Type, Value,
    encoding, machine::Derived, ops::find,
};

fn node(name: &str, version: u16, inputs: &[Source], outputs: &[u32]) -> Node {
    Node {
        name: format!("the {name}"),
        operator: find("", name).unwrap(),
        version,
        attributes: BTreeMap::new(),
        inputs: inputs.to_vec(),
        outputs: outputs.iter().copied().map(Some).collect(),
        derived: Derived::default(),
    }
}

/// `y = if flag { x + c } else { x }`, with a body, a constant and a free size.
fn branching() -> Program {
    let float = |sizes: Vec<Size>| Type::Tensor { element: Element::F32, shape: Some(sizes) };
    let then =
        Body::new(vec![], vec![node("Add", 14, &[Source::Slot(1), Source::Constant(0)], &[2])], vec![Source::Slot(2)]);
    let other = Body::new(vec![], vec![], vec![Source::Slot(1)]);
    let mut branch = node("If", 19, &[Source::Slot(0)], &[3]);
    // Attributes stand by rising name, so the other branch is numbered first; it makes nothing.
    branch.attributes.insert("else_branch".to_owned(), Attribute::Body(other));
    branch.attributes.insert("then_branch".to_owned(), Attribute::Body(then));
    Program {
        inputs: vec![
            Port { name: "flag".to_owned(), kind: Type::Tensor { element: Element::Bool, shape: None } },
            Port { name: "x".to_owned(), kind: float(vec![Size::Free("n".to_owned())]) },
        ],
        outputs: vec![Port { name: "y".to_owned(), kind: float(vec![Size::Free("n".to_owned())]) }],
        constants: vec![Arc::new(Array::f32s(&[1], vec![0.5]).unwrap())],
        body: Body::new(vec![0, 1], vec![branch], vec![Source::Slot(3)]),
        slots: 4,
    }
    .released()
}

fn inputs(flag: bool) -> Vec<Value> {
    vec![Array::bools(&[], vec![flag]).unwrap().into(), Array::f32s(&[2], vec![1.0, 2.0]).unwrap().into()]
}

#[test]
fn a_program_reads_back_and_runs_as_before() {
    let program = branching();
    let bytes = encoding::write(&program);
    let read = encoding::read(&bytes).unwrap();
    assert_eq!(read, program);
    for (flag, expected) in [(true, vec![1.5, 2.5]), (false, vec![1.0, 2.0])] {
        let (outputs, trace) = read.trace(inputs(flag), Limits::default()).unwrap();
        assert_eq!(outputs, [Value::from(Array::f32s(&[2], expected).unwrap())]);
        assert_eq!(trace, program.trace(inputs(flag), Limits::default()).unwrap().1);
    }
    assert_ne!(program.trace(inputs(true), Limits::default()), program.trace(inputs(false), Limits::default()));
}

#[test]
fn every_flipped_byte_and_every_cut_of_an_artefact_is_refused() {
    let artefact = Model::of_program("branching", 1, branching()).to_artefact();
    assert!(Model::from_artefact(&artefact.clone().into()).is_ok());
    for at in 0..artefact.len() {
        for flip in [1, 0x80, 0xff] {
            let mut changed = artefact.clone();
            changed[at] ^= flip;
            let read = Model::from_artefact(&changed.into());
            // A changed name or number of parameters is another model, with another root.
            let root = |read: &(Model, crypto::Digest)| read.1;
            let own = Model::from_artefact(&artefact.clone().into()).unwrap().1;
            assert!(read.is_err() || root(&read.unwrap()) != own, "byte {at}");
        }
        assert!(Model::from_artefact(&artefact[..at].to_vec().into()).is_err());
    }
}

#[test]
fn no_mutation_of_a_program_s_bytes_panics_or_reads_in_two_ways() {
    let bytes = encoding::write(&branching());
    for at in 0..bytes.len() {
        for value in 0..=255 {
            let mut changed = bytes.clone();
            changed[at] = value;
            if let Ok(program) = encoding::read(&changed) {
                assert_eq!(encoding::write(&program), changed);
                for flag in [false, true] {
                    let _ = program.run(inputs(flag), Limits { bytes: 1 << 16, operations: 1 << 16 });
                }
            }
        }
        assert!(encoding::read(&bytes[..at]).is_err());
    }
}

#[test]
fn what_stands_behind_its_use_or_in_another_body_is_refused() {
    let mut program = branching();
    program.body.outputs = vec![Source::Slot(2)];
    let refused = encoding::read(&encoding::write(&program)).unwrap_err();
    assert!(matches!(refused, Malformed::Unknown { what: "a slot that does not stand before its use", found: 2 }));
    let mut program = branching();
    program.body.nodes[0].inputs = vec![Source::Constant(7)];
    let refused = encoding::read(&encoding::write(&program)).unwrap_err();
    assert!(matches!(refused, Malformed::Unknown { what: "the index of a constant", found: 7 }));
    let mut program = branching();
    program.body.nodes[0].version = 2;
    assert!(encoding::read(&encoding::write(&program)).is_err());
}

#[test]
fn accounts_of_bytes_and_operations_bound_a_run_and_name_the_node() {
    let program = branching();
    let run = |limits| program.run(inputs(true), limits).unwrap_err();
    let few = run(Limits { bytes: 1 << 20, operations: 1 });
    assert!(few.to_string().contains("the If"), "{few}");
    let little = run(Limits { bytes: 100, operations: 1 << 20 });
    assert!(matches!(little, ProgramFault::Node { .. }), "{little}");
    let wrong = program.run(vec![Value::Nothing, Value::Nothing], Limits::default()).unwrap_err();
    assert!(matches!(wrong, ProgramFault::Input { .. }));
    assert_eq!(program.run(vec![], Limits::default()), Err(ProgramFault::Inputs { expected: 2, found: 0 }));
    let two = Array::bools(&[2], vec![true; 2]).unwrap().into();
    let refused = program.run(vec![two, inputs(true).remove(1)], Limits::default()).unwrap_err();
    let ProgramFault::Node { problem: Problem::Shape { .. }, .. } = refused else { panic!("{refused}") };
}

#[test]
fn a_loop_without_nodes_is_not_free() {
    let port = |element| Port { name: "x".to_owned(), kind: Type::Tensor { element, shape: None } };
    // Inputs: how often, whether at all. Body: the number of the round, whether to go on; gives the latter.
    let body = Body::new(vec![2, 3], vec![], vec![Source::Slot(3)]);
    let mut attributes = BTreeMap::new();
    attributes.insert("body".to_owned(), Attribute::Body(body));
    let node = Node {
        name: "forever".to_owned(),
        operator: find("", "Loop").unwrap(),
        version: 16,
        attributes,
        inputs: vec![Source::Slot(0), Source::Slot(1)],
        outputs: vec![],
        derived: Derived::default(),
    };
    let program = Program {
        inputs: vec![port(Element::I64), port(Element::Bool)],
        outputs: vec![],
        constants: vec![],
        body: Body::new(vec![0, 1], vec![node], vec![]),
        slots: 4,
    }
    .released();
    let run = |rounds: i64, operations: u64| {
        let inputs =
            vec![Array::i64s(&[], vec![rounds]).unwrap().into(), Array::bools(&[], vec![true]).unwrap().into()];
        program.run(inputs, Limits { operations, ..Limits::default() })
    };
    assert!(run(1_000, 1 << 20).is_ok());
    let refused = run(i64::MAX, 1 << 20).unwrap_err().to_string();
    assert!(refused.contains("forever"), "{refused}");
}
