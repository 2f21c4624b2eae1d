//! The exact engine beside public ones: how fast it is, how near to the floats, and whether its bits are the same everywhere.
//!
//! Verdicts are of one core in CPU seconds, and by the clock where two threads run; both engines in one run, turn by turn, medians.
//! Goals differ where a CPU has only AVX2.

use super::figure::Goal;
use super::{Area, Bar, elsewhere, fidelity, harness, speed, standards, tensors, threads};
use crate::workspace::Workspace;

pub static AREA: Area = Area {
    name: "engine",
    build: |_: &Workspace| Ok(true),
    about: cpu,
    bars: &[
        Bar { name: "decode 1B Q8_0 ÷ llama.cpp", goal: by_cpu(1.2, 1.4), measure: speed::decode_q8_0 },
        Bar { name: "decode 1B Q4_0 ÷ llama.cpp", goal: by_cpu(1.14, 1.9), measure: speed::decode_q4_0 },
        Bar { name: "prefill 1B Q8_0 ÷ llama.cpp", goal: by_cpu(2.7, 1.7), measure: speed::prefill_q8_0 },
        Bar { name: "prefill 1B Q4_0 ÷ llama.cpp", goal: by_cpu(1.6, 2.2), measure: speed::prefill_q4_0 },
        Bar { name: "decode 1B Q8_0, share of a read test", goal: vnni_only(70.0, "%"), measure: speed::bandwidth },
        Bar {
            name: "prefill 1B integer ÷ llama.cpp Q8_0", goal: vnni_only(5.0, "×"), measure: speed::prefill_integer
        },
        Bar { name: "decode 1B integer ÷ llama.cpp Q8_0", goal: vnni_only(1.5, "×"), measure: speed::decode_integer },
        Bar { name: "decode 1B Q4_K_M ÷ llama.cpp", goal: vnni_only(1.0, "×"), measure: speed::decode_q4_k_m },
        Bar { name: "prefill 1B Q4_K_M ÷ llama.cpp", goal: vnni_only(1.3, "×"), measure: speed::prefill_q4_k_m },
        Bar { name: "8 chats 1B Q8_0 ÷ llama.cpp", goal: vnni_only(2.5, "×"), measure: speed::chats },
        Bar { name: "AVX2 alone, decode 1B Q8_0 ÷ llama.cpp", goal: AVX2[0], measure: speed::avx2_decode_q8_0 },
        Bar { name: "AVX2 alone, decode 1B Q4_0 ÷ llama.cpp", goal: AVX2[1], measure: speed::avx2_decode_q4_0 },
        Bar { name: "AVX2 alone, prefill 1B Q8_0 ÷ llama.cpp", goal: AVX2[2], measure: speed::avx2_prefill_q8_0 },
        Bar { name: "AVX2 alone, prefill 1B Q4_0 ÷ llama.cpp", goal: AVX2[3], measure: speed::avx2_prefill_q4_0 },
        Bar { name: "decode 1B Q8_0 ÷ candle", goal: Goal::Told("×"), measure: speed::candle_decode_q8_0 },
        Bar { name: "decode 1B Q4_0 ÷ candle", goal: Goal::Told("×"), measure: speed::candle_decode_q4_0 },
        Bar { name: "prefill 1B Q8_0 ÷ candle", goal: Goal::Told("×"), measure: speed::candle_prefill_q8_0 },
        Bar { name: "prefill 1B Q4_0 ÷ candle", goal: Goal::Told("×"), measure: speed::candle_prefill_q4_0 },
        Bar {
            name: "ResNet-18 integer ÷ onnxruntime f32", goal: Goal::AtMost(0.63, "time"), measure: tensors::resnet
        },
        Bar {
            name: "MiniLM-L6 integer ÷ onnxruntime f32", goal: Goal::AtMost(0.45, "time"), measure: tensors::minilm
        },
        Bar { name: "MiniLM-L6 integer ÷ onnxruntime int8", goal: Goal::Told("time"), measure: tensors::minilm_int8 },
        Bar { name: "audit ÷ generation, 1B ordered", goal: Goal::AtMost(0.2, "×"), measure: speed::audit_ordered },
        Bar { name: "audit ÷ generation, 1B integer", goal: Goal::AtMost(0.12, "×"), measure: speed::audit_integer },
        Bar { name: "prefill 1B Q8_0, two threads ÷ one", goal: Goal::AtLeast(1.8, "×"), measure: threads::ours },
        Bar { name: "decode 1B Q8_0, two threads ÷ llama.cpp", goal: Goal::Told("×"), measure: threads::decode },
        Bar { name: "prefill 1B Q8_0, two threads ÷ llama.cpp", goal: Goal::Told("×"), measure: threads::prefill },
        Bar {
            name: "decode on busy cores, two threads ÷ one",
            goal: Goal::AtLeast(0.9, "×"),
            measure: threads::under_load,
        },
        Bar {
            name: "llama.cpp on busy cores, two threads ÷ one",
            goal: Goal::Told("×"),
            measure: threads::llama_under_load,
        },
        Bar { name: "peak memory less cache ÷ weights, 1B", goal: Goal::AtMost(1.1, "×"), measure: speed::memory },
        Bar { name: "first token of a cached 1B model", goal: Goal::AtMost(1.0, "s"), measure: speed::first_token },
        Bar {
            name: "decoder families not as torch says",
            goal: Goal::AtMost(0.0, "failed"),
            measure: elsewhere::families,
        },
        Bar { name: "Q8_0, Q4_K error ÷ llama.cpp's", goal: Goal::AtMost(1.0, "×"), measure: fidelity::quantised },
        Bar { name: "other bits on emulated CPUs", goal: Goal::AtMost(0.0, "CPUs"), measure: elsewhere::same_bits },
        Bar { name: "ONNX backend cases that pass", goal: Goal::AtLeast(80.0, "%"), measure: standards::conformance },
        Bar { name: "claimed ONNX cases that fail", goal: Goal::AtMost(0.0, "failed"), measure: standards::claimed },
        Bar {
            name: "ONNX cases above tract and rten",
            goal: Goal::AtLeast(1.0, "cases"),
            measure: standards::beside_others,
        },
        Bar { name: "magika, labels not its own", goal: Goal::AtMost(0.0, "failed"), measure: standards::labels },
        Bar { name: "tokenizer and template cases", goal: Goal::AtMost(0.0, "failed"), measure: standards::words },
        Bar {
            name: "gateway overhead p50 at 2,000/s",
            goal: Goal::AtMost(0.3, "ms"),
            measure: elsewhere::gateway_overhead,
        },
        Bar {
            name: "gateway overhead p99 at 2,000/s",
            goal: Goal::AtMost(1.0, "ms"),
            measure: elsewhere::gateway_under_load,
        },
        Bar { name: "lm-eval, a task of our own", goal: Goal::AtLeast(90.0, "%"), measure: harness::evaluation },
        Bar { name: "aiperf, requests that fail", goal: Goal::AtMost(0.0, "failed"), measure: harness::load },
        Bar { name: "guidellm, requests that fail", goal: Goal::AtMost(0.0, "failed"), measure: harness::guide },
    ],
};

