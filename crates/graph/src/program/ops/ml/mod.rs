//! The operators of `ai.onnx.ml`: classical models, and what prepares their features.

/// What every operator's file uses.
#[allow(unused_imports, reason = "each file uses some of them")]
pub(crate) mod prelude {
    pub(crate) use crate::program::features;
    pub(crate) use crate::program::ops::prelude::*;

    /// The domain of all operators here.
    pub(crate) const DOMAIN: &str = "ai.onnx.ml";
}

pub(crate) use tree_ensemble::Plan as Ensemble;
pub(crate) use tree_ensemble_classifier::Plan as EnsembleClassifier;
pub(crate) use tree_ensemble_regressor::Plan as EnsembleRegressor;

operators! {
    array_feature_extractor
    binarizer
    cast_map
    category_mapper
    dict_vectorizer
    feature_vectorizer
    imputer
    label_encoder
    linear_classifier
    linear_regressor
    normalizer
    one_hot_encoder
    scaler
    svm_classifier
    svm_regressor
    tree_ensemble
    tree_ensemble_classifier
    tree_ensemble_regressor
    zip_map
}
