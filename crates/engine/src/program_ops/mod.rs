//! Kernels of programs' operators: the bits of the meanings, faster. An operator without one runs by its meaning.
//!
//! Kernels vectorise over outputs and never over a sum: each output's chain is the one that the meaning states. They ask for the same
//! bytes and operations as the meanings do. Their work is cut into rows and tiles, which the hands of a run share, and which end once nobody
//! waits.

mod batch_normalization;
mod conv;
mod conv_transpose;
mod dequantize_linear;
mod floats;
mod gemm;
mod global_average_pool;
mod matmul;
mod pairs;
mod pool;
mod pow;
mod product;
mod quantize_linear;
mod recurrent;
mod reduce_mean;
mod softmax;
mod spans;

use graph::program::{Meaning, Operator};

use crate::cpu::{Instructions, Level};

/// A kernel's row: the operator by name, and the kernel for each level.
struct Row {
    name: &'static str,
    portable: Meaning,
    avx2: Meaning,
    avx512: Meaning,
}

/// The row of a function that is generic over [`product::Build`], and over what stands behind it.
macro_rules! row {
    ($name:literal, $run:ident $(, $more:ty)*) => {
        $crate::program_ops::Row {
            name: $name,
            portable: $run::<$crate::program_ops::product::Portable $(, $more)*>,
            avx2: $run::<$crate::program_ops::product::Avx2 $(, $more)*>,
            avx512: $run::<$crate::program_ops::product::Avx512 $(, $more)*>,
        }
    };
}
use row;

static ROWS: &[&[Row]] = &[
    &[
        batch_normalization::ROW,
        conv::ROW,
        conv_transpose::ROW,
        dequantize_linear::ROW,
        gemm::ROW,
        global_average_pool::ROW,
        matmul::ROW,
        pow::ROW,
        quantize_linear::ROW,
        reduce_mean::ROW,
        softmax::ROW,
    ],
    pool::ROWS,
    floats::ROWS,
    pairs::ROWS,
    recurrent::ROWS,
];

fn find(operator: &'static Operator) -> Option<&'static Row> {
    ROWS.iter().copied().flatten().find(|row| operator.domain.is_empty() && row.name == operator.name)
}

/// Who computes each operator on a CPU of that level.
pub fn pick(level: Level) -> fn(&'static Operator) -> Meaning {
    match level.instructions() {
        Instructions::Portable => |operator| find(operator).map_or(operator.run, |row| row.portable),
        Instructions::Avx2 => |operator| find(operator).map_or(operator.run, |row| row.avx2),
        Instructions::Avx512 | Instructions::Amx => |operator| find(operator).map_or(operator.run, |row| row.avx512),
    }
}
