//! Facts about GGUF files that are whole, damaged or hostile.

use ::bytes::Bytes;
use proptest::prelude::*;

use super::{DEPTH_MAX, ENTRIES_MAX, Gguf, GgufError, Split, TensorKind, Value, ValueKind, Writer, optional};
use crate::language::{ImportRefusal, settings::Settings};

fn read(file: Vec<u8>) -> Result<Gguf, GgufError> {
    Gguf::read(&Bytes::from(file))
}

fn refused(writer: &Writer) -> GgufError {
    read(writer.finish()).unwrap_err()
}

/// A file with a value of each type and two tensors.
fn small() -> Writer {
    let mut writer = Writer::new();
    writer
        .text("general.architecture", "llama")
        .number("llama.block_count", 2)
        .float("epsilon", 1e-5)
        .flag("add_bos", true)
        .texts("tokens", &["<s>", "", "é"])
        .integers("types", &[3, -1])
        .floats("scores", &[0.5, -2.0])
        .raw("u8", ValueKind::U8, &[7])
        .raw("i8", ValueKind::I8, &[0xff])
        .raw("u16", ValueKind::U16, &[1, 1])
        .raw("i16", ValueKind::I16, &[0xfe, 0xff])
        .raw("u64", ValueKind::U64, &[9, 0, 0, 0, 0, 0, 0, 0])
        .raw("i64", ValueKind::I64, &[0xff; 8])
        .raw("f64", ValueKind::F64, &0.25_f64.to_le_bytes())
        .list("flags", ValueKind::Bool, 2, &[0, 1])
        .tensor("a", TensorKind::F32, &[2, 3], &[1; 24])
        .tensor("b", TensorKind::Q8_0, &[64], &[2; 68]);
    writer
}

#[test]
fn what_is_written_is_read() {
    let file = read(small().finish()).unwrap();
    assert_eq!(
        (file.version, file.text("general.architecture"), file.number("llama.block_count")),
        (3, Ok("llama"), Ok(2))
    );
    assert_eq!((file.float("f64"), file.flag("add_bos")), (Ok(0.25), Ok(true)));
    assert_eq!(file.texts("tokens").unwrap().collect::<Vec<_>>(), ["<s>", "", "é"]);
    assert_eq!((file.integers("types").unwrap(), file.floats("scores").unwrap()), (vec![3, -1], vec![0.5, -2.0]));
    let small = ["u8", "i8", "u16", "i16", "u64", "i64"].map(|key| file.find(key).and_then(Value::as_i64));
    assert_eq!(small, [7, -1, 257, -2, 9, -1].map(Some));
    let tensor = file.tensor("a").unwrap();
    assert_eq!((tensor.kind, tensor.shape(), &tensor.data[..]), (TensorKind::F32, vec![3, 2], &[1; 24][..]));
    assert_eq!(file.tensor("b").unwrap().data.len(), 68);
}

#[test]
fn what_quantisers_put_where_a_row_is_no_multiple_of_256_is_read() {
    let kinds = [TensorKind::Q4_1, TensorKind::Q5_0, TensorKind::Q5_1, TensorKind::Iq4Nl];
    for (kind, bytes) in kinds.into_iter().zip([20, 22, 24, 18]) {
        let data = vec![1_u8; 2 * 3 * bytes];
        let file = read(Writer::new().tensor("a", kind, &[96, 2], &data).finish()).unwrap();
        let tensor = file.tensor("a").unwrap();
        assert_eq!((tensor.kind, tensor.shape(), tensor.data.len()), (kind, vec![2, 96], data.len()));
    }
}

#[test]
fn data_and_arrays_are_views_of_the_file() {
    let bytes = Bytes::from(small().finish());
    let file = Gguf::read(&bytes).unwrap();
    let within = |view: &Bytes| bytes.as_ptr_range().contains(&view.as_ptr());
    assert!(within(&file.tensor("b").unwrap().data));
    assert!(file.find("tokens").and_then(Value::as_array).is_some_and(|array| within(&array.bytes)));
}

#[test]
fn a_file_of_another_format_version_or_order_of_bytes_is_refused() {
    assert_eq!(read(b"ONNX....".to_vec()).unwrap_err(), GgufError::Magic { found: b"ONNX".to_vec() });
    assert_eq!(read(b"GG".to_vec()).unwrap_err(), GgufError::Magic { found: b"GG".to_vec() });
    let version = |version: [u8; 4]| read([&b"GGUF"[..], &version, &[0; 16]].concat());
    assert_eq!(version([0, 0, 0, 3]).unwrap_err(), GgufError::BigEndian);
    assert_eq!(version([1, 0, 0, 0]).unwrap_err(), GgufError::Version { found: 1 });
    assert!(version([2, 0, 0, 0]).is_ok());
}

