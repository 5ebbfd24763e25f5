"""Texts to score, and the WordNet that was found here laid out in a folder of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from harness.tasks.language.scoring import wordnet
from harness.tasks.language.scoring.wordnet_files import FILES

# Output and reference, one pair for each way to match or not to match.
PAIRS = [
    ("The physician began to speak.", "The doctor started to speak."),  # two synonyms, one of them only by its stem
    ("The doctor started to speak.", "The doctor started to speak."),
    ("A fast answer is better.", "A quick answer is better."),
    ("He purchases two cars.", "He buys two automobiles."),
    ("Running dogs bark loudly", "The running dog barked loudly."),  # stems
    ("It cost 1,000.50 euros, didn't it?", "It cost 1,000.50 euro, didn\u2019t it?"),
    ("speak to started doctor The", "The doctor started to speak"),  # the same words, in many chunks
    ("the the the the", "the cat sat on the mat"),
    ("Ein völlig anderer Satz", "nothing in common here"),
    ("Le médecin arrive à l'école.", "Le docteur arrive à l'école !"),
]
OUTPUTS, REFERENCES = [pair[0] for pair in PAIRS], [pair[1] for pair in PAIRS]


def lay_out(data: Path) -> Path:
    """The WordNet that was found, laid out as NLTK's downloader does: a folder that a plain script can use."""
    found = wordnet.load()
    folder = data / "corpora" / "wordnet"
    folder.mkdir(parents=True)
    for name in (*FILES, "lexnames"):
        (folder / name).write_bytes(found.reader.open(name).read().encode())
    (folder / "index.sense").touch()  # for other languages only
    return data


def run(program: str, given: str = "", **environment: str) -> str:
    """What a process of its own prints: nothing that this one has loaded or found is there."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("KPI_WORDNET", "NLTK"))}
    root = str(Path(wordnet.__file__).parents[4])
    command = [sys.executable, "-c", program]
    environment = kept | {"PYTHONPATH": root, "PYTHONIOENCODING": "utf-8"} | environment
    done = subprocess.run(command, input=given, env=environment, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
