//! A tensor model through its front door: what it takes, what it gives, what it refuses.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use engine::{LoadError, Model, RunError, TensorModel};
use graph::{Attributes, Element, Fault, Graph, Input, Interval, Output, Purpose, Shape, ops::find};
use protocol::{Bytes, List, Tensor, Text};

/// `y = a + b`, both `[rows, 2]` floats, and `n + n` of `[rows]` integers from -5 to 5.
fn artefact() -> Vec<u8> {
    let mut graph = Graph::default();
    let floats = Interval { low: 0, high: 0 };
    for name in ["a", "b"] {
        graph.inputs.push(Input {
            name: name.into(),
            element: Element::F32,
            shape: Shape::rows(&[2]),
            interval: floats,
        });
    }
    let interval = Interval { low: -5, high: 5 };
    graph.inputs.push(Input { name: "n".into(), element: Element::I32, shape: Shape::rows(&[]), interval });
    let [a, b, n] = [0, 1, 2].map(graph::Source::Input);
    let sum = graph.node("sum", find("add_f32").unwrap(), Attributes::new(), &[a, b]);
    let twice = graph.node("twice", find("add").unwrap(), Attributes::new(), &[n, n]);
    graph.outputs.push(Output { name: "sum".into(), source: sum });
    graph.outputs.push(Output { name: "twice".into(), source: twice });
    let graph = graph.check(4).unwrap();
    graph::Model { name: "sums".into(), parameters: 0, graph, purpose: Purpose::Tensors }.to_artefact()
}

fn tensor(name: &str, element: protocol::Element, shape: &[u64], data: Vec<u8>) -> Tensor {
    let (name, shape) = (Text::new(name).unwrap(), List::new(shape.to_vec()).unwrap());
    Tensor { name, element, shape, data: Bytes::new(data).unwrap() }
}

fn floats(name: &str, values: &[f32]) -> Tensor {
    let data = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    tensor(name, protocol::Element::F32, &[values.len() as u64 / 2, 2], data)
}

fn integers(values: &[i32]) -> Tensor {
    let data = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    tensor("n", protocol::Element::I32, &[values.len() as u64], data)
}

fn run(inputs: &[Tensor]) -> Result<Vec<Tensor>, RunError> {
    let model = Model::load(artefact()).unwrap();
    assert!(model.as_language().is_none());
    let tensors: &TensorModel = model.as_tensor().unwrap();
    tensors.run(inputs)
}

#[test]
fn inputs_in_any_order_give_the_named_outputs() {
    let outputs = run(&[integers(&[1, -5]), floats("b", &[1.0, 2.0, 3.0, 4.0]), floats("a", &[0.5; 4])]).unwrap();
    assert_eq!(outputs[0], Tensor { name: Text::new("sum").unwrap(), ..floats("", &[1.5, 2.5, 3.5, 4.5]) });
    assert_eq!(outputs[1], Tensor { name: Text::new("twice").unwrap(), ..integers(&[2, -10]) });
}

#[test]
fn a_graph_that_nobody_waits_for_any_more_is_interrupted() {
    let inputs = [integers(&[1, -5]), floats("b", &[1.0, 2.0, 3.0, 4.0]), floats("a", &[0.5; 4])];
    let model = Model::load(artefact()).unwrap();
    let tensors = model.as_tensor().unwrap();
    assert_eq!(tensors.run_while(&inputs, &|| true).unwrap(), run(&inputs).unwrap());
    assert_eq!(tensors.run_while(&inputs, &|| false), Err(RunError::Interrupted));
}

#[test]
fn each_wrong_input_is_refused_with_what_was_expected() {
    let (a, b, n) = (floats("a", &[0.0; 2]), floats("b", &[0.0; 2]), integers(&[0]));
    let name = || "a".to_owned();
    let expected = || "a, b, n".to_owned();
    let with_a = |a: Tensor| run(&[a, b.clone(), n.clone()]).unwrap_err();
    assert_eq!(
        run(&[b.clone(), n.clone()]).unwrap_err(),
        RunError::MissingInput { name: name(), expected: expected() }
    );
    let unknown = RunError::UnknownInput { name: "c".into(), expected: expected() };
    assert_eq!(run(&[a.clone(), b.clone(), n.clone(), floats("c", &[])]).unwrap_err(), unknown);
    assert_eq!(run(&[a.clone(), a.clone(), b.clone()]).unwrap_err(), RunError::DoubleInput { name: name() });
    let wrong = with_a(tensor("a", protocol::Element::F64, &[1, 2], vec![0; 16]));
    assert_eq!(wrong, RunError::Element { name: name(), expected: "f32", found: "f64" });
    let wrong = with_a(tensor("a", protocol::Element::F32, &[1, 2], vec![0; 7]));
    assert_eq!(wrong, RunError::DataLength { name: name(), shape: vec![1, 2], expected: 8, found: 7 });
    let wrong = with_a(tensor("a", protocol::Element::F32, &[u64::MAX, 2], vec![0; 8]));
    assert!(matches!(wrong, RunError::DataLength { .. }));
    let wrong = with_a(tensor("a", protocol::Element::F32, &[2, 1], vec![0; 8]));
    let expected = "[rows, 2]".to_owned();
    assert_eq!(wrong, RunError::Fault(Fault::Shape { name: name(), expected, found: vec![2, 1] }));
    let wrong = with_a(floats("a", &[0.0, f32::NAN]));
    assert_eq!(wrong, RunError::Fault(Fault::NotFinite { name: name(), index: 1 }));
    assert_eq!(with_a(floats("a", &[0.0; 4])), RunError::Fault(Fault::Rows { found: 1, limit: 4 }));
    let wrong = run(&[a, b, integers(&[6])]).unwrap_err();
    assert_eq!(wrong, RunError::Fault(Fault::Range { name: "n".into(), index: 0, found: 6, low: -5, high: 5 }));
}

#[test]
fn an_output_that_overflows_is_refused() {
    let refused = run(&[floats("a", &[f32::MAX; 2]), floats("b", &[f32::MAX; 2]), integers(&[0])]).unwrap_err();
    assert_eq!(refused, RunError::NotFinite { name: "sum".into() });
}

#[test]
fn a_model_whose_elements_no_request_can_carry_is_refused_when_it_is_loaded() {
    let mut graph = Graph::default();
    let interval = Interval { low: 0, high: 5 };
    graph.inputs.push(Input { name: "x".into(), element: Element::I16, shape: Shape::rows(&[1]), interval });
    graph.outputs.push(Output { name: "y".into(), source: graph::Source::Input(0) });
    let graph = graph.check(4).unwrap();
    let artefact = graph::Model { name: "x".into(), parameters: 0, graph, purpose: Purpose::Tensors }.to_artefact();
    let refused = Model::load(artefact).err().unwrap();
    assert_eq!(refused, LoadError::Port { name: "y".into(), element: "i16" });
}
