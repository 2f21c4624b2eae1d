//! Runs the standard's cases in `tract` or `rten`, by the tolerance of the standard's own runner.
//!
//! `onnx-peers tract|rten CASES [KIND…]` prints `pass NAME` or `fail NAME: why`, for node cases and models alike, or for
//! the kinds alone that are named (`node`). A peer is given the shapes of a case's inputs, since the cases state them,
//! and a panic counts as a failure. rten holds all integers and truth values as int32 and all floats as float, so its
//! element types are not compared.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use graph::onnx::{import_program, read_value};
use graph::program::{Array, Data, Element, Port, Type, Value};
use rten_tensor::prelude::*;
use tract_onnx::prelude::*;

type Found = Vec<Array>;

const CASES: [&str; 5] = ["node", "simple", "pytorch-converted", "pytorch-operator", "real"];

fn main() {
    std::panic::set_hook(Box::new(|_| {}));
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let run = if arguments[0] == "tract" { in_tract } else { in_rten };
    let typed = arguments[0] == "tract";
    let named = &arguments[2..];
    let kinds = CASES.iter().filter(|kind| named.is_empty() || named.iter().any(|name| name.as_str() == **kind));
    for folder in kinds.flat_map(|kind| folders(&Path::new(&arguments[1]).join(kind))) {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let result = catch_unwind(AssertUnwindSafe(|| case(&folder, run, typed)));
        match result.unwrap_or_else(|_| Err("a panic".to_owned())) {
            Ok(()) => println!("pass {name}"),
            Err(why) => println!("fail {name}: {}", why.replace('\n', " ").chars().take(160).collect::<String>()),
        }
    }
}

fn folders(path: &Path) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> =
        std::fs::read_dir(path).unwrap().map(|it| it.unwrap().path()).filter(|it| it.is_dir()).collect();
    folders.sort();
    folders
}

/// The inputs or outputs of a set; the ports are those of our own import, or plain tensors where we refuse the file.
fn values(set: &Path, word: &str, ports: &[Port]) -> Result<Vec<Array>, String> {
    let mut all = Vec::new();
    for index in 0.. {
        let Ok(bytes) = std::fs::read(set.join(format!("{word}_{index}.pb"))) else { break };
        let any = Type::Tensor { element: Element::F32, shape: None };
        let kind = ports.get(index).map_or(any, |port| port.kind.clone());
        match read_value(&bytes, &kind).map_err(|error| error.to_string())? {
            Value::Tensor(array) => all.push(array.as_ref().clone()),
            _ => return Err("a value that is no tensor".to_owned()),
        }
    }
    Ok(all)
}

fn case(folder: &Path, run: fn(&Path, &[Array]) -> Result<Found, String>, typed: bool) -> Result<(), String> {
    let program = import_program(&std::fs::read(folder.join("model.onnx")).unwrap()).ok();
    let ports =
        |inputs| program.as_ref().map_or(Vec::new(), |it| if inputs { it.inputs.clone() } else { it.outputs.clone() });
    for set in folders(folder) {
        let inputs = values(&set, "input", &ports(true))?;
        let expected = values(&set, "output", &ports(false))?;
        let found = run(&folder.join("model.onnx"), &inputs)?;
        if found.len() != expected.len() {
            return Err(format!("{} outputs", found.len()));
        }
        for (found, expected) in found.iter().zip(&expected) {
            near(expected, found, typed)?;
        }
    }
    Ok(())
}

fn near(expected: &Array, found: &Array, typed: bool) -> Result<(), String> {
    if expected.shape() != found.shape() || typed && expected.element() != found.element() {
        return Err(format!(
            "{} {:?} for {} {:?}",
            found.element(),
            found.shape(),
            expected.element(),
            expected.shape()
        ));
    }
    let (Some(wanted), Some(given)) = (numbers(expected), numbers(found)) else {
        return if expected == found { Ok(()) } else { Err("other values".to_owned()) };
    };
    let relative = if expected.element() == Element::BF16 { 1.0 / 64.0 } else { 1e-3 };
    for (wanted, given) in wanted.iter().zip(&given) {
        let close = (given - wanted).abs() <= 1e-7 + relative * wanted.abs();
        if !(close || given == wanted || given.is_nan() && wanted.is_nan()) {
            return Err(format!("{given} for {wanted}"));
        }
    }
    Ok(())
}

fn numbers(array: &Array) -> Option<Vec<f64>> {
    match array.doubles() {
        Some(values) => Some(values.to_vec()),
        None => array.integers().map(|values| values.into_iter().map(|value| value as f64).collect()),
    }
}

fn in_tract(model: &Path, inputs: &[Array]) -> Result<Found, String> {
    let say = |error: TractError| format!("{error:#}");
    let mut found = tract_onnx::onnx().with_ignore_output_shapes(true).model_for_path(model).map_err(say)?;
    let inputs: Result<Vec<Tensor>, String> = inputs.iter().map(to_tract).collect();
    let inputs = inputs?;
    for (index, input) in inputs.iter().enumerate() {
        found.set_input_fact(index, InferenceFact::dt_shape(input.datum_type(), input.shape())).map_err(say)?;
    }
    let plan = found.into_optimized().and_then(|it| it.into_runnable()).map_err(say)?;
    let outputs = plan.run(inputs.into_iter().map(TValue::from).collect()).map_err(say)?;
    outputs.iter().map(|output| from_tract(output)).collect()
}

