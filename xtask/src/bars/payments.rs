//! What paying adds to a call.

use anyhow::Result;

use super::figure::{Goal, Outcome};
use super::rooms::benchmark;
use super::{Area, Bar, Bench};

const HOW: &str =
    "crates/payments/benches/overhead.rs: header, signature, reservation, charge, journal; 20,000 vouchers";

pub static AREA: Area = Area {
    name: "payments",
    build: |_| Ok(true),
    about: || "the room itself, in a release build".to_owned(),
    bars: &[
        Bar { name: "a paid call's overhead, mean CPU", goal: Goal::AtMost(100.0, "us"), measure: mean },
        Bar { name: "a paid call's overhead, p99", goal: Goal::AtMost(1_000.0, "us"), measure: p99 },
        Bar { name: "paid calls, one core, in process", goal: Goal::AtLeast(10_000.0, "a second"), measure: rate },
        Bar { name: "paid calls through HTTP, two cores", goal: Goal::AtLeast(5_000.0, "a second"), measure: http },
        Bar { name: "first byte, paid after unpaid", goal: Goal::AtMost(2.0, "ms"), measure: first_byte },
        Bar { name: "gas a call in a channel of 1,000", goal: Goal::AtMost(0.01, "of exact"), measure: gas },
    ],
};

fn mean(bench: &mut Bench<'_>) -> Result<Outcome> {
    Ok(Outcome::of(benchmark(bench.workspace, "payments", "overhead", "mean_cpu_us ")?, HOW))
}

fn p99(bench: &mut Bench<'_>) -> Result<Outcome> {
    Ok(Outcome::of(benchmark(bench.workspace, "payments", "overhead", "p99_us ")?, HOW))
}

fn rate(bench: &mut Bench<'_>) -> Result<Outcome> {
    Ok(Outcome::of(benchmark(bench.workspace, "payments", "overhead", "calls_per_cpu_second ")?, HOW))
}

fn http(_: &mut Bench<'_>) -> Result<Outcome> {
    Ok(Outcome::missing("no open loop that signs vouchers yet"))
}

fn first_byte(_: &mut Bench<'_>) -> Result<Outcome> {
    Ok(Outcome::missing("no client that compares paid and unpaid streams yet"))
}

fn gas(_: &mut Bench<'_>) -> Result<Outcome> {
    Ok(Outcome::missing("no run of a thousand calls on Base's chain yet"))
}
