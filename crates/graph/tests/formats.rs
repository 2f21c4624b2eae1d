//! Packed weights: what goes in comes out, at its place, and what is no packed matrix is refused.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use graph::{
    Attributes, Dimension, Element, Format, Graph, GraphRefusal, Input, Output, Packed, Shape, Source, Tensor,
    float::from_half,
    formats::{ALIGNMENT, Packer, TILE_ROWS, Weights},
    operator::NO_BOUNDS,
    ops::find,
};
use serde_json::Value;

/// Blocks as files have them, and what GGUF's own package makes of them (`vectors/make_blocks.py`).
const BLOCKS: &str = include_str!("vectors/blocks.json");

struct Random(u64);

impl Random {
    fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut next = || {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 >> 24) as u8
        };
        (0..count).map(|_| next()).collect()
    }
}

fn half(bytes: &[u8], at: usize) -> f32 {
    from_half(u16::from_le_bytes([bytes[at], bytes[at + 1]]))
}

/// The numbers of one block as GGUF's own description gives them, written apart from the formats' code.
fn direct(format: Format, block: &[u8]) -> Vec<f32> {
    let six = |i: usize| {
        let s = &block[4..16];
        if i < 4 {
            (s[i] & 63, s[i + 4] & 63)
        } else {
            (s[i + 4] & 15 | (s[i - 4] >> 6) << 4, s[i + 4] >> 4 | (s[i] >> 6) << 4)
        }
    };
    let with_minimum = |sub: usize, quant: u8| {
        let (scale, minimum) = six(sub);
        (half(block, 0) * f32::from(scale)).mul_add(f32::from(quant), -(half(block, 2) * f32::from(minimum)))
    };
    let nibble = |bytes: &[u8], sub: usize, l: usize| bytes[sub / 2 * 32 + l] >> (sub % 2 * 4) & 15;
    let four = |bytes: &[u8], i: usize| bytes[i % 16] >> (i / 16 * 4) & 15;
    let five = |bytes: &[u8], i: usize| {
        let fifths = u32::from_le_bytes(bytes[..4].try_into().unwrap());
        four(&bytes[4..], i) | ((fifths >> i & 1) << 4) as u8
    };
    let added = |quant: u8| half(block, 0) * f32::from(quant) + half(block, 2);
    match format {
        Format::F32 => vec![f32::from_le_bytes(block.try_into().unwrap())],
        Format::F16 => vec![half(block, 0)],
        Format::Bf16 => vec![f32::from_bits(u32::from(u16::from_le_bytes([block[0], block[1]])) << 16)],
        Format::I8 => block.iter().map(|&byte| f32::from(byte as i8)).collect(),
        Format::Q8_0 => block[2..].iter().map(|&byte| half(block, 0) * f32::from(byte as i8)).collect(),
        Format::Q4_0 => (0..32).map(|i| half(block, 0) * (f32::from(four(&block[2..], i)) - 8.0)).collect(),
        Format::Q4_1 => (0..32).map(|i| added(four(&block[4..], i))).collect(),
        Format::Q5_0 => (0..32).map(|i| half(block, 0) * (f32::from(five(&block[2..], i)) - 16.0)).collect(),
        Format::Q5_1 => (0..32).map(|i| added(five(&block[4..], i))).collect(),
        Format::Iq4Nl => {
            let integers = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113_i8];
            let integer = |i: usize| f32::from(integers[usize::from(four(&block[2..], i))]);
            (0..32).map(|i| half(block, 0) * integer(i)).collect()
        }
        Format::Q4K => (0..256).map(|i| with_minimum(i / 32, nibble(&block[16..], i / 32, i % 32))).collect(),
        Format::Q5K => {
            let fifth = |i: usize| block[16 + i % 32] >> (i / 32) & 1;
            (0..256).map(|i| with_minimum(i / 32, nibble(&block[48..], i / 32, i % 32) | fifth(i) << 4)).collect()
        }
        Format::Q6K => {
            let mut values = vec![0.0; 256];
            for (i, value) in values.iter_mut().enumerate() {
                let (n, quarter, l) = (i / 128, i % 128 / 32, i % 32);
                let low = block[n * 64 + quarter % 2 * 32 + l] >> (quarter / 2 * 4) & 15;
                let upper = block[128 + n * 32 + l] >> (quarter * 2) & 3;
                let scale = block[192 + i / 16] as i8;
                *value = half(block, 208) * f32::from(scale) * (f32::from(low | upper << 4) - 32.0);
            }
            values
        }
    }
}

