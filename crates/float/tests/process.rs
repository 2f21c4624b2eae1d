//! The runtime's process: what it answers, what it is ended for, and that nothing else ends with it.
//!
//! Its program is this file's own: the last test is the process when it is started alone.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod files;

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use float::{FloatModel, Limits, Program, Runtime, RuntimeError};
use protocol::{Element, List, Tensor, request::TENSORS_MAX};

use files::{BOOL, FLOAT, INT64, Node, file, floats, graph, integers, model, risk, tensor, truth, value};

fn program() -> Program {
    let arguments = ["--exact", "the_process", "--ignored", "--nocapture"].map(Into::into).to_vec();
    Program { path: std::env::current_exe().unwrap(), arguments }
}

fn started(file: Vec<u8>, change: impl FnOnce(&mut Limits)) -> Result<Runtime, RuntimeError> {
    let mut limits = Limits::of(file.len());
    change(&mut limits);
    Runtime::start(program(), file.into(), limits)
}

fn inputs(tensors: Vec<Tensor>) -> List<Tensor, TENSORS_MAX> {
    List::new(tensors).unwrap()
}

fn risky() -> List<Tensor, TENSORS_MAX> {
    inputs(vec![floats("returns", &[2, 32]), floats("statistics", &[2, 4])])
}

/// A shape as a tensor of 64-bit integers.
fn shape(sizes: &[i64]) -> List<Tensor, TENSORS_MAX> {
    let data = sizes.iter().flat_map(|size| size.to_le_bytes()).collect();
    inputs(vec![tensor("shape", Element::I64, &[sizes.len() as u64], data)])
}

/// Fills as much as its input says, and gives the sum.
fn filling() -> Vec<u8> {
    let nodes = [Node::of("ConstantOfShape", &["shape"], "filled"), Node::of("ReduceSum", &["filled"], "y")];
    model(&[value("shape", INT64, &[1])], &nodes, &[value("y", FLOAT, &[])])
}

/// Runs nothing, as often as its input says.
fn turning() -> Vec<u8> {
    let body = graph(
        &[value("i", INT64, &[]), value("goes", BOOL, &[]), value("before", FLOAT, &[1])],
        &[],
        &[Node::of("Identity", &["goes"], "on"), Node::of("Neg", &["before"], "after")],
        &[value("on", BOOL, &[]), value("after", FLOAT, &[1])],
    );
    let turn = Node::of("Loop", &["count", "yes", "x"], "y").with("body", &body);
    let squeezed = Node::of("Squeeze", &["shape"], "count");
    let given = [value("shape", INT64, &[1]), value("x", FLOAT, &[1])];
    file(&graph(&given, &[truth("yes")], &[squeezed, turn], &[value("y", FLOAT, &[1])]))
}

#[test]
fn the_process_answers_as_the_model_does_in_this_one() {
    let runtime = started(risk(), |_| ()).unwrap();
    let model = FloatModel::load(risk(), 1).unwrap();
    assert_eq!(runtime.parameters(), model.parameters());
    for _ in 0..3 {
        assert_eq!(runtime.run(&risky()).unwrap().to_vec(), model.run(&risky()).unwrap());
    }
    let refused = runtime.run(&inputs(vec![floats("else", &[1])])).unwrap_err();
    assert!(refused.is_of_the_input() && refused.to_string().contains("no input else"), "{refused}");
    // A refusal costs the process nothing.
    runtime.run(&risky()).unwrap();
}

#[test]
fn what_the_runtime_does_not_take_is_said_in_its_words() {
    let refused = started(b"nonsense".to_vec(), |_| ()).err().unwrap();
    assert!(matches!(&refused, RuntimeError::Refused(words) if words.contains("does not take the model")), "{refused}");
}

#[test]
fn an_input_that_wants_too_much_memory_ends_the_process_and_nothing_else() {
    let runtime = started(filling(), |limits| limits.memory_bytes = 1 << 30).unwrap();
    let full = || runtime.run(&shape(&[1 << 30]));
    for _ in 0..2 {
        assert_eq!(runtime.run(&shape(&[1 << 20])).unwrap().len(), 1);
        let refused = full().unwrap_err();
        assert!(refused.is_of_the_input(), "{refused}");
        let RuntimeError::Ended { status, memory_bytes } = refused else { panic!("{refused}") };
        assert!(!status.success() && memory_bytes == 1 << 30, "{status}");
    }
}

#[test]
fn a_file_that_wants_too_much_memory_as_it_is_read_is_refused() {
    // Computed once, when the file is read, because all that it depends on is constant.
    let nodes = [Node::of("ConstantOfShape", &["size"], "filled"), Node::of("ReduceSum", &["filled"], "sum")];
    let add = Node::of("Add", &["x", "sum"], "y");
    let [fill, sum] = nodes;
    let given = [value("x", FLOAT, &[1])];
    let greedy = graph(&given, &[integers("size", &[1], &[1 << 31])], &[fill, sum, add], &[value("y", FLOAT, &[])]);
    let refused = started(file(&greedy), |limits| limits.memory_bytes = 1 << 30).err();
    // One that leaves it for later is a model, whose runs end in the same way.
    if let Some(refused) = refused {
        assert!(refused.is_of_the_input(), "{refused}");
    }
}

