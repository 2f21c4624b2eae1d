//! The operators of `ai.onnx.ml`: classical models, and what prepares their features.

/// What every operator's file uses.
#[allow(unused_imports, reason = "each file uses some of them")]
pub(crate) mod prelude {
    pub(crate) use crate::program::features;
    pub(crate) use crate::program::ops::prelude::*;

    /// The domain of all operators here.
    pub(crate) const DOMAIN: &str = "ai.onnx.ml";
}

use crate::program::machine::Check;

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

/// What some of them refuse of a node before it runs.
pub(super) static CHECKS: &[(&str, Check)] = &[
    ("CategoryMapper", category_mapper::check),
    ("DictVectorizer", dict_vectorizer::check),
    ("LabelEncoder", label_encoder::check),
    ("Normalizer", normalizer::check),
    ("OneHotEncoder", one_hot_encoder::check),
    ("SVMClassifier", svm_classifier::check),
    ("SVMRegressor", svm_regressor::check),
    ("TreeEnsemble", tree_ensemble::check),
    ("TreeEnsembleClassifier", tree_ensemble_classifier::check),
    ("TreeEnsembleRegressor", tree_ensemble_regressor::check),
    ("ZipMap", zip_map::check),
];
