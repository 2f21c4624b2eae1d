//! Tensors as clients write them, each refusal with the path of what is wrong, and what goes back.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod support;

use api::{ApiError, Code, TensorFace};
use protocol::{Bytes, Element, Input, List, Tensor, Text};

fn parse(input: &str) -> Result<Tensor, ApiError> {
    let body = format!(r#"{{"model":"risk","inputs":{{"x":{input}}}}}"#);
    support::read("/v1/infer", body.as_bytes()).map(|call| match &call.jobs[0].input {
        Input::Tensors(inputs) => inputs[0].clone(),
        other => panic!("tensors expected, {} found", other.word()),
    })
}

fn tensor(element: Element, shape: &[u64], data: Vec<u8>) -> Tensor {
    let (shape, data) = (List::new(shape.to_vec()).unwrap(), Bytes::new(data).unwrap());
    Tensor { name: Text::new("x").unwrap(), element, shape, data }
}

fn floats(shape: &[u64], numbers: &[f32]) -> Tensor {
    tensor(Element::F32, shape, numbers.iter().flat_map(|number| number.to_le_bytes()).collect())
}

#[test]
fn each_way_to_write_a_tensor_is_read() {
    assert_eq!(parse("[[1,2.5],[-3,4e-1]]").unwrap(), floats(&[2, 2], &[1.0, 2.5, -3.0, 0.4]));
    assert_eq!(parse("7").unwrap(), floats(&[], &[7.0]));
    assert_eq!(parse("[]").unwrap(), floats(&[0], &[]));
    assert_eq!(parse("[true,false]").unwrap(), tensor(Element::Bool, &[2], vec![1, 0]));
    assert_eq!(parse(r#"{"shape":[1,2],"data":[1,2]}"#).unwrap(), floats(&[1, 2], &[1.0, 2.0]));
    let wide = parse(r#"{"dtype":"i64","data":[[9007199254740993],[-1]]}"#).unwrap();
    let bytes = [9_007_199_254_740_993_i64, -1].iter().flat_map(|number| number.to_le_bytes()).collect();
    assert_eq!(wide, tensor(Element::I64, &[2, 1], bytes));
    assert_eq!(parse(r#"{"dtype":"uint8","data":[255, 0]}"#).unwrap(), tensor(Element::U8, &[2], vec![255, 0]));
    assert_eq!(parse(r#"{"dtype":"f64","data":0.1}"#).unwrap().data[..], 0.1_f64.to_le_bytes());
    let bytes = r#"{"dtype":"float32","shape":[2,1],"base64":"AACAPwAAAMA="}"#;
    assert_eq!(parse(bytes).unwrap(), floats(&[2, 1], &[1.0, -2.0]));
    assert_eq!(
        parse(r#"{"dtype":"bool","shape":[2],"base64":"AQA="}"#).unwrap(),
        tensor(Element::Bool, &[2], vec![1, 0])
    );
    assert_eq!(parse(r#"{"dtype":"i8","shape":[0],"base64":""}"#).unwrap(), tensor(Element::I8, &[0], vec![]));
}

#[test]
fn each_wrong_tensor_is_refused_with_its_path() {
    let cases = [
        ("[[1,2],[3]]", Code::InvalidValue, "inputs.x[1]"),
        ("[[1,2],3]", Code::InvalidType, "inputs.x[1]"),
        ("[1,[2]]", Code::InvalidType, "inputs.x[1]"),
        (r#"[1,"2"]"#, Code::InvalidType, "inputs.x[1]"),
        (r#"[1,"NaN"]"#, Code::InvalidType, "inputs.x[1]"),
        ("[1,null]", Code::InvalidType, "inputs.x[1]"),
        ("[1,true]", Code::InvalidType, "inputs.x[1]"),
        ("[true,1]", Code::InvalidType, "inputs.x[1]"),
        ("[1,NaN]", Code::InvalidJson, "inputs.x[1]"),
        ("[1,-Infinity]", Code::InvalidJson, "inputs.x[1]"),
        ("[1,1e999]", Code::InvalidJson, "inputs.x[1]"),
        ("[1,1e39]", Code::InvalidValue, "inputs.x[1]"),
        ("[[[[[[[[[1]]]]]]]]]", Code::TooMany, "inputs.x"),
        (r#"{"dtype":"f12","data":[1]}"#, Code::InvalidValue, "inputs.x.dtype"),
        (r#"{"dtype":"i8","data":[1,128]}"#, Code::InvalidValue, "inputs.x.data[1]"),
        (r#"{"dtype":"i32","data":[1.5]}"#, Code::InvalidValue, "inputs.x.data[0]"),
        (r#"{"dtype":"bool","data":[1]}"#, Code::InvalidType, "inputs.x.data[0]"),
        (r#"{"shape":[3],"data":[1,2]}"#, Code::InvalidValue, "inputs.x.shape"),
        (r#"{"shape":[4],"data":[[1,2],[3,4]]}"#, Code::InvalidValue, "inputs.x.shape"),
        (r#"{"shape":[4294967295,4294967295,4294967295],"data":[]}"#, Code::InvalidValue, "inputs.x.shape"),
        (r#"{"shape":[-1],"data":[]}"#, Code::InvalidValue, "inputs.x.shape[0]"),
        (r#"{"shape":[1]}"#, Code::MissingParameter, "inputs.x.data"),
        (r#"{"dtype":"u8","shape":[1],"base64":"AQ"}"#, Code::InvalidValue, "inputs.x.base64"),
        (r#"{"dtype":"u8","shape":[1],"base64":"A?=="}"#, Code::InvalidValue, "inputs.x.base64"),
        (r#"{"dtype":"u8","shape":[1],"base64":"AR=="}"#, Code::InvalidValue, "inputs.x.base64"),
        (r#"{"dtype":"u8","shape":[2],"base64":"AQ=="}"#, Code::InvalidValue, "inputs.x.base64"),
        (
            r#"{"dtype":"u8","shape":[4294967295,4294967295,4294967295],"base64":"AQ=="}"#,
            Code::InvalidValue,
            "inputs.x.base64",
        ),
        (r#"{"dtype":"f32","shape":[1],"base64":"AACAfw=="}"#, Code::InvalidValue, "inputs.x.base64"),
        (r#"{"dtype":"f32","shape":[1],"base64":"AADA/w=="}"#, Code::InvalidValue, "inputs.x.base64"),
        (r#"{"dtype":"f64","shape":[1],"base64":"AAAAAAAA8H8="}"#, Code::InvalidValue, "inputs.x.base64"),
        (r#"{"dtype":"f16","shape":[1],"base64":"AHw="}"#, Code::InvalidValue, "inputs.x.base64"),
        (r#"{"dtype":"bf16","shape":[1],"base64":"gH8="}"#, Code::InvalidValue, "inputs.x.base64"),
        (r#"{"dtype":"bool","shape":[1],"base64":"Ag=="}"#, Code::InvalidValue, "inputs.x.base64"),
        (r#"{"dtype":"text","shape":[0],"base64":""}"#, Code::InvalidValue, "inputs.x.base64"),
        (r#"{"dtype":"u8","shape":[1],"base64":"AQ==","data":[1]}"#, Code::InvalidValue, "inputs.x.base64"),
        (r#"{"dtype":"u8","base64":"AQ=="}"#, Code::MissingParameter, "inputs.x.shape"),
        (r#"{"shape":[1],"base64":"AQ=="}"#, Code::MissingParameter, "inputs.x.dtype"),
        (r#"{"data":[1],"type":"f32"}"#, Code::UnsupportedParameter, "inputs.x.type"),
    ];
    for (input, code, param) in cases {
        let error = parse(input).expect_err(input);
        assert_eq!((error.code, error.param.as_deref()), (code, Some(param)), "{input}: {error}");
    }
}

#[test]
fn a_tensor_beyond_the_limit_is_refused() {
    let ones = |count: usize| format!("[{}]", vec!["1"; count].join(","));
    let most = api::limits::TENSOR_BYTES_MAX / 4;
    assert!(most >= 3 * 224 * 224, "an image of the usual size");
    assert!(parse(&ones(most)).is_ok());
    assert_eq!(parse(&ones(most + 1)).unwrap_err().code, Code::TooMany);
    let zeros =
        |count: usize| format!(r#"{{"dtype":"u8","shape":[{}],"base64":"{}"}}"#, count * 3, "AAAA".repeat(count));
    assert!(parse(&zeros(most * 4 / 3)).is_ok());
    assert_eq!(parse(&zeros(most * 4 / 3 + 1)).unwrap_err().code, Code::TooMany);
}

#[test]
fn a_body_that_is_no_inference_is_refused_by_name() {
    let refused = |body: &str| {
        let error = support::read("/v1/infer", body.as_bytes()).unwrap_err();
        (error.code, error.param.unwrap_or_default())
    };
    assert_eq!(refused(r#"{"inputs":{"x":1}}"#), (Code::MissingParameter, "model".to_owned()));
    assert_eq!(refused(r#"{"model":"m"}"#), (Code::MissingParameter, "inputs".to_owned()));
    assert_eq!(refused(r#"{"model":"m","inputs":{}}"#), (Code::InvalidValue, "inputs".to_owned()));
    assert_eq!(refused(r#"{"model":"m","inputs":[1]}"#), (Code::InvalidType, "inputs".to_owned()));
    assert_eq!(refused(r#"{"model":"m","input":{}}"#), (Code::UnsupportedParameter, "input".to_owned()));
    let many = (0..65).map(|name| format!(r#""{name}":1"#)).collect::<Vec<_>>().join(",");
    assert_eq!(refused(&format!(r#"{{"model":"m","inputs":{{{many}}}}}"#)), (Code::TooMany, "inputs".to_owned()));
    let name = "n".repeat(129);
    assert_eq!(refused(&format!(r#"{{"model":"m","inputs":{{"{name}":1}}}}"#)).0, Code::TooLong);
}

#[test]
fn inputs_stand_in_the_order_of_their_names() {
    let one = support::read("/v1/infer", br#"{"model":"m","inputs":{"a":1,"b":2}}"#).unwrap();
    let two = support::read("/v1/infer", br#"{"model":"m","inputs":{"b":2,"a":1}}"#).unwrap();
    assert_eq!(one.jobs, two.jobs);
}

#[test]
fn what_goes_back_is_frozen() {
    let face = |tensor: &Tensor| serde_json::to_string(&TensorFace(tensor)).unwrap();
    let numbers = floats(&[2, 2], &[0.1, f32::NAN, f32::INFINITY, f32::NEG_INFINITY]);
    assert_eq!(face(&numbers), r#"{"shape":[2,2],"dtype":"f32","data":[0.1,"NaN","Infinity","-Infinity"]}"#);
    let wide = tensor(Element::I64, &[1], i64::MIN.to_le_bytes().to_vec());
    assert_eq!(face(&wide), r#"{"shape":[1],"dtype":"i64","data":[-9223372036854775808]}"#);
    assert_eq!(face(&tensor(Element::Bool, &[2], vec![0, 1])), r#"{"shape":[2],"dtype":"bool","data":[false,true]}"#);
}

#[test]
fn every_finite_tensor_reads_back_the_same() {
    for element in Element::ALL {
        let bytes: Vec<u8> =
            (0..48_u8).map(|index| if *element == Element::Bool { index % 2 } else { index / 2 }).collect();
        // Texts have lengths of their own.
        if *element == Element::Text {
            continue;
        }
        let count = u64::try_from(bytes.len() / element.bytes()).unwrap();
        let written = tensor(*element, &[2, count / 2], bytes);
        let text = serde_json::to_string(&TensorFace(&written)).unwrap();
        assert_eq!(parse(&text).unwrap(), written, "{element}");
    }
}

#[test]
fn short_floats_are_rounded_once_and_read_back() {
    let half = |json: &str| parse(&format!(r#"{{"dtype":"f16","data":[{json}]}}"#)).map(|tensor| tensor.data.to_vec());
    let bits = |bits: u16| Ok(bits.to_le_bytes().to_vec());
    assert_eq!(half("1.5"), bits(0x3e00));
    assert_eq!(half("-0.1"), bits(0xae66));
    assert_eq!(half("65504"), bits(0x7bff));
    assert_eq!(half("65519.99"), bits(0x7bff));
    assert_eq!(half("2049"), bits(0x6800));
    assert_eq!(half("2051"), bits(0x6802));
    assert_eq!(half("5.9604644775390625e-8"), bits(0x0001));
    assert_eq!(half("2.9802322387695312e-8"), bits(0x0000));
    assert!(half("65520").is_err());
    let brain = parse(r#"{"dtype":"bfloat16","data":[3.1415926, 3.3e38]}"#).unwrap();
    assert_eq!(brain.data[..], [0x49, 0x40, 0x78, 0x7f]);
}

#[test]
fn texts_go_in_and_come_back() {
    let json = r#"{"shape":[2,2],"dtype":"text","data":["a","","wörter","\"d\""]}"#;
    let read = parse(json).unwrap();
    assert_eq!(read.element, Element::Text);
    assert_eq!(serde_json::to_string(&TensorFace(&read)).unwrap(), json);
    assert_eq!(parse(r#"[["a"],["b"]]"#).unwrap().shape[..], [2, 1]);
    assert!(parse(r#"["a",1]"#).is_err());
}
