//! The one binary: every verb of the network.

fn main() {}
