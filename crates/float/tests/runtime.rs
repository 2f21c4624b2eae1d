//! What the float runtime gives, beside the exact form of the same file; and what is refused.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod files;

use float::{FloatError, FloatModel};
use protocol::{Element, Tensor};

use files::{FLOAT, INT64, Node, floats, model, risk, tensor, value, values};

fn loaded(file: &[u8]) -> Result<FloatModel, FloatError> {
    FloatModel::load(file.to_vec(), 1)
}

#[test]
fn the_runtime_stays_near_the_exact_form_of_the_same_file() {
    let model = loaded(&risk()).unwrap();
    assert!(model.parameters() > 100);
    let rows = 5;
    // In another order than the model's.
    let found = model.run(&[floats("statistics", &[rows, 4]), floats("returns", &[rows, 32])]).unwrap();
    let exact = graph::onnx::import(&risk()).unwrap().check(rows).unwrap();
    let given = [32, 4].map(|width| graph::Tensor::of(&[rows, width], graph::Data::F32(values(rows * width))));
    let expected = graph::evaluate(&exact, &given).unwrap();
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(&expected) {
        let found: Vec<f32> = found.data.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        let expected = expected.floats().unwrap();
        assert_eq!(found.len(), expected.len());
        let near = found.iter().zip(expected).all(|(one, other)| (one - other).abs() <= 1e-4 * other.abs().max(1.0));
        assert!(near, "{found:?} and {expected:?}");
    }
}

#[test]
fn what_does_not_fit_is_refused_by_its_name() {
    let model = loaded(&risk()).unwrap();
    let (returns, statistics) = (floats("returns", &[1, 32]), floats("statistics", &[1, 4]));
    let refused = |inputs: &[Tensor]| model.run(inputs).unwrap_err();
    assert!(
        matches!(refused(std::slice::from_ref(&returns)), FloatError::MissingInput { name, .. } if name == "statistics")
    );
    let three = [returns.clone(), statistics.clone(), floats("else", &[1, 1])];
    assert!(matches!(refused(&three), FloatError::UnknownInput { name, .. } if name == "else"));
    let twice = [returns.clone(), returns.clone(), statistics.clone()];
    assert!(matches!(refused(&twice), FloatError::DoubleInput { name } if name == "returns"));
    let bytes = tensor("returns", Element::U8, &[1, 32], vec![0; 32]);
    assert!(matches!(refused(&[bytes, statistics.clone()]), FloatError::Element { found: "u8", .. }));
    assert!(matches!(refused(&[floats("returns", &[1, 31]), statistics.clone()]), FloatError::Shape { .. }));
    let short = tensor("returns", Element::F32, &[1, 32], vec![0; 127]);
    assert!(matches!(refused(&[short, statistics]), FloatError::Data { expected: 128, found: 127, .. }));
}

#[test]
fn integers_of_64_bits_are_taken_where_32_hold_them() {
    let file = model(&[value("x", INT64, &[2])], &[Node::of("Neg", &["x"], "y")], &[value("y", INT64, &[2])]);
    let model = loaded(&file).unwrap();
    let wide =
        |numbers: [i64; 2]| tensor("x", Element::I64, &[2], numbers.into_iter().flat_map(i64::to_le_bytes).collect());
    let found = model.run(&[wide([3, -4])]).unwrap();
    assert_eq!((found[0].element, &found[0].data[..]), (Element::I32, &[253, 255, 255, 255, 4, 0, 0, 0][..]));
    assert_eq!(
        model.run(&[wide([3, 1 << 31])]).unwrap_err(),
        FloatError::TooLarge { name: "x".to_owned(), value: 1 << 31 }
    );
}

#[test]
fn what_is_drawn_by_chance_runs_here_because_it_has_no_exact_form() {
    let file =
        model(&[value("x", FLOAT, &[8])], &[Node::of("RandomUniformLike", &["x"], "y")], &[value("y", FLOAT, &[8])]);
    let found = loaded(&file).unwrap().run(&[floats("x", &[8])]).unwrap();
    assert_eq!((&*found[0].name, &found[0].shape[..]), ("y", &[8][..]));
}

#[test]
fn an_answer_that_no_answer_may_carry_is_refused() {
    let divide = model(&[value("x", FLOAT, &[1])], &[Node::of("Log", &["x"], "y")], &[value("y", FLOAT, &[1])]);
    let zero = tensor("x", Element::F32, &[1], vec![0; 4]);
    assert_eq!(loaded(&divide).unwrap().run(&[zero]).unwrap_err(), FloatError::NotFinite { name: "y".to_owned() });
    let wide = [value("shape", INT64, &[2])];
    let wide = model(&wide, &[Node::of("ConstantOfShape", &["shape"], "y")], &[value("y", FLOAT, &[])]);
    let shape = tensor("shape", Element::I32, &[2], [4096_i32, 4096].into_iter().flat_map(i32::to_le_bytes).collect());
    assert_eq!(loaded(&wide).unwrap().run(&[shape]).unwrap_err(), FloatError::Output { name: "y".to_owned() });
}

#[test]
fn a_model_that_requests_cannot_speak_to_is_refused_at_once() {
    let names: Vec<String> = (0..65).map(|index| format!("x{index}")).collect();
    let many: Vec<Vec<u8>> = names.iter().map(|name| value(name, FLOAT, &[1])).collect();
    let out = [value("y", FLOAT, &[1])];
    let refused = |file: &[u8]| loaded(file).err().unwrap();
    let wide = model(&many, &[Node::of("Neg", &["x0"], "y")], &out);
    assert_eq!(refused(&wide), FloatError::Ports { what: "inputs", found: 65, limit: 64 });
    let silent = model(&many[..1], &[Node::of("Neg", &["x0"], "y")], &[]);
    assert_eq!(refused(&silent), FloatError::Ports { what: "outputs", found: 0, limit: 64 });
    let long = "n".repeat(129);
    let named = model(&[value(&long, FLOAT, &[1])], &[Node::of("Neg", &[&long], "y")], &out);
    assert!(matches!(refused(&named), FloatError::Port { name } if name.len() < long.len()));
    let deep = model(&[value("x", FLOAT, &[1; 9])], &[Node::of("Neg", &["x"], "y")], &out);
    assert_eq!(refused(&deep), FloatError::Port { name: "x".to_owned() });
    let unknown = model(&many[..1], &[Node::of("Levitate", &["x0"], "y")], &out);
    assert!(matches!(refused(&unknown), FloatError::Load { cause } if cause.contains("Levitate")));
}

#[test]
fn a_file_that_is_damaged_is_refused_or_still_a_model() {
    let file = risk();
    assert!(matches!(loaded(b"nonsense"), Err(FloatError::Load { .. })));
    let mut state = 7_u64;
    for _ in 0..200 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mut other = file.clone();
        let place = (state >> 33) as usize % other.len();
        other[place] ^= 1 << (state % 8);
        // Neither may take the process with it.
        if let Ok(model) = loaded(&other) {
            let _ = model.run(&[floats("returns", &[1, 32]), floats("statistics", &[1, 4])]);
        }
    }
}
