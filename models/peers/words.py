"""Public vocabularies with their cases, and public chat templates: python words.py OUT PINS

Both lie in the source package of llama-cpp-python, of the version that the file PINS names: `OUT/vocabularies` gets the GGUF files
with their `.inp` and `.out`, `OUT/templates` the templates, and `OUT/reference.json` what Jinja in Python makes of those.
"""

import os
import pathlib
import re
import subprocess
import sys
import tarfile
import tempfile

PACKAGE = "llama-cpp-python"
REFERENCE = pathlib.Path(__file__).parents[2] / "crates/engine/tests/templates/reference.py"
# What of the package goes where: the end of a path's folder, the endings of its files, the folder of ours.
PARTS = [("vendor/llama.cpp/models", (".gguf", ".inp", ".out"), "vocabularies"), ("vendor/llama.cpp/models/templates", (".jinja",), "templates")]


def source(pins, folder):
    """The source package, as the registry has it."""
    version = re.search(rf"^{PACKAGE}==(\S+)", pathlib.Path(pins).read_text(), re.M).group(1)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*command, "--no-binary", PACKAGE, "--dest", folder, f"{PACKAGE}=={version}"], check=True)
    return next(pathlib.Path(folder).glob("*.tar.gz"))


def extract(archive, out):
    with tarfile.open(archive) as files:
        for member in files:
            folder, name = os.path.split(member.name)
            for ending, kinds, part in PARTS:
                if member.isfile() and folder.endswith(ending) and name.endswith(kinds):
                    target = out / part / name
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(files.extractfile(member).read())


if __name__ == "__main__":
    out, pins = pathlib.Path(sys.argv[1]), sys.argv[2]
    with tempfile.TemporaryDirectory() as folder:
        extract(source(pins, folder), out)
    with open(out / "reference.json", "wb") as file:
        subprocess.run([sys.executable, REFERENCE, out / "templates"], stdout=file, check=True)
