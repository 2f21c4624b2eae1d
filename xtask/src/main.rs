//! The project's own verbs: check, test, bench, bars.

fn main() {}
