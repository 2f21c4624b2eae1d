//! Tensors of requests and answers as the runtime's values. Sizes are believed only where the bytes are there.

use protocol::{Bytes, Element, List, Tensor, Text};
use rten::Value;
use rten_tensor::{AsView as _, Layout as _};

use crate::port::{FloatError, Port};

pub fn read(port: &Port, tensor: &Tensor) -> Result<Value, FloatError> {
    let name = || port.name.clone();
    let is_wider = port.element == Element::I32 && matches!(tensor.element, Element::I64 | Element::Bool);
    if tensor.element != port.element && !is_wider {
        let (expected, found) = (port.element.word(), tensor.element.word());
        return Err(FloatError::Element { name: name(), expected, found });
    }
    if !port.shape.as_ref().is_none_or(|expected| fits(expected, &tensor.shape)) {
        return Err(FloatError::Shape { name: name(), expected: sizes_of(port), found: tensor.shape.to_vec() });
    }
    let sizes: Vec<usize> = tensor.shape.iter().map(|&size| usize::try_from(size).unwrap_or(usize::MAX)).collect();
    let expected = sizes.iter().try_fold(tensor.element.bytes(), |all, &size| all.checked_mul(size));
    if expected != Some(tensor.data.len()) {
        let (expected, found) = (expected.unwrap_or(usize::MAX), tensor.data.len());
        return Err(FloatError::Data { name: name(), expected, found });
    }
    value(port, tensor, &sizes)
}

fn fits(expected: &[Option<u64>], found: &[u64]) -> bool {
    let same = |(expected, found): (&Option<u64>, &u64)| expected.is_none_or(|expected| expected == *found);
    expected.len() == found.len() && expected.iter().zip(found).all(same)
}

fn sizes_of(port: &Port) -> String {
    let sizes = port.shape.iter().flatten().map(|size| size.map_or("any".to_owned(), |size| size.to_string()));
    let sizes = sizes.collect::<Vec<_>>().join(" x ");
    if sizes.is_empty() { "no axis".to_owned() } else { sizes }
}

fn value(port: &Port, tensor: &Tensor, sizes: &[usize]) -> Result<Value, FloatError> {
    let fours = || tensor.data.as_chunks::<4>().0;
    let ones = || tensor.data.iter();
    match tensor.element {
        Element::F32 => shaped(sizes, fours().iter().map(|bytes| f32::from_le_bytes(*bytes)).collect::<Vec<f32>>()),
        Element::I32 => shaped(sizes, fours().iter().map(|bytes| i32::from_le_bytes(*bytes)).collect::<Vec<i32>>()),
        Element::I64 => {
            let eights = tensor.data.as_chunks::<8>().0.iter().map(|bytes| i64::from_le_bytes(*bytes));
            let narrow =
                |value: i64| i32::try_from(value).map_err(|_| FloatError::TooLarge { name: port.name.clone(), value });
            shaped(sizes, eights.map(narrow).collect::<Result<Vec<i32>, _>>()?)
        }
        Element::I8 => shaped(sizes, ones().map(|byte| byte.cast_signed()).collect::<Vec<i8>>()),
        Element::U8 => shaped(sizes, ones().copied().collect::<Vec<u8>>()),
        Element::Bool => shaped(sizes, ones().map(|&byte| i32::from(byte != 0)).collect::<Vec<i32>>()),
        Element::F64
        | Element::I16
        | Element::U16
        | Element::U32
        | Element::U64
        | Element::F16
        | Element::Bf16
        | Element::Text => Err(FloatError::Port { name: port.name.clone() }),
    }
}

fn shaped<T>(sizes: &[usize], values: Vec<T>) -> Result<Value, FloatError>
where
    Value: From<rten_tensor::Tensor<T>>,
{
    Value::from_shape(sizes, values).map_err(|cause| FloatError::Run { cause: cause.to_string() })
}

pub fn write(name: &str, value: Value) -> Result<Tensor, FloatError> {
    let (element, shape, data) = match value {
        Value::FloatTensor(tensor) => {
            let values = tensor.to_vec();
            if values.iter().any(|value| !value.is_finite()) {
                return Err(FloatError::NotFinite { name: name.to_owned() });
            }
            let data: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            (Element::F32, tensor.shape().to_vec(), data)
        }
        Value::Int32Tensor(tensor) => {
            let data = tensor.to_vec().iter().flat_map(|value| value.to_le_bytes()).collect();
            (Element::I32, tensor.shape().to_vec(), data)
        }
        Value::Int8Tensor(tensor) => {
            let data = tensor.to_vec().iter().map(|value| value.cast_unsigned()).collect();
            (Element::I8, tensor.shape().to_vec(), data)
        }
        Value::UInt8Tensor(tensor) => (Element::U8, tensor.shape().to_vec(), tensor.to_vec()),
        // A sequence, or what a later runtime has.
        _ => return Err(FloatError::Port { name: name.to_owned() }),
    };
    let refused = || FloatError::Output { name: name.to_owned() };
    Ok(Tensor {
        name: Text::new(name).map_err(|_| refused())?,
        element,
        shape: List::new(shape.into_iter().map(|size| size as u64).collect()).map_err(|_| refused())?,
        data: Bytes::new(data).map_err(|_| refused())?,
    })
}