/// Binary16 scales that are finite.
fn finite(format: Format, source: &mut [u8]) {
    for block in source.chunks_mut(format.layout().source) {
        let uppers: &[usize] = match format {
            Format::F32 => &[3],
            Format::F16 | Format::Bf16 | Format::Q8_0 | Format::Q4_0 | Format::Q5_0 | Format::Iq4Nl => &[1],
            Format::Q4K | Format::Q5K | Format::Q4_1 | Format::Q5_1 => &[1, 3],
            Format::Q6K => &[209],
            Format::I8 => &[],
        };
        uppers.iter().for_each(|&upper| block[upper] &= 0xbb);
    }
}

#[test]
fn every_format_gives_back_what_its_source_says() {
    let mut random = Random(7);
    for format in Format::ALL {
        let layout = format.layout();
        for (rows, blocks, matrices) in [(1, 1, 1), (16, 2, 1), (37, 3, 2)] {
            let shape = [matrices, rows, blocks * layout.columns];
            let mut packer = Packer::new(format, &shape).unwrap();
            let mut expected: Vec<Vec<f32>> = Vec::new();
            for _ in 0..matrices * rows {
                let mut source = random.bytes(blocks * layout.source);
                finite(format, &mut source);
                expected.push(source.chunks(layout.source).flat_map(|block| direct(format, block)).collect());
                packer.push(&source);
            }
            let packed = packer.finish().unwrap();
            let bits = |row: &[f32]| row.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
            for (row, expected) in expected.iter().enumerate() {
                assert_eq!(bits(&packed.row(row)), bits(expected), "{} row {row}", format.name());
            }
            assert!(packed.is_finite() && packed.padding_is_zero());
            assert_eq!(packed.bytes().len() % ALIGNMENT, 0);
            assert_eq!(packed.tiles().count(), matrices * rows.div_ceil(TILE_ROWS));
            if format.weights() == Weights::Blocks {
                let columns: usize = packed.groups(0).iter().map(|group| group.quants.len()).sum();
                assert_eq!(columns, shape[2]);
            }
        }
    }
}