#[test]
fn counts_and_lengths_beyond_the_file_are_refused_before_anything_is_kept() {
    let header = |tensors: u64, entries: u64| {
        read([&b"GGUF\x03\0\0\0"[..], &tensors.to_le_bytes(), &entries.to_le_bytes()].concat()).unwrap_err()
    };
    let what = || "the number of metadata entries".to_owned();
    assert_eq!(header(0, 1 << 40), GgufError::TooMany { what: what(), found: 1 << 40, limit: ENTRIES_MAX });
    assert_eq!(header(0, 9), GgufError::Cut { what: what(), claimed: 117, left: 0 });
    let what = "the number of tensors".to_owned();
    assert!(matches!(header(1 << 17, 0), GgufError::TooMany { what: found, .. } if found == what));
    let long = refused(Writer::new().raw("key", ValueKind::Text, &u64::MAX.to_le_bytes()));
    assert!(matches!(long, GgufError::Cut { claimed: u64::MAX, .. }), "{long}");
    let wide = refused(Writer::new().list("key", ValueKind::F64, usize::MAX, &[]));
    assert!(matches!(wide, GgufError::Cut { claimed: u64::MAX, .. }), "{wide}");
}

#[test]
fn metadata_that_breaks_the_format_is_refused() {
    let key = || "key".to_owned();
    let twice = refused(Writer::new().number("key", 1).number("key", 2));
    assert_eq!(twice, GgufError::DoubleKey { key: key() });
    assert_eq!(refused(Writer::new().raw("key", ValueKind::Bool, &[2])), GgufError::Flag { key: key(), found: 2 });
    let flags = refused(Writer::new().list("key", ValueKind::Bool, 2, &[1, 9]));
    assert_eq!(flags, GgufError::Flag { key: key(), found: 9 });
    let text = refused(Writer::new().raw("key", ValueKind::Text, &[1, 0, 0, 0, 0, 0, 0, 0, 0xff]));
    assert_eq!(text, GgufError::Text { what: "the value of key".to_owned() });
    let mut file = Writer::new().number("key", 1).finish();
    file[24 + 8 + 3] = 13;
    assert_eq!(read(file).unwrap_err(), GgufError::ValueKind { key: key(), found: 13 });
    // An array of one array of one array, and so on: each level is a type and a count.
    let level: Vec<u8> = [&9_u32.to_le_bytes()[..], &1_u64.to_le_bytes()].concat();
    let deep = refused(Writer::new().raw("key", ValueKind::Array, &level.repeat(DEPTH_MAX + 1)));
    assert_eq!(deep, GgufError::Depth { key: key(), limit: DEPTH_MAX });
    for found in [0, 24, 1 << 17] {
        let refusal = refused(Writer::new().number("general.alignment", found));
        assert_eq!(refusal, GgufError::Alignment { found: found.into(), limit: 1 << 16 });
    }
}

#[test]
fn tensors_that_are_not_read_or_do_not_fit_are_refused() {
    let a = || "a".to_owned();
    let of = |code: u32, sizes: &[u64], offset: u64| refused(Writer::new().tensor_at("a", code, sizes, offset));
    assert_eq!(of(23, &[256], 0), GgufError::TensorKind { name: a(), found: "IQ4_XS" });
    assert!(
        of(39, &[32], 0).to_string().contains("has the type MXFP4; those that are read: F32, F16, BF16, Q4_0, Q4_1")
    );
    assert_eq!(of(99, &[256], 0), GgufError::UnknownTensorKind { name: a(), found: 99 });
    assert_eq!(of(0, &[], 0), GgufError::Rank { name: a(), found: 0, limit: 4 });
    assert_eq!(of(0, &[1; 5], 0), GgufError::Rank { name: a(), found: 5, limit: 4 });
    assert_eq!(of(0, &[1, 0], 0), GgufError::Sizes { name: a(), sizes: vec![1, 0] });
    assert_eq!(of(0, &[1 << 40, 1 << 40], 0), GgufError::Sizes { name: a(), sizes: vec![1 << 40, 1 << 40] });
    assert_eq!(of(12, &[128], 0), GgufError::Block { name: a(), kind: "Q4_K", found: 128, block: 256 });
    assert_eq!(of(0, &[1], 4), GgufError::Offset { name: a(), found: 4, alignment: 32 });
    assert_eq!(of(0, &[1], 0), GgufError::Outside { name: a(), end: 4, length: 0 });
    assert!(matches!(of(0, &[1], u64::MAX - 31), GgufError::Outside { .. }));
    let mut over = Writer::new();
    over.tensor("a", TensorKind::F32, &[16], &[0; 64]).tensor_at("b", 0, &[1], 32);
    assert_eq!(refused(&over), GgufError::Overlap { first: a(), second: "b".to_owned() });
    let mut twice = Writer::new();
    twice.tensor("a", TensorKind::F32, &[1], &[0; 4]).tensor("a", TensorKind::F32, &[1], &[0; 4]);
    assert_eq!(refused(&twice), GgufError::DoubleTensor { name: a() });
}