/// What is promised where a CPU has only AVX2, measured on any: both engines are forced to it.
const AVX2: [Goal; 4] =
    [Goal::AtLeast(1.4, "×"), Goal::AtLeast(1.9, "×"), Goal::AtLeast(1.7, "×"), Goal::AtLeast(2.2, "×")];

/// A ratio that is promised where the CPU has VNNI, and another where it has only AVX2.
const fn by_cpu(vnni: f64, avx2: f64) -> Goal {
    Goal::ByCpu { vnni, avx2: Some(avx2), unit: "×" }
}

/// Promised where the CPU has VNNI, told elsewhere.
const fn vnni_only(vnni: f64, unit: &'static str) -> Goal {
    Goal::ByCpu { vnni, avx2: None, unit }
}

/// The CPU by its own name, and what of it matters here.
fn cpu() -> String {
    let about = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = |key: &str| about.lines().find(|line| line.starts_with(key)).and_then(|line| line.split_once(':'));
    let name = line("model name").map_or("an unnamed CPU", |(_, name)| name.trim());
    let flags: Vec<&str> = line("flags").map(|(_, flags)| flags.split_whitespace().collect()).unwrap_or_default();
    let told = ["avx2", "avx_vnni", "avx512_vnni", "amx_int8"].into_iter().filter(|flag| flags.contains(flag));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{name}, {}, cores: {cores}", told.collect::<Vec<_>>().join(" "))
}
