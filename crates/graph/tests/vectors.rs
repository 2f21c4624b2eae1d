//! The frozen meanings: `vectors/<operator>.json` holds inputs and the output's bytes of each operator of language
//! models, images and encoders. A change of any of them would be another operator.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::{Path, PathBuf};

use graph::{
    Attribute, Attributes, Dimension, Element, Format, Graph, Input, Interval, Output, Shape, Source, Tensor, evaluate,
    ops::find,
};
use serde_json::Value;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors")
}

fn tensor(value: &Value) -> Tensor {
    let name = value["element"].as_str().unwrap();
    let packed = Format::ALL.into_iter().map(Element::Packed);
    let element = Element::ALL.into_iter().chain(packed).find(|element| element.name() == name).unwrap();
    let shape: Vec<usize> =
        value["shape"].as_array().unwrap().iter().map(|size| size.as_u64().unwrap() as usize).collect();
    let digits = value["data"].as_str().unwrap();
    let bytes: Vec<u8> =
        (0..digits.len() / 2).map(|i| u8::from_str_radix(&digits[2 * i..2 * i + 2], 16).unwrap()).collect();
    Tensor::from_bytes(element, &shape, &bytes).unwrap()
}

fn attributes(value: &Value) -> Attributes {
    value.as_object().unwrap().iter().fold(Attributes::new(), |all, (name, value)| {
        let attribute = match value {
            Value::String(bits) => Attribute::Float(f32::from_bits(u32::from_str_radix(bits, 16).unwrap())),
            Value::Array(values) => Attribute::Integers(values.iter().map(|value| value.as_i64().unwrap()).collect()),
            value => Attribute::Integer(value.as_i64().unwrap()),
        };
        all.with(name, attribute)
    })
}

fn run(operator: &str, case: &Value) -> Tensor {
    let (mut graph, mut inputs, mut sources) = (Graph::default(), Vec::new(), Vec::new());
    for value in case["inputs"].as_array().unwrap() {
        let tensor = tensor(value);
        if value.get("constant").is_some() {
            sources.push(graph.constant("constant", tensor));
            continue;
        }
        let sizes = tensor.shape()[1..].iter().map(|&size| Dimension::Fixed(size));
        let shape = Shape([Dimension::Rows].into_iter().chain(sizes).collect());
        let interval = Interval { low: value["low"].as_i64().unwrap(), high: value["high"].as_i64().unwrap() };
        sources.push(Source::Input(inputs.len()));
        graph.inputs.push(Input { name: "input".into(), element: tensor.element(), shape, interval });
        inputs.push(tensor);
    }
    let node = graph.node("node", find(operator).unwrap(), attributes(&case["attributes"]), &sources);
    graph.outputs.push(Output { name: "output".into(), source: node });
    evaluate(&graph.check(4).unwrap(), &inputs).unwrap().remove(0)
}

#[test]
fn every_vector_still_holds() {
    let mut read = Vec::new();
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let operator = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let cases: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        for (index, case) in cases.as_array().unwrap().iter().enumerate() {
            assert_eq!(run(&operator, case), tensor(&case["output"]), "{operator} case {index}");
        }
        read.push(operator);
    }
    read.sort_unstable();
    let expected = [
        "add",
        "add_f32",
        "add_scaled",
        "attend",
        "attention",
        "attention_f32",
        "choose_experts",
        "combine_experts",
        "convolve",
        "gather_blocks_f32",
        "gather_chosen",
        "gather_rows",
        "greatest",
        "layer_norm",
        "linear",
        "linear_blocks_f32",
        "linear_experts",
        "lookup",
        "multiply",
        "multiply_f32",
        "order",
        "pool_max",
        "pool_sum",
        "requantise",
        "rms_norm",
        "rms_norm_f32",
        "rope",
        "rope_f32",
        "share",
        "silu_f32",
        "slice",
        "transpose",
        "trees",
        "weigh",
    ];
    assert_eq!(read, expected);
}