#[test]
fn questions_that_the_metadata_does_not_answer_say_what_is_there() {
    let file = read(small().finish()).unwrap();
    let missing = GgufError::Missing { key: "nothing".to_owned() };
    assert_eq!(file.text("nothing"), Err(missing.clone()));
    assert_eq!((optional(file.text("nothing")), optional(file.tensor("nothing"))), (Ok(None), Ok(None)));
    assert_eq!(file.tensor("nothing"), Err(GgufError::NoTensor { name: "nothing".to_owned() }));
    let found = |refusal: Result<u32, GgufError>| refusal.unwrap_err().to_string();
    assert_eq!(found(file.number("i8")), "the metadata i8 is -1 (i8), expected an integer from 0 to 4294967295");
    assert_eq!(found(file.number("add_bos")), "the metadata add_bos is true, expected an integer from 0 to 4294967295");
    assert!(found(file.number("tokens")).contains("is an array of text (3 entries)"));
    assert!(optional(file.float("general.architecture")).unwrap_err().to_string().contains("the text \"llama\""));
    assert!(file.texts("types").is_err() && file.integers("scores").is_err() && file.floats("types").is_err());
    assert!(file.flag("u8").is_err() && file.text("u8").is_err());
}

#[test]
fn every_cut_and_every_flipped_byte_ends_in_a_file_or_a_refusal() {
    let file = small().finish();
    for at in 0..file.len() {
        assert!(read(file[..at].to_vec()).is_err(), "cut at {at}");
        for mask in [1, 2, 0x80, 0xff] {
            let mut flipped = file.clone();
            flipped[at] ^= mask;
            if let Ok(read) = read(flipped) {
                // Whatever is accepted lies within the file.
                let kept: usize = read.tensors.values().map(|tensor| tensor.data.len()).sum();
                assert!(kept <= file.len());
                let texts = read.metadata.values().filter_map(Value::as_array).flat_map(|array| array.texts());
                assert!(texts.map(str::len).sum::<usize>() <= file.len());
            }
        }
    }
}

/// What a part says of itself, in the types that llama.cpp writes.
fn part_of(number: u16, count: u16, tensors: i32) -> Writer {
    let mut writer = Writer::new();
    writer
        .raw("split.no", ValueKind::U16, &number.to_le_bytes())
        .raw("split.count", ValueKind::U16, &count.to_le_bytes())
        .raw("split.tensors.count", ValueKind::I32, &tensors.to_le_bytes());
    writer
}

/// A model of three tensors in three parts, the first of which has none.
fn parts() -> [Writer; 3] {
    let [mut first, mut second, mut third] = [0, 1, 2].map(|number| part_of(number, 3, 3));
    first.text("general.architecture", "llama").number("llama.block_count", 2);
    second.tensor("a", TensorKind::F32, &[2], &[1; 8]).tensor("c", TensorKind::F32, &[1], &[3; 4]);
    third.tensor("b", TensorKind::F16, &[2], &[2; 4]);
    [first, second, third]
}

fn joined(parts: &[Writer]) -> Result<Gguf, GgufError> {
    let [first, others @ ..] = parts else { panic!("no part") };
    let others = others.iter().map(|part| read(part.finish()).unwrap()).collect();
    read(first.finish()).unwrap().join(others)
}

