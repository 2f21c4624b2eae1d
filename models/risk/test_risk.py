"""Facts about the published risk model that need neither training nor onnx: `python -m unittest test_risk` in this folder."""

import hashlib
import json
import pathlib
import unittest

import numpy as np

import data
import train

HERE = pathlib.Path(__file__).parent
MANIFEST = json.loads((HERE / "MANIFEST.json").read_text())


class Published(unittest.TestCase):
    def test_every_published_file_has_the_hash_and_size_of_the_manifest(self):
        for name, entry in MANIFEST["files"].items():
            blob = (HERE / name).read_bytes()
            self.assertEqual((len(blob), hashlib.sha256(blob).hexdigest()), (entry["bytes"], entry["sha256"]), name)

    def test_the_first_rows_of_the_data_come_out_the_same(self):
        sample = MANIFEST["sample"]
        arrays = data.split(sample["split"], paths=sample["paths"])
        self.assertEqual(arrays["statistics"][0].tolist(), sample["first_statistics"])
        self.assertEqual(data.digest(arrays), sample["sha256"])

    def test_the_whole_data_comes_out_the_same(self):
        for name, entry in MANIFEST["data"].items():
            arrays = data.split(name)
            self.assertEqual((len(arrays["loss"]), data.digest(arrays)), (entry["rows"], entry["sha256"]), name)

    def test_calibration_and_example_have_the_shapes_that_the_model_takes(self):
        for name in ("calibration.json", "example.json"):
            tensors = json.loads((HERE / name).read_text())
            self.assertEqual(list(tensors), ["returns", "statistics"])
            rows = len(tensors["returns"])
            self.assertEqual(np.shape(tensors["returns"]), (rows, data.RETURNS))
            self.assertEqual(np.shape(tensors["statistics"]), (rows, len(data.STATISTICS)))

    def test_the_expected_outputs_are_probabilities_and_positive_volatilities(self):
        expected = json.loads((HERE / "expected.json").read_text())
        outputs = {name: np.array(value) for name, value in expected["outputs"].items()}
        self.assertEqual({name: value.shape[1] for name, value in outputs.items()}, train.HEADS)
        self.assertTrue((outputs["volatility"] > 0).all())
        self.assertTrue(((outputs["risk_score"] > 0) & (outputs["risk_score"] < 1)).all())
        self.assertLess(np.abs(outputs["regime"].sum(axis=1) - 1.0).max(), 1e-5)

    def test_the_expected_outputs_rank_the_risk_with_the_recent_volatility(self):
        expected = json.loads((HERE / "expected.json").read_text())
        recent = np.array(expected["inputs"]["statistics"])[:, 0]
        forecast = np.array(expected["outputs"]["volatility"])[:, 0]
        self.assertGreater(np.corrcoef(recent, forecast)[0, 1], 0.8)


if __name__ == "__main__":
    unittest.main()
