//! Which sign and payload a NaN has differs from platform to platform; nothing that a program gives shows it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{collections::BTreeMap, sync::Arc};

use graph::{
    bytes::Malformed,
    program::{
        Array, Attribute, Body, Element, Limits, Node, Port, Program, Source, Type, Value, array::Data, encoding,
        machine::Derived, ops::find,
    },
};

/// One operator over inputs of these elements.
fn of(name: &str, version: u16, attributes: &[(&str, i64)], elements: &[Element]) -> Program {
    let kind = |element: &Element| Type::Tensor { element: *element, shape: None };
    let count = u32::try_from(elements.len()).unwrap();
    let attributes: BTreeMap<String, Attribute> =
        attributes.iter().map(|(name, value)| ((*name).to_owned(), Attribute::Integer(*value))).collect();
    let to = attributes.get("to").map(|to| match to {
        Attribute::Integer(code) => Element::from_code(*code).unwrap(),
        other => panic!("{other:?}"),
    });
    let output = if name == "NonMaxSuppression" { Element::I64 } else { to.unwrap_or(elements[0]) };
    let node = Node {
        name: name.to_owned(),
        operator: find("", name).unwrap(),
        version,
        attributes,
        inputs: (0..count).map(Source::Slot).collect(),
        outputs: vec![Some(count)],
        derived: Derived::default(),
    };
    Program {
        inputs: elements.iter().map(|element| Port { name: "x".to_owned(), kind: kind(element) }).collect(),
        outputs: vec![Port { name: "y".to_owned(), kind: kind(&output) }],
        constants: vec![],
        body: Body::new((0..count).collect(), vec![node], vec![Source::Slot(count)]),
        slots: count + 1,
    }
    .released()
}

/// What comes out, as bytes, and what the trace commits to.
fn gives(program: &Program, inputs: &[Array]) -> (Vec<u8>, crypto::Digest) {
    let inputs = inputs.iter().cloned().map(Value::from).collect();
    let (outputs, trace) = program.trace(inputs, Limits::default()).unwrap();
    let Value::Tensor(output) = &outputs[0] else { panic!("{outputs:?}") };
    (output.to_bytes(), trace)
}

const F32: [u32; 4] = [0x7fc0_0000, 0xffc0_0000, 0x7f80_0001, 0xffff_ffff];
const F64: [u64; 4] = [0x7ff8_0000_0000_0000, 0xfff8_0000_0000_0000, 0x7ff0_0000_0000_0001, u64::MAX];
const SMALL: [(Element, &[u8]); 6] = [
    (Element::F16, &[0x00, 0x7e]),
    (Element::BF16, &[0xc0, 0x7f]),
    (Element::F8E4M3, &[0x7f]),
    (Element::F8E4M3FNUZ, &[0x80]),
    (Element::F8E5M2, &[0x7e]),
    (Element::F8E5M2FNUZ, &[0x80]),
];

fn singles(bits: u32) -> Array {
    Array::of(Element::F32, &[1], Data::F32(vec![f32::from_bits(bits)])).unwrap()
}

fn doubles(bits: u64) -> Array {
    Array::of(Element::F64, &[1], Data::F64(vec![f64::from_bits(bits)])).unwrap()
}

#[test]
fn the_bits_of_a_nan_are_those_of_one() {
    let cast = |from: Element, to: Element| of("BitCast", 26, &[("to", to.code().into())], &[from]);
    for bits in F32 {
        let found = gives(&cast(Element::F32, Element::I32), &[singles(bits)]);
        assert_eq!(found.0, 0x7fc0_0000_u32.to_le_bytes(), "{bits:x}");
    }
    for bits in F64 {
        let found = gives(&cast(Element::F64, Element::U64), &[doubles(bits)]);
        assert_eq!(found.0, 0x7ff8_0000_0000_0000_u64.to_le_bytes(), "{bits:x}");
    }
    // Small floats are held as bits, and only whoever cast integers can have made them.
    for (element, expected) in SMALL {
        let whole = if expected.len() == 2 { Element::U16 } else { Element::U8 };
        let nan = Array::from_bytes(element, &[1], &vec![0xff; expected.len()]).unwrap();
        let (found, _) = gives(&cast(element, whole), std::slice::from_ref(&nan));
        let has_all_ones = !matches!(element, Element::F8E4M3FNUZ | Element::F8E5M2FNUZ);
        assert_eq!(found, if has_all_ones { expected.to_vec() } else { vec![0xff] }, "{element}");
        assert_eq!(nan.to_bytes(), found, "{element}");
    }
    // All else keeps its bits.
    let number = Array::from_bytes(Element::F16, &[2], &[0x00, 0xfc, 0x01, 0x80]).unwrap();
    assert_eq!(gives(&cast(Element::F16, Element::I16), &[number]).0, [0x00, 0xfc, 0x01, 0x80]);
}