#[test]
fn every_format_of_blocks_stands_for_the_numbers_that_ggufs_own_package_reads() {
    let bytes = |digits: &Value| -> Vec<u8> {
        let digits = digits.as_str().unwrap();
        (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
    };
    let mut met = Vec::new();
    for case in serde_json::from_str::<Vec<Value>>(BLOCKS).unwrap() {
        let name = case["kind"].as_str().unwrap().to_lowercase();
        let format = Format::of_blocks().find(|format| format.name() == name).unwrap();
        let values = bytes(&case["values"]);
        let expected: Vec<f32> = values.as_chunks::<4>().0.iter().map(|value| f32::from_le_bytes(*value)).collect();
        let mut packer = Packer::new(format, &[1, expected.len()]).unwrap();
        packer.push(&bytes(&case["blocks"]));
        assert_eq!(packer.finish().unwrap().row(0), expected, "{name}");
        met.push(format);
    }
    met.sort_unstable();
    assert_eq!(met, Format::of_blocks().collect::<Vec<_>>());
}

#[test]
fn codes_and_names_are_each_formats_own() {
    for format in Format::ALL {
        assert_eq!(Format::from_code(format.code()), Some(format));
        assert_eq!(Element::from_code(format.code()), Some(Element::Packed(format)));
    }
    assert_eq!(Format::from_code(7), None);
}

#[test]
fn other_lengths_and_shapes_are_no_packed_matrices() {
    assert_eq!(Format::Q8_0.bytes(&[16, 33]), None);
    assert_eq!(Format::Q4K.bytes(&[16, 128]), None);
    assert_eq!(Format::I8.bytes(&[16]), None);
    assert_eq!(Format::F32.bytes(&[usize::MAX, usize::MAX]), None);
    assert_eq!(Format::I8.bytes(&[17, 65]), Some(2 * 2048));
    assert!(Packed::new(Format::Q8_0, &[16, 32], vec![0; 575].into()).is_none());
    let packed = Packed::of_integers(&[2, 3], &[1, 2, 3, 4, 5, 6]).unwrap();
    assert_eq!(packed.integers(1), [4, 5, 6]);
    assert!(Tensor::new(&[3, 2], graph::Data::Packed(packed)).is_none());
    assert!(Packed::of_integers(&[2, 3], &[1, 2, 3]).is_none());
}

/// What a graph of one linear operator over these weights says.
fn refusal(weights: Tensor) -> GraphRefusal {
    let mut graph = Graph::default();
    let shape = Shape(vec![Dimension::Rows, Dimension::Fixed(32)]);
    graph.inputs.push(Input { name: "x".into(), element: Element::F32, shape, interval: NO_BOUNDS });
    let weights = graph.constant("weights", weights);
    let node = graph.node("y", find("linear_blocks_f32").unwrap(), Attributes::new(), &[Source::Input(0), weights]);
    graph.outputs.push(Output { name: "y".into(), source: node });
    graph.check(4).unwrap_err()
}

#[test]
fn weights_that_are_infinite_or_filled_up_with_numbers_are_refused() {
    let with = |at: usize, byte: u8| {
        let mut bytes = Packed::of_floats(Format::Q8_0, &[3, 32], &[1.0; 96]).unwrap().bytes().to_vec();
        bytes[at] = byte;
        Tensor::packed(&[3, 32], Packed::new(Format::Q8_0, &[3, 32], bytes.into()).unwrap())
    };
    assert_eq!(refusal(with(513, 0x7c)), GraphRefusal::NotFinite { name: "weights".into() });
    // The scale and a quant of a row that does not exist, together.
    let mut bytes = Packed::of_floats(Format::Q8_0, &[3, 32], &[1.0; 96]).unwrap().bytes().to_vec();
    (bytes[3 * 4], bytes[512 + 2 * 3 + 1]) = (1, 0x20);
    let padded = Tensor::packed(&[3, 32], Packed::new(Format::Q8_0, &[3, 32], bytes.into()).unwrap());
    assert_eq!(refusal(padded), GraphRefusal::Padding { name: "weights".into() });
    // One of 65 columns: the next block's integers beyond it.
    let mut bytes = Packed::of_integers(&[16, 65], &[1; 16 * 65]).unwrap().bytes().to_vec();
    bytes[1024 + 1] = 1;
    assert!(!Packed::new(Format::I8, &[16, 65], bytes.into()).unwrap().padding_is_zero());
}

#[test]
fn packed_weights_are_constants_only() {
    let mut graph = Graph::default();
    let element = Element::Packed(Format::I8);
    let shape = Shape::fixed(&[16, 64]);
    graph.inputs.push(Input { name: "x".into(), element, shape, interval: NO_BOUNDS });
    graph.outputs.push(Output { name: "y".into(), source: Source::Input(0) });
    assert_eq!(graph.check(1).unwrap_err(), GraphRefusal::Packed { name: "x".into(), element });
    let mut graph = Graph::default();
    let input = Shape(vec![Dimension::Rows]);
    graph.inputs.push(Input { name: "x".into(), element: Element::F32, shape: input, interval: NO_BOUNDS });
    let packed = Packed::of_integers(&[16, 64], &[0; 1024]).unwrap();
    let weights = graph.constant("weights", Tensor::packed(&[16, 64], packed));
    let attributes = Attributes::new().with("axis", 0_i64);
    let node = graph.node("joined", find("concat").unwrap(), attributes, &[weights]);
    graph.outputs.push(Output { name: "y".into(), source: node });
    assert_eq!(graph.check(1).unwrap_err(), GraphRefusal::Packed { name: "joined".into(), element });
}
