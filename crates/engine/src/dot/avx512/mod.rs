//! AVX-512 with VNNI: 16 outputs a vector.

pub mod panel;
pub mod single;
