//! Matrices whose numbers are a byte each (F8_E4M3), with a scale for each block of 128 × 128, as DeepSeek-V3 is published.
//!
//! A number is its byte's value times its block's scale: one multiplication in binary32. Whatever else a configuration says
//! of quantisation is refused by its key.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use serde_json::json;

use super::Stored;
use crate::{
    language::{ImportRefusal, settings::Settings},
    program::{Element, minifloat},
};

/// Rows and columns that share a scale.
pub(super) const SIDE: usize = 128;
/// What stands behind a matrix's name in that of its scales. They are inverse to what made the bytes: numbers are multiplied
/// with them.
const SCALES: &str = "_scale_inv";

/// What each byte stands for.
static VALUES: LazyLock<[f32; 256]> =
    LazyLock::new(|| std::array::from_fn(|byte| minifloat::widen(Element::F8E4M3, byte as u8)));

/// Whether the settings say that matrices are such. Activations are then meant to be cut to bytes as well; here they are
/// what they are in every model of its kind.
pub(super) fn is_meant(settings: &Settings) -> Result<bool, ImportRefusal> {
    let key = "quantization_config";
    if settings.find(key).is_none() {
        return Ok(false);
    }
    let found = settings.within(key).ok_or_else(|| settings.refuse(key, "an object"))?;
    // What else may be said, must be, or may be left out.
    let rules = [
        ("quant_method", json!("fp8"), true, "\"fp8\"; hint: take the model as it was before, or a GGUF file of it"),
        ("weight_block_size", json!([SIDE, SIDE]), true, "[128, 128]"),
        ("fmt", json!("e4m3"), false, "\"e4m3\""),
        ("activation_scheme", json!("dynamic"), false, "\"dynamic\""),
    ];
    for (key, meant, must_be_said, expected) in rules {
        let is_so = found.find(key).map_or(!must_be_said, |value| *value == meant);
        if !is_so {
            return Err(found.refuse(key, expected));
        }
    }
    Ok(true)
}

/// Gives each matrix of bytes its scales, which are a tensor beside it.
pub(super) fn attach(tensors: &mut BTreeMap<String, Stored>, of_bytes: &BTreeSet<String>) -> Result<(), ImportRefusal> {
    let element = |name: &str, expected, found| ImportRefusal::Element { name: name.to_owned(), expected, found };
    for name in of_bytes {
        let of_scales = format!("{name}{SCALES}");
        if of_bytes.contains(&of_scales) {
            return Err(element(&of_scales, "F32, F16 or BF16", "F8_E4M3".to_owned()));
        }
        let missing = || ImportRefusal::Missing { name: of_scales.clone() };
        let scales = tensors.remove(&of_scales).ok_or_else(missing)?;
        let Some(stored) = tensors.get_mut(name) else { continue };
        let [rows, columns] = *stored.shape.as_slice() else {
            let found = format!("F8_E4M3 in {} sizes", stored.shape.len());
            return Err(element(name, "a matrix where they are F8_E4M3", found));
        };
        scales.expect(&of_scales, &[rows.div_ceil(SIDE), columns.div_ceil(SIDE)])?;
        stored.scales = Some(Box::new(scales));
    }
    Ok(())
}

/// A row of numbers in binary32: its bytes' values, each times the scale of its block.
pub(super) fn multiplied(bytes: &[u8], scales: &[f32]) -> Vec<u8> {
    let values: &[f32; 256] = &VALUES;
    let blocks = bytes.chunks(SIDE).zip(scales);
    let of_block = |(bytes, scale): (&[u8], &f32)| -> Vec<u8> {
        bytes.iter().flat_map(|&byte| (values[usize::from(byte)] * scale).to_le_bytes()).collect()
    };
    blocks.flat_map(of_block).collect()
}
