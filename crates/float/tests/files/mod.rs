//! Small ONNX files, written as protobuf here, and tensors.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(dead_code, reason = "each test file uses its own part")]

use protocol::{Bytes, Element, List, Tensor, Text};

pub const FLOAT: u64 = 1;
pub const INT64: u64 = 7;
pub const BOOL: u64 = 9;

pub fn risk() -> Vec<u8> {
    std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/risk/risk.onnx")).unwrap()
}

pub fn tensor(name: &str, element: Element, shape: &[u64], data: Vec<u8>) -> Tensor {
    let (name, shape) = (Text::new(name).unwrap(), List::new(shape.to_vec()).unwrap());
    Tensor { name, element, shape, data: Bytes::new(data).unwrap() }
}

pub fn values(count: usize) -> Vec<f32> {
    (0..count).map(|index| (index % 17) as f32 / 8.0 - 1.0).collect()
}

pub fn floats(name: &str, shape: &[usize]) -> Tensor {
    let data = values(shape.iter().product()).into_iter().flat_map(f32::to_le_bytes).collect();
    tensor(name, Element::F32, &shape.iter().map(|&size| size as u64).collect::<Vec<_>>(), data)
}

fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 128 {
        bytes.push((number % 128) as u8 | 128);
        number /= 128;
    }
    bytes.push(number as u8);
    bytes
}

fn number(field: u64, number: u64) -> Vec<u8> {
    [varint(field << 3), varint(number)].concat()
}

fn bytes(field: u64, bytes: &[u8]) -> Vec<u8> {
    [varint(field << 3 | 2), varint(bytes.len() as u64), bytes.to_vec()].concat()
}

/// A value's name, elements and sizes.
pub fn value(name: &str, element: u64, sizes: &[u64]) -> Vec<u8> {
    let sizes: Vec<u8> = sizes.iter().flat_map(|&size| bytes(1, &number(1, size))).collect();
    let shape = if sizes.is_empty() { Vec::new() } else { bytes(2, &sizes) };
    let tensor = [number(1, element), shape].concat();
    [bytes(1, name.as_bytes()), bytes(2, &bytes(1, &tensor))].concat()
}

/// A constant of 64-bit integers.
pub fn integers(name: &str, sizes: &[u64], values: &[i64]) -> Vec<u8> {
    let sizes: Vec<u8> = sizes.iter().flat_map(|&size| number(1, size)).collect();
    let data: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    [sizes, number(2, INT64), bytes(8, name.as_bytes()), bytes(9, &data)].concat()
}

/// A constant of one boolean.
pub fn truth(name: &str) -> Vec<u8> {
    [number(2, BOOL), bytes(8, name.as_bytes()), bytes(9, &[1])].concat()
}

pub struct Node(Vec<u8>);

impl Node {
    pub fn of(operator: &str, inputs: &[&str], output: &str) -> Self {
        let inputs: Vec<u8> = inputs.iter().flat_map(|input| bytes(1, input.as_bytes())).collect();
        Self([inputs, bytes(2, output.as_bytes()), bytes(3, output.as_bytes()), bytes(4, operator.as_bytes())].concat())
    }

    /// With a graph as an attribute.
    pub fn with(self, name: &str, graph: &[u8]) -> Self {
        let attribute = [bytes(1, name.as_bytes()), bytes(6, graph), number(20, 5)].concat();
        Self([self.0, bytes(5, &attribute)].concat())
    }
}

pub fn graph(inputs: &[Vec<u8>], constants: &[Vec<u8>], nodes: &[Node], outputs: &[Vec<u8>]) -> Vec<u8> {
    let each = |field: u64, items: &[Vec<u8>]| items.iter().flat_map(|item| bytes(field, item)).collect::<Vec<u8>>();
    let nodes: Vec<Vec<u8>> = nodes.iter().map(|node| node.0.clone()).collect();
    [each(1, &nodes), bytes(2, b"graph"), each(5, constants), each(11, inputs), each(12, outputs)].concat()
}

pub fn file(graph: &[u8]) -> Vec<u8> {
    [number(1, 8), bytes(7, graph), bytes(8, &number(2, 17))].concat()
}

pub fn model(inputs: &[Vec<u8>], nodes: &[Node], outputs: &[Vec<u8>]) -> Vec<u8> {
    file(&graph(inputs, &[], nodes, outputs))
}