#[test]
fn what_this_machine_makes_of_nothing_by_nothing_is_that_one_too() {
    let zero = Array::f32s(&[1], vec![0.0]).unwrap();
    let quotient = of("Div", 14, &[], &[Element::F32, Element::F32]);
    let (outputs, _) = quotient.trace(vec![zero.clone().into(), zero.into()], Limits::default()).unwrap();
    let cast = of("BitCast", 26, &[("to", Element::U32.code().into())], &[Element::F32]);
    let (cast, _) = cast.trace(outputs, Limits::default()).unwrap();
    assert_eq!(cast, [Value::from(Array::from_bytes(Element::U32, &[1], &[0, 0, 0xc0, 0x7f]).unwrap())]);
}

#[test]
fn casts_to_smaller_floats_give_one_nan() {
    for (element, expected) in SMALL {
        let program = |from| of("Cast", 25, &[("to", element.code().into())], &[from]);
        let (single, double) = (program(Element::F32), program(Element::F64));
        let (first, second) = (gives(&single, &[singles(F32[0])]), gives(&double, &[doubles(F64[0])]));
        assert_eq!((&*first.0, &*second.0), (expected, expected), "{element}");
        for (one, two) in F32.into_iter().zip(F64) {
            assert_eq!(gives(&single, &[singles(one)]), first, "{element} {one:x}");
            assert_eq!(gives(&double, &[doubles(two)]), second, "{element} {two:x}");
        }
    }
}

#[test]
fn boxes_whose_score_is_a_nan_come_first_whatever_its_sign() {
    let program = of("NonMaxSuppression", 11, &[], &[Element::F32, Element::F32, Element::I64]);
    let boxes =
        Array::f32s(&[1, 3, 4], (0..3_u8).flat_map(|at| [f32::from(at), 0.0, f32::from(at) + 0.5, 1.0]).collect());
    let boxes = boxes.unwrap();
    let most = Array::i64s(&[], vec![9]).unwrap();
    for bits in F32 {
        let scores = Array::f32s(&[1, 1, 3], vec![-1.0, f32::from_bits(bits), f32::INFINITY]).unwrap();
        let (found, _) = gives(&program, &[boxes.clone(), scores, most.clone()]);
        let expected: Vec<u8> =
            [0, 0, 1, 0, 0, 2, 0, 0, 0].into_iter().flat_map(|value: i64| value.to_le_bytes()).collect();
        assert_eq!(found, expected, "{bits:x}");
    }
}

#[test]
fn an_artefact_holds_no_other_nan() {
    let mut program = of("Identity", 25, &[], &[Element::F32]);
    for (element, bytes, other) in [
        (Element::F32, &[0, 0, 0xc0, 0x7f][..], &[0, 0, 0xc0, 0xff][..]),
        (Element::F16, &[0x00, 0x7e], &[0x01, 0x7c]),
        (Element::F8E5M2, &[0x7e], &[0xff]),
    ] {
        program.constants = vec![Arc::new(Array::from_bytes(element, &[1], other).unwrap())];
        let mut written = encoding::write(&program);
        assert_eq!(encoding::write(&encoding::read(&written).unwrap()), written);
        let at = written.len() - bytes.len();
        assert_eq!(written[at..], *bytes, "{element}");
        written[at..].copy_from_slice(other);
        assert_eq!(encoding::read(&written), Err(Malformed::NotCanonical { what: "a constant" }), "{element}");
    }
}