#[test]
fn a_model_in_parts_is_the_model_in_one_file() {
    let mut one = Writer::new();
    one.text("general.architecture", "llama").number("llama.block_count", 2);
    one.tensor("a", TensorKind::F32, &[2], &[1; 8]).tensor("b", TensorKind::F16, &[2], &[2; 4]);
    one.tensor("c", TensorKind::F32, &[1], &[3; 4]);
    let (one, all) = (read(one.finish()).unwrap(), joined(&parts()).unwrap());
    assert_eq!((&all.metadata, &all.tensors), (&one.metadata, &one.tensors));
    assert_eq!((all.split(), one.split()), (Ok(None), Ok(None)));
    let second = read(parts()[1].finish()).unwrap();
    assert_eq!(second.split(), Ok(Some(Split { number: 1, count: 3, tensors: 3 })));
    // What was put together again says that it has no parts, and what was never cut may say that it is one.
    for count in [0, 1] {
        assert_eq!(read(part_of(0, count, 3).finish()).unwrap().split(), Ok(None));
    }
}

#[test]
fn parts_that_are_not_those_of_one_model_are_refused() {
    let with = |change: &dyn Fn(&mut [Writer; 3])| {
        let mut parts = parts();
        change(&mut parts);
        joined(&parts).unwrap_err()
    };
    assert_eq!(with(&|parts| parts.swap(0, 1)), GgufError::Part { part: 2, count: 3 });
    assert_eq!(joined(&parts()[..2]).unwrap_err(), GgufError::Parts { found: 2, count: 3 });
    let other = |part| GgufError::OtherSplit { part, count: 3 };
    assert_eq!(with(&|parts| parts.swap(1, 2)), other(2));
    assert_eq!(with(&|parts| parts[2] = part_of(2, 4, 3)), other(3));
    assert_eq!(with(&|parts| parts[1] = part_of(1, 3, 4)), other(2));
    assert_eq!(with(&|parts| parts[2] = small()), other(3));
    let key = || "llama.block_count".to_owned();
    let says = |part: usize, number: u32| with(&|parts| _ = parts[part].number(&key(), number));
    assert_eq!(says(2, 3), GgufError::OtherMetadata { part: 3, key: key() });
    let mut same = parts();
    same[2].number(&key(), 2);
    assert!(joined(&same).is_ok());
    let new = with(&|parts| _ = parts[1].flag("new", true));
    assert_eq!(new, GgufError::OtherMetadata { part: 2, key: "new".to_owned() });
    let twice = with(&|parts| _ = parts[2].tensor("a", TensorKind::F32, &[1], &[0; 4]));
    assert_eq!(twice, GgufError::DoubleTensor { name: "a".to_owned() });
    let more = with(&|parts| _ = parts[2].tensor("d", TensorKind::F32, &[1], &[0; 4]));
    assert_eq!(more, GgufError::PartTensors { found: 4, expected: 3 });
    let whole = read(small().finish()).unwrap().join(Vec::new()).unwrap_err();
    assert_eq!(whole, GgufError::Missing { key: "split.count".to_owned() });
    let mut nameless = Writer::new();
    nameless.raw("split.count", ValueKind::U16, &[2, 0]);
    let missing = read(nameless.finish()).unwrap().split().unwrap_err();
    assert_eq!(missing, GgufError::Missing { key: "split.no".to_owned() });
}

#[test]
fn a_part_alone_is_no_model() {
    let first = read(parts()[0].finish()).unwrap();
    let refused = Settings::of_gguf(&first).unwrap_err();
    assert_eq!(refused, ImportRefusal::Gguf(GgufError::Part { part: 1, count: 3 }));
    assert!(refused.to_string().contains("hint: og model compile takes the first"), "{refused}");
}

#[test]
fn every_flipped_byte_of_a_part_ends_in_a_model_or_a_refusal() {
    let files = parts().map(|part| part.finish());
    for (part, file) in files.iter().enumerate() {
        for at in 0..file.len() {
            for mask in [1, 2, 0x80, 0xff] {
                let mut changed = files.clone();
                changed[part][at] ^= mask;
                let read: Result<Vec<Gguf>, GgufError> = changed.into_iter().map(read).collect();
                let Ok(mut others) = read else { continue };
                if let Ok(model) = others.remove(0).join(others) {
                    assert_eq!((model.tensors.len(), model.split()), (3, Ok(None)), "part {part}, byte {at}");
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_behind_a_header_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), entries in 0_u8..4) {
        let header = [&b"GGUF\x03\0\0\0\x01\0\0\0\0\0\0\0"[..], &[entries, 0, 0, 0, 0, 0, 0, 0]].concat();
        let _ = read([header, bytes].concat());
    }
}