const KINDS: [(Element, DatumType); 12] = [
    (Element::Bool, DatumType::Bool),
    (Element::U8, DatumType::U8),
    (Element::U16, DatumType::U16),
    (Element::U32, DatumType::U32),
    (Element::U64, DatumType::U64),
    (Element::I8, DatumType::I8),
    (Element::I16, DatumType::I16),
    (Element::I32, DatumType::I32),
    (Element::I64, DatumType::I64),
    (Element::F16, DatumType::F16),
    (Element::F32, DatumType::F32),
    (Element::F64, DatumType::F64),
];

fn to_tract(array: &Array) -> Result<Tensor, String> {
    if let Some(texts) = array.as_texts() {
        return tract_ndarray::ArrayD::from_shape_vec(
            array.shape(),
            texts.iter().map(|text| text.to_string()).collect(),
        )
        .map(Tensor::from)
        .map_err(|error| error.to_string());
    }
    let kind =
        KINDS.iter().find(|(element, _)| *element == array.element()).ok_or("an element that tract does not know")?.1;
    // SAFETY: the bytes are those of as many elements of that kind as the shape says, and every pattern is a value (truth values are 0 or 1).
    unsafe { Tensor::from_raw_dt(kind, array.shape(), &array.to_bytes()) }.map_err(|error| format!("{error:#}"))
}

fn from_tract(tensor: &Tensor) -> Result<Array, String> {
    let whole = if tensor.datum_type() == TDim::datum_type() {
        tensor.cast_to::<i64>().map_err(|error| error.to_string())?.into_owned()
    } else {
        tensor.clone()
    };
    if whole.datum_type() == DatumType::String {
        let texts = whole
            .to_plain_array_view::<String>()
            .map_err(|error| error.to_string())?
            .iter()
            .map(|text| text.as_str().into())
            .collect();
        return Array::texts(tensor.shape(), texts).map_err(|error| error.to_string());
    }
    let kind = KINDS.iter().find(|(_, kind)| {
        kind.size_of() == whole.datum_type().size_of() && kind.unquantized() == whole.datum_type().unquantized()
    });
    let element = kind.ok_or("an output of another kind")?.0;
    Array::from_bytes(element, tensor.shape(), whole.as_bytes()).ok_or("an output that is no tensor".to_owned())
}

fn in_rten(model: &Path, inputs: &[Array]) -> Result<Found, String> {
    let found = rten::Model::load_file(model).map_err(|error| error.to_string())?;
    let inputs: Result<Vec<_>, String> = found
        .input_ids()
        .iter()
        .zip(inputs)
        .map(|(&id, input)| Ok((id, rten::ValueOrView::Value(to_rten(input)?))))
        .collect();
    let outputs = found.run(inputs?, found.output_ids(), None).map_err(|error| error.to_string())?;
    outputs.iter().map(from_rten).collect()
}

fn to_rten(array: &Array) -> Result<rten::Value, String> {
    let shape = array.shape();
    match array.data() {
        Data::F32(values) => Ok(rten_tensor::Tensor::from_data(shape, values.clone()).into()),
        Data::I8(values) if array.element() == Element::I8 => {
            Ok(rten_tensor::Tensor::from_data(shape, values.clone()).into())
        }
        Data::U8(values) if array.element() == Element::U8 => {
            Ok(rten_tensor::Tensor::from_data(shape, values.clone()).into())
        }
        Data::Bool(_) | Data::I32(_) | Data::I64(_) => {
            let values: Option<Vec<i32>> =
                array.integers().and_then(|all| all.into_iter().map(|it| i32::try_from(it).ok()).collect());
            Ok(rten_tensor::Tensor::from_data(shape, values.ok_or("an integer beyond 32 bits")?).into())
        }
        _ => Err("an element that rten does not know".to_owned()),
    }
}

fn from_rten(value: &rten::Value) -> Result<Array, String> {
    let made =
        match value {
            rten::Value::FloatTensor(tensor) => Array::f32s(tensor.shape(), tensor.to_vec()),
            rten::Value::Int32Tensor(tensor) => Array::new(Element::I32, tensor.shape(), Data::I32(tensor.to_vec()))
                .ok_or(graph::program::Problem::Excluded),
            rten::Value::Int8Tensor(tensor) => Array::new(Element::I8, tensor.shape(), Data::I8(tensor.to_vec()))
                .ok_or(graph::program::Problem::Excluded),
            rten::Value::UInt8Tensor(tensor) => Array::new(Element::U8, tensor.shape(), Data::U8(tensor.to_vec()))
                .ok_or(graph::program::Problem::Excluded),
            _ => return Err("a value that is no tensor".to_owned()),
        };
    made.map_err(|error| error.to_string())
}
