//! What an audit costs beside the generation that it checks: the demo model, a 32-token prompt, a 128-token answer,
//! CPU time of one thread. Prints `audit_share` and the two times behind it; medians of alternated runs.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark stops where it cannot go on, and prints")]

use engine::{LanguageModel, Model};
use rustix::time::{ClockId, clock_gettime};

const ARTEFACT: &[u8] = include_bytes!("../../../models/demo/demo-integer.ogm");
const PROMPT: usize = 32;
const ANSWER: usize = 128;
const RUNS: usize = 15;

fn main() {
    let model = Model::load(ARTEFACT).unwrap();
    let language = model.as_language().unwrap();
    let prompt: Vec<u32> = language.tokenizer().encode(&"What is a receipt? ".repeat(12)).unwrap()[..PROMPT].to_vec();
    let answer = generate(language, &prompt);
    let (mut generations, mut audits) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let started = cpu_seconds();
        assert_eq!(generate(language, &prompt), answer);
        generations.push(cpu_seconds() - started);
        let started = cpu_seconds();
        assert!(audit(language, &prompt, &answer));
        audits.push(cpu_seconds() - started);
    }
    let (generation, audit) = (median(generations), median(audits));
    println!("generation_cpu_s {generation:.6}");
    println!("audit_cpu_s {audit:.6}");
    println!("audit_share {:.4}", audit / generation);
}

/// A greedy answer of a fixed length: stop tokens are passed over, so that every run does the same work.
fn generate(language: &LanguageModel, prompt: &[u32]) -> Vec<u32> {
    let mut text = language.text();
    text.skip(PROMPT - 1);
    let mut logits = text.extend(prompt).unwrap().pop().unwrap();
    let mut answer = Vec::with_capacity(ANSWER);
    loop {
        answer.push(greedy(&logits));
        if answer.len() == ANSWER {
            return answer;
        }
        logits = text.extend(&answer[answer.len() - 1..]).unwrap().pop().unwrap();
    }
}

/// The same answer checked by one prefill.
fn audit(language: &LanguageModel, prompt: &[u32], answer: &[u32]) -> bool {
    let mut text = language.text();
    text.skip(PROMPT - 1);
    let logits = text.extend(&[prompt, &answer[..ANSWER - 1]].concat()).unwrap();
    logits.iter().zip(answer).all(|(logits, token)| greedy(logits) == *token)
}

/// The lowest index of the greatest logit.
fn greedy(logits: &[i64]) -> u32 {
    let best = (0..logits.len()).rev().max_by_key(|&index| logits[index]).unwrap();
    u32::try_from(best).unwrap()
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
