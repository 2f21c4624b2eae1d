"""Facts about the shipped demo model that hold without any package: run with plain python3."""
import copy
import json
import unittest

import check
import release
from corpus import build, concepts, dialogues, markets, sensors, sums

SAY = {"concept": concepts.answer, "market": markets.answer, "sensor": sensors.answer, "dialogue": dialogues.answer,
       "arithmetic": sums.answer}
SAMPLE_OF_EACH_STAGE = 7_000


def manifest():
    return json.loads((release.HERE / "MANIFEST.json").read_text())


def heldout():
    return check.read(release.HERE / "heldout.jsonl")


SWAPS = {"rose": "fell", "fell": "rose", "ok": "warning", "warning": "alarm", "alarm": "ok", "sum": "difference",
         "difference": "sum"}


def another(name, value):
    """A plausible false value of a slot."""
    if isinstance(value, int):
        return value + 1
    if name == "day":
        return "Monday" if value != "Monday" else "Sunday"
    if name == "attribute":
        return "city" if value != "city" else "node"
    return SWAPS.get(value, "other")


def planted_errors(kind, slots):
    """(slot, answer with this slot wrong and all others right), each slot once."""
    for name, value in slots.items():
        if name == "statements":
            for at in range(len(value)):
                false = copy.deepcopy(slots)
                false["statements"][at] = concepts.CONCEPTS["faucet"]["what"]
                yield f"statement {at}", SAY[kind](false)
        elif name == "result" and slots["task"] == "comparison":
            yield name, f"{min(slots['a'], slots['b'])} is larger than {value}."
        elif name == "result":
            yield name, SAY[kind](slots).replace(f"so {value}.", f"so {value + 1}.")
        elif value != "comparison":
            yield name, SAY[kind]({**slots, name: another(name, value)})


class Manifest(unittest.TestCase):
    def test_every_artefact_has_the_hash_of_the_manifest(self):
        for name, entry in manifest()["artefacts"].items():
            with self.subTest(name):
                self.assertEqual(release.sha256(release.HERE / name), entry["sha256"])

    def test_no_artefact_is_missing_from_the_manifest(self):
        self.assertEqual(sorted(manifest()["artefacts"]), sorted(release.ARTEFACTS))

    def test_the_artefacts_stay_below_ten_megabytes(self):
        self.assertLess(sum(entry["bytes"] for entry in manifest()["artefacts"].values()), 10_000_000)


class Corpus(unittest.TestCase):
    def test_the_generator_gives_the_corpus_of_the_manifest(self):
        for stage in manifest()["corpus_samples"]:
            sample = (build.training_dialogue(index) for index in range(stage["first"], stage["first"] + stage["dialogues"]))
            self.assertEqual(build.digest_of(sample), stage["sha256"])

    def test_the_held_out_questions_and_the_calibration_are_those_of_the_generator(self):
        for name, rows in [("heldout.jsonl", release.heldout_rows()), ("calibration.jsonl", release.calibration_rows())]:
            with self.subTest(name):
                self.assertEqual((release.HERE / name).read_text(encoding="utf-8"), release.lines(rows))

    def test_no_held_out_question_is_asked_in_training(self):
        asked = {release.question_text(row["messages"]) for row in heldout()}
        for index in (first + at for first in build.STAGE_STARTS.values() for at in range(SAMPLE_OF_EACH_STAGE)):
            repeated = asked & release.training_questions(build.training_dialogue(index))
            self.assertFalse(repeated, f"dialogue {index}")

    def test_a_question_from_training_is_recognised_in_other_spelling(self):
        dialogue = build.training_dialogue(0)
        asked = [{"role": role, "content": content.upper()} for role, content in dialogue[:-1]]
        self.assertIn(release.question_text(asked), release.training_questions(dialogue))

    def test_there_are_200_questions_and_40_of_each_kind(self):
        kinds = [row["kind"] for row in heldout()]
        self.assertEqual({kind: kinds.count(kind) for kind in build.KINDS}, {kind: 40 for kind in build.KINDS})


class Checker(unittest.TestCase):
    def test_the_right_answer_passes(self):
        for row in heldout():
            self.assertIsNone(check.check(row["kind"], row["slots"], SAY[row["kind"]](row["slots"])), row["id"])

    def test_one_wrong_slot_is_refused(self):
        planted = {kind: set() for kind in build.KINDS}
        for row in heldout():
            kind = row["kind"]
            for name, said in planted_errors(kind, row["slots"]):
                self.assertIsNotNone(check.check(kind, row["slots"], said), f"{row['id']} {name}: {said}")
                planted[kind].add(name)
        self.assertEqual({kind: len(names) for kind, names in planted.items()},
                         {"concept": 2, "market": 6, "sensor": 7, "dialogue": 2, "arithmetic": 4})

    def test_a_right_result_from_wrong_working_is_refused(self):
        slots = {"task": "sum", "a": 47, "b": 38, "result": 85}
        self.assertIsNone(check.check("arithmetic", slots, "47 + 38: 7+8=15, 4+3+1=8, so 85."))
        self.assertIsNotNone(check.check("arithmetic", slots, "47 + 38: 7+8=14, 4+3+1=8, so 85."))
        self.assertIsNotNone(check.check("arithmetic", slots, "47 + 38: 7+8=15, 4+3+0=8, so 85."))
        self.assertIsNotNone(check.check("arithmetic", slots, "85."))

    def test_a_right_answer_with_a_second_one_is_refused(self):
        for row in heldout():
            said = SAY[row["kind"]](row["slots"])
            self.assertIsNotNone(check.check(row["kind"], row["slots"], f"{said} {said}"), row["id"])

    def test_an_empty_answer_is_refused(self):
        for row in heldout():
            self.assertIsNotNone(check.check(row["kind"], row["slots"], ""), row["id"])


if __name__ == "__main__":
    unittest.main()
