//! Kernels of programs' operators: the bits of the meanings, faster. An operator without one runs by its meaning.
//!
//! Kernels vectorise over outputs and never over a sum: each output's chain is the one that the meaning states.

mod conv;
mod gemm;
mod matmul;
mod product;

use graph::program::{Meaning, Operator};

use crate::cpu::{Instructions, Level};

/// A kernel's row: the operator by name, and the kernel for each level.
struct Row {
    name: &'static str,
    portable: Meaning,
    avx2: Meaning,
    avx512: Meaning,
}

static ROWS: &[Row] = &[conv::ROW, gemm::ROW, matmul::ROW];

fn find(operator: &'static Operator) -> Option<&'static Row> {
    ROWS.iter().find(|row| operator.domain.is_empty() && row.name == operator.name)
}

/// Who computes each operator on a CPU of that level.
pub fn pick(level: Level) -> fn(&'static Operator) -> Meaning {
    match level.instructions() {
        Instructions::Portable => |operator| find(operator).map_or(operator.run, |row| row.portable),
        Instructions::Avx2 => |operator| find(operator).map_or(operator.run, |row| row.avx2),
        Instructions::Avx512 | Instructions::Amx => |operator| find(operator).map_or(operator.run, |row| row.avx512),
    }
}
