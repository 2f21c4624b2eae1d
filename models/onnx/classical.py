#!/usr/bin/env python3
"""Writes small classical models as their exporters write them, with inputs and onnxruntime's outputs, as case folders.

    python3 models/onnx/classical.py models/onnx/classical     # needs: pip install scikit-learn skl2onnx xgboost lightgbm onnxmltools onnxruntime

Each folder has `model.onnx` and `test_data_set_0/{input,output}_N.pb`, like the standard's own cases. Training data are made here by a seed.
"""
import os
import shutil
import sys
import warnings

import lightgbm
import numpy as np
import onnx
import onnxruntime
import xgboost
from onnx import numpy_helper
from onnxmltools import convert_lightgbm, convert_xgboost
from onnxmltools.convert.common.data_types import FloatTensorType as ToolsFloat
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.datasets import make_classification, make_regression
from sklearn.ensemble import (
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import ElasticNet, LinearRegression, LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Binarizer, Normalizer, OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.svm import SVC, SVR, LinearSVC, OneClassSVM
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

warnings.filterwarnings("ignore")
onnxruntime.set_default_logger_severity(4)
ROWS, FEATURES, SHOWN = 160, 5, 12


def write(out, name, model, feeds):
    """One case folder, its outputs as onnxruntime computes them."""
    if isinstance(model, tuple):
        model = model[0]
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found = session.run(None, feeds)
    folder = os.path.join(out, name)
    data = os.path.join(folder, "test_data_set_0")
    os.makedirs(data)
    model.doc_string = model.producer_name = model.producer_version = ""
    with open(os.path.join(folder, "model.onnx"), "wb") as file:
        file.write(model.SerializeToString())
    for word, ports, values in (
        ("input", model.graph.input, [feeds[port.name] for port in model.graph.input]),
        ("output", model.graph.output, found),
    ):
        for number, (port, value) in enumerate(zip(ports, values)):
            kind = port.type.WhichOneof("value")
            if kind == "sequence_type":
                message = maps(value, port)
            else:
                message = numpy_helper.from_array(np.asarray(value), port.name)
            with open(os.path.join(data, f"{word}_{number}.pb"), "wb") as file:
                file.write(message.SerializeToString())


def maps(values, port):
    """A sequence of maps, as `ZipMap` gives it."""
    sequence = onnx.SequenceProto(name=port.name, elem_type=onnx.SequenceProto.MAP)
    for value in values:
        entry = sequence.map_values.add()
        keys = list(value)
        if isinstance(keys[0], str):
            entry.key_type = onnx.TensorProto.STRING
            entry.string_keys.extend(key.encode() for key in keys)
        else:
            entry.key_type = onnx.TensorProto.INT64
            entry.keys.extend(keys)
        entry.values.CopyFrom(onnx.SequenceProto(elem_type=onnx.SequenceProto.TENSOR))
        held = numpy_helper.from_array(np.array([value[key] for key in keys], dtype=np.float32))
        entry.values.tensor_values.append(held)
    return sequence


def data(classes):
    if classes == 0:
        x, y = make_regression(ROWS, FEATURES, noise=3.0, random_state=3)
        return x.astype(np.float32), y
    x, y = make_classification(ROWS, FEATURES, n_informative=4, n_redundant=0, n_classes=classes, random_state=3)
    return x.astype(np.float32), y


def sklearn_cases(out):
    two, three, real = data(2), data(3), data(0)
    words = np.array(["low", "mid", "high"])
    both = (real[0], np.stack([real[1], -real[1] * real[0][:, 0]], axis=1))
    cases = [
        ("logistic_two", LogisticRegression(), two, {}),
        ("logistic_three_words", LogisticRegression(), (three[0], words[three[1]]), {"zipmap": True}),
        ("linear_svc", LinearSVC(random_state=0), three, None),
        ("linear_regression", LinearRegression(), real, None),
        ("ridge_two_targets", Ridge(), both, None),
        ("elastic_net", ElasticNet(), real, None),
        ("decision_tree", DecisionTreeClassifier(max_depth=4, random_state=0), three, {}),
        ("decision_tree_two_targets", DecisionTreeRegressor(max_depth=4, random_state=0), both, None),
        ("random_forest_two", RandomForestClassifier(6, max_depth=4, random_state=0), two, {"zipmap": True}),
        ("random_forest_three", RandomForestClassifier(6, max_depth=4, random_state=0), three, {}),
        ("extra_trees", ExtraTreesRegressor(6, max_depth=4, random_state=0), real, None),
        ("gradient_boosting_two", GradientBoostingClassifier(n_estimators=8, max_depth=2, random_state=0), two, {}),
        ("gradient_boosting_three", GradientBoostingClassifier(n_estimators=5, max_depth=2, random_state=0), three, {}),
        ("gradient_boosting", GradientBoostingRegressor(n_estimators=8, max_depth=2, random_state=0), real, None),
        ("isolation_forest", IsolationForest(n_estimators=6, max_samples=24, random_state=0), (real[0], None), None),
        ("svc", SVC(probability=False), three, {}),
        ("svc_chances", SVC(probability=True, random_state=0), two, {}),
        ("svc_poly", SVC(kernel="poly", degree=2), two, {}),
        ("svr", SVR(kernel="rbf"), real, None),
        ("one_class_svm", OneClassSVM(kernel="sigmoid"), (real[0], None), None),
        ("naive_bayes", GaussianNB(), three, {}),
        ("nearest_neighbours", KNeighborsClassifier(3), (three[0][:40], three[1][:40]), {}),
        ("perceptron", MLPClassifier((8,), max_iter=200, random_state=0), three, {}),
        ("scaled", make_pipeline(StandardScaler(), Normalizer(), Binarizer(), LogisticRegression()), two, {}),
        ("scaled_tree", make_pipeline(StandardScaler(), DecisionTreeClassifier(max_depth=5, random_state=0)), three, {}),
    ]
    for name, model, (x, y), options in cases:
        model.fit(x, y)
        options = None if options is None else {id(model): {"zipmap": False, **options}}
        kind = [("features", FloatTensorType([None, FEATURES]))]
        opsets = {"": 17, "ai.onnx.ml": 3}
        write(out, name, convert_sklearn(model, initial_types=kind, options=options, target_opset=opsets), {"features": x[:SHOWN]})


def missing_values(out):
    x, y = data(2)
    x = x.copy()
    x[::7, 1] = np.nan
    kind = [("features", FloatTensorType([None, FEATURES]))]
    opsets = {"": 17, "ai.onnx.ml": 3}
    model = make_pipeline(SimpleImputer(), DecisionTreeClassifier(max_depth=3)).fit(x, y)
    options = {id(model): {"zipmap": False}}
    write(out, "imputed", convert_sklearn(model, initial_types=kind, options=options, target_opset=opsets), {"features": x[:SHOWN]})
    kind = [("features", ToolsFloat([None, FEATURES]))]
    model = xgboost.XGBClassifier(n_estimators=6, max_depth=3, random_state=0).fit(x, y)
    write(out, "xgboost_missing", convert_xgboost(model, initial_types=kind, target_opset=15), {"features": x[:SHOWN]})
    model = lightgbm.LGBMRegressor(n_estimators=6, max_depth=3, random_state=0, verbose=-1).fit(x, data(0)[1])
    write(out, "lightgbm_missing", convert_lightgbm(model, initial_types=kind, target_opset=15), {"features": x[:SHOWN]})


def mixed_columns(out):
    """Numbers, integers and texts through a column transformer."""
    random = np.random.default_rng(5)
    number = random.normal(size=(ROWS, 2)).astype(np.float32)
    whole = random.integers(0, 4, size=(ROWS, 1))
    text = np.array(["red", "green", "blue"])[random.integers(0, 3, size=(ROWS, 1))]
    y = (number[:, 0] + (text[:, 0] == "red") + whole[:, 0] > 1.5).astype(int)
    import pandas

    frame = pandas.DataFrame({"a": number[:, 0], "b": number[:, 1], "count": whole[:, 0], "colour": text[:, 0]})
    columns = ColumnTransformer([
        ("number", StandardScaler(), ["a", "b"]),
        ("hot", OneHotEncoder(handle_unknown="ignore"), ["count", "colour"]),
        ("order", OrdinalEncoder(), ["colour"]),
    ])
    model = make_pipeline(columns, RandomForestClassifier(4, max_depth=3, random_state=0)).fit(frame, y)
    kinds = [
        ("a", FloatTensorType([None, 1])),
        ("b", FloatTensorType([None, 1])),
        ("count", Int64TensorType([None, 1])),
        ("colour", StringTensorType([None, 1])),
    ]
    feeds = {"a": number[:SHOWN, :1], "b": number[:SHOWN, 1:], "count": whole[:SHOWN], "colour": text[:SHOWN].astype(object)}
    opsets = {"": 17, "ai.onnx.ml": 3}
    write(out, "mixed_columns", convert_sklearn(model, initial_types=kinds, options={id(model): {"zipmap": False}}, target_opset=opsets), feeds)


def boosted(out):
    kind = [("features", ToolsFloat([None, FEATURES]))]
    for word, classes in (("two", 2), ("three", 3)):
        x, y = data(classes)
        model = xgboost.XGBClassifier(n_estimators=6, max_depth=3, random_state=0).fit(x, y)
        write(out, f"xgboost_{word}", convert_xgboost(model, initial_types=kind, target_opset=15), {"features": x[:SHOWN]})
        model = lightgbm.LGBMClassifier(n_estimators=6, max_depth=3, random_state=0, verbose=-1).fit(x, y)
        write(out, f"lightgbm_{word}", convert_lightgbm(model, initial_types=kind, target_opset=15, zipmap=word == "three"), {"features": x[:SHOWN]})
    x, y = data(0)
    model = xgboost.XGBRegressor(n_estimators=6, max_depth=3, random_state=0).fit(x, y)
    write(out, "xgboost_regressor", convert_xgboost(model, initial_types=kind, target_opset=15), {"features": x[:SHOWN]})
    model = lightgbm.LGBMRegressor(n_estimators=6, max_depth=3, random_state=0, verbose=-1).fit(x, y)
    write(out, "lightgbm_regressor", convert_lightgbm(model, initial_types=kind, target_opset=15), {"features": x[:SHOWN]})


def main(out):
    if os.path.isdir(out):
        shutil.rmtree(out)
    for part in (sklearn_cases, missing_values, mixed_columns, boosted):
        part(out)
    print(f"{len(os.listdir(out))} cases in {out}")


if __name__ == "__main__":
    main(sys.argv[1])
