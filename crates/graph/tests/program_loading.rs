//! What loading a program may take of its constants: nodes that make the same of the same ones share it, and what is too much is refused with the
//! name of its node before anything is looked at.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{collections::BTreeMap, sync::Arc};

use graph::{
    bytes::Malformed,
    program::{
        Array, Attribute, Body, Element, Node, Port, Problem, Program, ProgramFault, Source, Type, encoding,
        machine::Derived, ops::find,
    },
};

struct Said {
    operator: &'static str,
    version: u16,
    attributes: Vec<(&'static str, Attribute)>,
    inputs: Vec<Source>,
}

/// Nodes that read the program's one input, each by itself.
fn program(constants: Vec<Array>, nodes: Vec<Said>) -> Program {
    let port = || Port { name: "x".to_owned(), kind: Type::Tensor { element: Element::F32, shape: None } };
    let slots = nodes.len() as u32 + 1;
    let node = |(said, slot): (Said, u32)| Node {
        name: format!("node {}", slot - 1),
        operator: find("", said.operator).or_else(|| find("ai.onnx.ml", said.operator)).unwrap(),
        version: said.version,
        attributes: said
            .attributes
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect::<BTreeMap<_, _>>(),
        inputs: said.inputs,
        outputs: vec![Some(slot)],
        derived: Derived::default(),
    };
    Program {
        inputs: vec![port()],
        outputs: vec![port()],
        constants: constants.into_iter().map(Arc::new).collect(),
        body: Body::new(vec![0], nodes.into_iter().zip(1..).map(node).collect(), vec![Source::Slot(1)]),
        slots,
    }
    .released()
}

fn conv(weights: u32, group: i64) -> Said {
    let inputs = vec![Source::Slot(0), Source::Constant(weights)];
    Said { operator: "Conv", version: 11, attributes: vec![("group", Attribute::Integer(group))], inputs }
}

fn lstm(weights: u32, behind: u32) -> Said {
    let inputs = vec![Source::Slot(0), Source::Constant(weights), Source::Constant(behind)];
    Said { operator: "LSTM", version: 14, attributes: vec![], inputs }
}

fn zeros(shape: &[usize]) -> Array {
    Array::f32s(shape, vec![0.0; shape.iter().product()]).unwrap()
}

#[test]
fn nodes_that_make_the_same_of_the_same_constants_share_it() {
    let constants = || vec![zeros(&[2, 1, 1, 1]), zeros(&[2, 1, 1, 1]), zeros(&[1, 4, 1])];
    let nodes = vec![conv(0, 1), conv(0, 1), conv(0, 2), conv(1, 1), lstm(2, 2), lstm(2, 2)];
    let program = program(constants(), nodes);
    let made: Vec<Arc<usize>> =
        program.body.nodes.iter().enumerate().map(|(at, node)| node.derived.get(|| Ok(at)).unwrap()).collect();
    assert_eq!(made.iter().map(|made| **made).collect::<Vec<usize>>(), [0, 0, 2, 3, 4, 4]);
    // A copy may be given other inputs, and shares nothing.
    assert_eq!(*program.body.nodes[1].clone().derived.get(|| Ok(9_usize)).unwrap(), 9);
}

/// The only refusal, which names that node; whoever reads the program refuses it in the same words.
fn refused(program: &Program, node: usize, operator: &str, expected: &str) {
    let found = program.refusals();
    let [ProgramFault::Node { name, operator: of, problem: Problem::Loading(_) }] = &found[..] else {
        panic!("{found:?}, expected one of node {node}")
    };
    assert_eq!((name.as_str(), *of), (format!("node {node}").as_str(), operator));
    let words = found[0].to_string();
    assert!(words.contains(expected), "{words}");
    assert_eq!(encoding::read(&encoding::write(program)), Err(Malformed::Refused { cause: words }));
}

#[test]
fn what_kernels_keep_of_constants_is_bounded_by_the_constants() {
    // Four times the constant and 64 MiB are room for eight of it, and one for all nodes of one number of groups.
    let weights = || vec![zeros(&[1 << 11, 1 << 11, 1])];
    let fits = (1..=8).flat_map(|group| [conv(0, group), conv(0, group)]).collect();
    assert_eq!(program(weights(), fits).refusals(), []);
    let nodes = (1..=9).map(|group| conv(0, group)).collect();
    refused(&program(weights(), nodes), 8, "Conv", "bytes would be kept");
    // Few units and many inputs: mostly zeros, a megabyte for each matrix of some kilobytes.
    let sizes = (0..90).map(|_| zeros(&[1, 4, 4_000])).chain([zeros(&[1, 4, 1])]).collect();
    let nodes = (0..90).map(|at| lstm(at, 90)).collect();
    refused(&program(sizes, nodes), 88, "LSTM", "bytes would be kept");
}

#[test]
fn lists_that_trees_keep_are_counted_for_each_and_a_base_value_for_each_target() {
    let regressor = |targets: i64, base: Option<Attribute>| Said {
        operator: "TreeEnsembleRegressor",
        version: 3,
        attributes: [("n_targets", Attribute::Integer(targets))]
            .into_iter()
            .chain(base.map(|base| ("base_values_as_tensor", base)))
            .collect(),
        inputs: vec![Source::Slot(0)],
    };
    let vast = program(vec![], vec![regressor(1, None), regressor(1 << 40, None)]);
    refused(&vast, 1, "TreeEnsembleRegressor", "bytes would be kept");
    // Eight bytes a number of a constant of four: ten times two of it are all the room that there is.
    let nodes = (0..20).map(|_| regressor(0, Some(Attribute::Constant(0)))).collect();
    refused(&program(vec![zeros(&[1 << 20])], nodes), 10, "TreeEnsembleRegressor", "bytes would be kept");
}

#[test]
fn so_many_nodes_over_one_list_that_looking_takes_long_are_refused_by_name() {
    let labels = |_| Said {
        operator: "ZipMap",
        version: 1,
        attributes: vec![("classlabels_int64s", Attribute::Constant(0))],
        inputs: vec![Source::Slot(0)],
    };
    let list = Array::i64s(&[1 << 20], vec![0; 1 << 20]).unwrap();
    let nodes = (0..1_100).map(labels).collect();
    refused(&program(vec![list], nodes), (1 << 10) + (1 << 5), "ZipMap", "numbers of constants");
}
