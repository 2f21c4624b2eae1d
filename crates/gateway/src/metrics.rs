//! What the gateway counts, as text that Prometheus reads.

use std::{
    fmt::Write as _,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Upper bounds of a histogram's buckets: powers of two, from 16 microseconds to about 34 seconds.
const BUCKETS: usize = 22;
const FIRST_BOUND_US: u64 = 16;

/// A counter that only grows.
#[derive(Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How often something took how long.
#[derive(Default)]
pub struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    count: Counter,
    sum_us: Counter,
}

impl Histogram {
    pub fn observe(&self, took: Duration) {
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let fits = |index: &usize| took_us <= FIRST_BOUND_US << index;
        if let Some(bucket) = (0..BUCKETS).find(fits).and_then(|index| self.buckets.get(index)) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.count.add(1);
        self.sum_us.add(took_us);
    }

    fn write(&self, stage: &str, out: &mut String) {
        let mut below = 0_u64;
        for (index, bucket) in self.buckets.iter().enumerate() {
            below = below.saturating_add(bucket.load(Ordering::Relaxed));
            let bound = Duration::from_micros(FIRST_BOUND_US << index).as_secs_f64();
            line(out, &format!("og_gateway_stage_seconds_bucket{{stage=\"{stage}\",le=\"{bound}\"}} {below}"));
        }
        let (count, sum) = (self.count.get(), Duration::from_micros(self.sum_us.get()).as_secs_f64());
        line(out, &format!("og_gateway_stage_seconds_bucket{{stage=\"{stage}\",le=\"+Inf\"}} {count}"));
        line(out, &format!("og_gateway_stage_seconds_sum{{stage=\"{stage}\"}} {sum}"));
        line(out, &format!("og_gateway_stage_seconds_count{{stage=\"{stage}\"}} {count}"));
    }
}

fn line(out: &mut String, text: &str) {
    // Writing into a String cannot fail.
    let _ = writeln!(out, "{text}");
}

/// Everything that is counted.
#[derive(Default)]
pub struct Metrics {
    pub requests: Counter,
    pub answers: Counter,
    pub refusals: Counter,
    pub disconnects: Counter,
    pub tokens: Counter,
    /// Times that a model's template was run here.
    pub prompts: Counter,
    /// Times that a request went on at another worker.
    pub continuations: Counter,
    pub worker_failures: Counter,
    pub worker_lies: Counter,
    /// Answers whose text could not be held against their tokens.
    pub texts_unchecked: Counter,
    pub receipts_anchored: Counter,
    pub receipts_resent: Counter,
    /// Waiting for workers, for the disk, and the gateway's own work: the whole of a request apart from these two.
    pub worker: Histogram,
    pub disk: Histogram,
    pub own: Histogram,
}

impl Metrics {
    /// The counters as text; `gauges` are what is counted elsewhere.
    pub fn text(&self, gauges: &[(&str, u64)]) -> String {
        let counters = [
            ("requests", &self.requests),
            ("answers", &self.answers),
            ("refusals", &self.refusals),
            ("disconnects", &self.disconnects),
            ("tokens", &self.tokens),
            ("prompts", &self.prompts),
            ("continuations", &self.continuations),
            ("worker_failures", &self.worker_failures),
            ("worker_lies", &self.worker_lies),
            ("texts_unchecked", &self.texts_unchecked),
            ("receipts_anchored", &self.receipts_anchored),
            ("receipts_resent", &self.receipts_resent),
        ];
        let mut out = String::new();
        for (name, counter) in counters {
            line(&mut out, &format!("# TYPE og_gateway_{name}_total counter"));
            line(&mut out, &format!("og_gateway_{name}_total {}", counter.get()));
        }
        for (name, value) in gauges {
            line(&mut out, &format!("# TYPE og_gateway_{name} gauge"));
            line(&mut out, &format!("og_gateway_{name} {value}"));
        }
        line(&mut out, "# TYPE og_gateway_stage_seconds histogram");
        for (stage, histogram) in [("worker", &self.worker), ("disk", &self.disk), ("own", &self.own)] {
            histogram.write(stage, &mut out);
        }
        out
    }
}

/// Writes one gauge for each value of a label; nothing where there is none.
pub fn write_each<'a>(name: &str, label: &str, values: impl Iterator<Item = (&'a str, u64)>, out: &mut String) {
    for (place, (of, value)) in values.enumerate() {
        if place == 0 {
            line(out, &format!("# TYPE og_gateway_{name} gauge"));
        }
        line(out, &format!("og_gateway_{name}{{{label}=\"{of}\"}} {value}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_counts_into_the_first_bucket_that_holds() {
        let metrics = Metrics::default();
        for took_us in [1, 16, 17, 900, 10_000_000_000] {
            metrics.own.observe(Duration::from_micros(took_us));
        }
        let mut text = metrics.text(&[("in_flight", 3)]);
        write_each("chain_away", "network", [("eip155:8453", 1), ("eip155:10740", 0)].into_iter(), &mut text);
        write_each("nothing", "network", std::iter::empty(), &mut text);
        assert!(!text.contains("nothing"), "{text}");
        for expected in [
            "og_gateway_in_flight 3",
            "# TYPE og_gateway_chain_away gauge",
            "og_gateway_chain_away{network=\"eip155:8453\"} 1",
            "og_gateway_chain_away{network=\"eip155:10740\"} 0",
            "og_gateway_stage_seconds_bucket{stage=\"own\",le=\"0.000016\"} 2",
            "og_gateway_stage_seconds_bucket{stage=\"own\",le=\"0.000032\"} 3",
            "og_gateway_stage_seconds_bucket{stage=\"own\",le=\"0.001024\"} 4",
            "og_gateway_stage_seconds_bucket{stage=\"own\",le=\"+Inf\"} 5",
        ] {
            assert!(text.lines().any(|line| line == expected), "{expected} in\n{text}");
        }
    }
}
