//! How near quantised logits are to those of the floats that were quantised, ours and llama.cpp's on the same file.
//!
//! The model is the shipped one, so that its numbers are those of a trained model; the reference is computed in binary64 from the
//! weights before they were quantised, by neither of the two.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use super::Bench;
use super::figure::Outcome;
use super::worker::Worker;
use super::yard::Yard;

/// The greater of the two formats' ratios.
pub fn quantised(bench: &mut Bench<'_>) -> Result<Outcome> {
    let yard = Yard::open(bench)?;
    let (floats, files) = yard.small_gguf()?;
    let expected = logits(&floats.with_extension("logits"))?;
    let texts = fs::read_to_string(floats.with_extension("tokens")).context("failed to read the texts")?;
    let texts: Vec<&str> = texts.lines().collect();
    let (mut worst, mut notes) = (0.0_f64, Vec::new());
    for (format, file) in files {
        let mut ours = yard.ours(&yard.artefact(&file, "ordered")?, 1)?;
        let mine = error(&said(&mut ours, &texts, &file.with_extension("ours"))?, &expected)?;
        let mut theirs = yard.llama(&file, 1)?;
        let other = error(&said(&mut theirs, &texts, &file.with_extension("llama"))?, &expected)?;
        worst = worst.max(mine / other);
        notes.push(format!("{format} {:.4} against {:.4} %", mine * 100.0, other * 100.0));
    }
    let note = format!("{}; root of squares, over {} tokens of a trained model", notes.join(", "), tokens(&texts));
    Ok(Outcome::of(worst, note))
}

fn tokens(texts: &[&str]) -> usize {
    texts.iter().map(|text| text.split(',').count()).sum()
}

/// What an engine says after every token of all texts.
fn said(worker: &mut Worker, texts: &[&str], file: &Path) -> Result<Vec<f32>> {
    let mut all = Vec::new();
    for text in texts {
        worker.ask(&format!("logits {text} {}", file.display()))?;
        all.extend(logits(file)?);
    }
    Ok(all)
}

fn logits(file: &Path) -> Result<Vec<f32>> {
    let bytes = fs::read(file).with_context(|| format!("failed to read {}", file.display()))?;
    Ok(bytes.as_chunks().0.iter().map(|four| f32::from_le_bytes(*four)).collect())
}

/// The distance between both, as a share of the length of what is expected.
fn error(found: &[f32], expected: &[f32]) -> Result<f64> {
    if found.len() != expected.len() || expected.is_empty() {
        bail!("{} logits instead of {}", found.len(), expected.len());
    }
    let square = |value: f64| value * value;
    let distance: f64 = found.iter().zip(expected).map(|(one, other)| square(f64::from(one - other))).sum();
    let length: f64 = expected.iter().map(|value| square(f64::from(*value))).sum();
    let share = (distance / length).sqrt();
    if share.is_finite() { Ok(share) } else { bail!("logits that are not finite") }
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
}