#[test]
fn an_input_that_takes_too_long_is_given_up_and_the_next_is_answered() {
    let runtime = started(turning(), |limits| limits.run = Duration::from_millis(700)).unwrap();
    let turned = |count: i64| {
        let data = count.to_le_bytes().to_vec();
        runtime.run(&inputs(vec![tensor("shape", Element::I64, &[1], data), floats("x", &[1])]))
    };
    assert_eq!(&turned(2).unwrap()[0].data[..], &(-1.0_f32).to_le_bytes());
    let begun = Instant::now();
    let refused = turned(i64::from(i32::MAX)).unwrap_err();
    assert!(matches!(refused, RuntimeError::TooSlow { ms: 700 }) && refused.is_of_the_input(), "{refused}");
    assert!(begun.elapsed() < Duration::from_secs(20));
    assert_eq!(&turned(3).unwrap()[0].data[..], &1.0_f32.to_le_bytes());
}

#[test]
fn who_waits_too_long_for_others_is_told_so() {
    let runtime = started(turning(), |limits| limits.run = Duration::from_millis(900)).unwrap();
    let turned = |count: i64| {
        let data = count.to_le_bytes().to_vec();
        runtime.run(&inputs(vec![tensor("shape", Element::I64, &[1], data), floats("x", &[1])]))
    };
    let waiting: Vec<RuntimeError> = std::thread::scope(|scope| {
        let long = || scope.spawn(|| turned(i64::from(i32::MAX)).unwrap_err());
        let all: Vec<_> = (0..4).map(|_| long()).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let busy = waiting.iter().filter(|error| matches!(error, RuntimeError::Busy { ms: 900 })).count();
    assert!(busy >= 1 && waiting.iter().filter(|error| !error.is_of_the_input()).count() == busy, "{waiting:?}");
    assert!(turned(2).is_ok());
}

#[test]
fn a_run_that_nobody_waits_for_ends_as_soon_as_a_start_would_have_taken_and_the_next_is_answered() {
    let runtime = started(turning(), |_| ()).unwrap();
    let given = |count: i64| {
        let data = count.to_le_bytes().to_vec();
        inputs(vec![tensor("shape", Element::I64, &[1], data), floats("x", &[1])])
    };
    let begun = Instant::now();
    let refused = runtime.run_while(&given(i64::from(i32::MAX)), &|| false).unwrap_err();
    assert!(matches!(refused, RuntimeError::Left) && !refused.is_of_the_input(), "{refused}");
    assert!(begun.elapsed() < Duration::from_secs(15), "the whole time of a run is 20 seconds");
    assert_eq!(&runtime.run(&given(3)).unwrap()[0].data[..], &1.0_f32.to_le_bytes());
    // What is answered sooner costs nobody the process.
    assert!(runtime.run_while(&given(2), &|| false).is_ok());
    // Who waits behind others and leaves does not wait on.
    let stays = AtomicBool::new(true);
    std::thread::scope(|scope| {
        let (runtime, held) = (&runtime, &stays);
        let long =
            scope.spawn(move || runtime.run_while(&given(i64::from(i32::MAX)), &|| held.load(Ordering::Acquire)));
        let begun = Instant::now();
        let mut left = runtime.run_while(&given(2), &|| false);
        while left.is_ok() && begun.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(5));
            left = runtime.run_while(&given(2), &|| false);
        }
        assert!(matches!(left, Err(RuntimeError::Left)), "{left:?}");
        stays.store(false, Ordering::Release);
        assert!(matches!(long.join().unwrap(), Err(RuntimeError::Left)));
    });
}

#[test]
fn graphs_within_graphs_beyond_measure_end_the_process_or_are_refused() {
    let mut inner = graph(&[], &[], &[Node::of("Neg", &["x"], "y")], &[value("y", FLOAT, &[1])]);
    for _ in 0..4_000 {
        let node = Node::of("If", &["yes"], "y").with("then_branch", &inner).with("else_branch", &leaf());
        inner = graph(&[], &[], &[node], &[value("y", FLOAT, &[1])]);
    }
    let node = Node::of("If", &["yes"], "y").with("then_branch", &inner).with("else_branch", &leaf());
    let deep = graph(&[value("x", FLOAT, &[1])], &[truth("yes")], &[node], &[value("y", FLOAT, &[1])]);
    if let Err(refused) = started(file(&deep), |_| ()) {
        assert!(refused.is_of_the_input(), "{refused}");
    }
}

fn leaf() -> Vec<u8> {
    graph(&[], &[], &[Node::of("Neg", &["x"], "y")], &[value("y", FLOAT, &[1])])
}

#[test]
fn a_program_that_is_no_runtime_is_no_runtime() {
    let start = |path: &str| {
        let program = Program { path: path.into(), arguments: Vec::new() };
        let limits = Limits { load: Duration::from_millis(500), ..Limits::of(0) };
        Runtime::start(program, risk().into(), limits).err().unwrap()
    };
    assert!(matches!(start("/nowhere/at/all"), RuntimeError::Start(_)));
    let ended = start("/bin/true");
    assert!(matches!(ended, RuntimeError::Ended { .. }), "{ended}");
    // It listens, and says nothing.
    assert!(matches!(start("/bin/cat"), RuntimeError::TooSlow { ms: 500 }));
}

#[test]
#[ignore = "is the process that the other tests start"]
fn the_process() {
    let refused = float::serve().err();
    panic!("standard input is no socket: {refused:?}");
}
