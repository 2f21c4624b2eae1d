//! How near quantised logits are to those of the floats that were quantised, ours and llama.cpp's on the same file.
//!
//! Two families: the shipped model, so that numbers are those of a trained one, and random weights with grouped heads and biases, as
//! Qwen2 has them. The reference is computed in binary64 from the weights before they were quantised, by neither of the two.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use super::Bench;
use super::figure::Outcome;
use super::worker::Worker;
use super::yard::Yard;

const FAMILIES: [(&str, &str); 2] = [("llama", "trained Llama"), ("qwen2", "random Qwen2")];

/// The greatest of the ratios of both formats in both families.
pub fn quantised(bench: &mut Bench<'_>) -> Result<Outcome> {
    let yard = Yard::open(bench)?;
    let (mut worst, mut notes) = (0.0_f64, Vec::new());
    for (family, about) in FAMILIES {
        let (floats, files) = yard.small_gguf(family)?;
        let expected = numbers(&floats.with_extension("logits"))?;
        let texts = fs::read_to_string(floats.with_extension("tokens")).context("failed to read the texts")?;
        let texts: Vec<&str> = texts.lines().collect();
        for (format, file) in files {
            let mut ours = yard.ours(&yard.artefact(&file, "ordered")?, 1)?;
            let mine = error(&said(&mut ours, &texts, &file.with_extension("ours"))?, &expected)?;
            let mut theirs = yard.llama(&file, 1, 1)?;
            let other = error(&said(&mut theirs, &texts, &file.with_extension("llama"))?, &expected)?;
            worst = worst.max(mine / other);
            notes.push(format!("{about} {format} {:.4} against {:.4} %", mine * 100.0, other * 100.0));
        }
        notes.push(format!("over {} tokens", tokens(&texts)));
    }
    Ok(Outcome::of(worst, format!("{}; root of squares", notes.join(", "))))
}

fn tokens(texts: &[&str]) -> usize {
    texts.iter().map(|text| text.split(',').count()).sum()
}

/// What an engine says after every token of all texts.
fn said(worker: &mut Worker, texts: &[&str], file: &Path) -> Result<Vec<f32>> {
    let mut all = Vec::new();
    for text in texts {
        worker.ask(&format!("logits {text} {}", file.display()))?;
        all.extend(numbers(file)?);
    }
    Ok(all)
}

/// What a worker or a script wrote: raw f32.
pub fn numbers(file: &Path) -> Result<Vec<f32>> {
    let bytes = fs::read(file).with_context(|| format!("failed to read {}", file.display()))?;
    Ok(bytes.as_chunks().0.iter().map(|four| f32::from_le_bytes(*four)).collect())
}

/// The distance between both, as a share of the length of what is expected.
fn error(found: &[f32], expected: &[f32]) -> Result<f64> {
    same_length(found, expected)?;
    let square = |value: f64| value * value;
    let distance: f64 = found.iter().zip(expected).map(|(one, other)| square(f64::from(one - other))).sum();
    let length: f64 = expected.iter().map(|value| square(f64::from(*value))).sum();
    finite((distance / length).sqrt())
}

/// How far both point in one direction: 1 where one is the other but for its length.
pub fn cosine(found: &[f32], expected: &[f32]) -> Result<f64> {
    same_length(found, expected)?;
    let dot = |one: &[f32], other: &[f32]| -> f64 {
        one.iter().zip(other).map(|(one, other)| f64::from(*one) * f64::from(*other)).sum()
    };
    finite(dot(found, expected) / (dot(found, found) * dot(expected, expected)).sqrt())
}

fn same_length(found: &[f32], expected: &[f32]) -> Result<()> {
    if found.len() != expected.len() || expected.is_empty() {
        bail!("{} numbers instead of {}", found.len(), expected.len());
    }
    Ok(())
}

fn finite(figure: f64) -> Result<f64> {
    if figure.is_finite() { Ok(figure) } else { bail!("numbers that are not finite, or nothing but zeros") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_a_share_of_what_is_expected() {
        assert_eq!(error(&[3.0, 4.0], &[3.0, 4.0]).unwrap(), 0.0);
        assert_eq!(error(&[3.0, 5.0], &[3.0, 4.0]).unwrap(), 0.2);
        assert!(error(&[3.0], &[3.0, 4.0]).is_err());
        assert!(error(&[f32::NAN], &[1.0]).is_err());
    }

    #[test]
    fn a_cosine_is_of_directions_and_needs_some() {
        assert_eq!(cosine(&[3.0, 4.0], &[6.0, 8.0]).unwrap(), 1.0);
        assert_eq!(cosine(&[1.0, 0.0], &[0.0, 1.0]).unwrap(), 0.0);
        assert!(cosine(&[3.0], &[3.0, 4.0]).is_err());
        assert!(cosine(&[0.0], &[1.0]).is_err());
    }
}
