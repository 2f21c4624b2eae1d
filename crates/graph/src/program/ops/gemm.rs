//! `Gemm`: `alpha·(A·B) + beta·C`. Sums as in `MatMul`; then one product by alpha, one by beta, one addition, each left out
//! where its factor is 1 or C is missing.

use super::matmul;
use super::prelude::*;
use crate::program::gemm::{finish, turned};

pub static OPERATOR: Operator = Operator {
    name: "Gemm",
    domain: "",
    versions: &[6, 7, 9, 11, 13],
    inputs: (2, 3),
    outputs: (1, 1),
    attributes: &["alpha", "beta", "broadcast", "transA", "transB"],
    run: |node, inputs, context| {
        let one = turned(inputs.tensor(0)?, node.flag("transA", false)?, context)?;
        let other = turned(inputs.tensor(1)?, node.flag("transB", false)?, context)?;
        let product = matmul::product(&one, &other, context)?;
        Ok(vec![finish(node, inputs, product, context)?.into()])
    },
};
