//! Classical models: trees, linear models, what prepares their features and what becomes of their scores.
//!
//! `columns` follows the features of trees back to what enters, so that every threshold stays exact; `forest` writes trees,
//! `line` sums that few precise numbers need, `scores` what is made of sums, `labels` the classes that leave as integers.

mod columns;
mod forest;
pub mod labels;
mod line;
mod prepare;
mod scores;

pub use columns::roots;

use super::net::CLASSICAL as DOMAIN;
use super::row::{Emit, Single, moving};
use super::wish::Wish;
use crate::program::Node;

const fn row(name: &'static str, emit: Emit) -> Single {
    Single { name, wish: Some(Wish::SIXTEEN), first: true, emit }
}

/// The operators of `ai.onnx.ml` that have an integer form, in the order of their names.
pub static CLASSICAL: &[Single] = &[
    moving("ArrayFeatureExtractor", prepare::extract),
    row("Binarizer", prepare::binarize),
    moving("Imputer", prepare::impute),
    Single { name: "LinearClassifier", wish: Some(Wish::FINE), first: true, emit: line::classifier },
    Single { name: "LinearRegressor", wish: Some(Wish::FINE), first: true, emit: line::regressor },
    row("Normalizer", prepare::normalise),
    Single { name: "Scaler", wish: Some(Wish::FINE), first: true, emit: prepare::scale },
    row("TreeEnsemble", forest::ensemble),
    row("TreeEnsembleClassifier", forest::classifier),
    row("TreeEnsembleRegressor", forest::regressor),
    moving("ZipMap", scores::rows_of_maps),
];

/// The row of an operator of `ai.onnx.ml`.
pub fn find(node: &Node) -> Option<&'static Single> {
    CLASSICAL.iter().find(|single| node.operator.domain == DOMAIN && single.name == node.operator.name)
}

/// Whether a node reads its features through `columns`.
pub fn is_forest(node: &Node) -> bool {
    node.operator.domain == DOMAIN && node.operator.name.starts_with("TreeEnsemble")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_in_the_order_of_their_names() {
        assert!(CLASSICAL.windows(2).all(|pair| pair[0].name < pair[1].name));
    }
}
