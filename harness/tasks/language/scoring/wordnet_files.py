"""Reads WordNet's database files, and proves that synonyms match before anything is scored."""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Callable
from typing import Any

Bytes = Callable[[str], bytes]

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

# What METEOR reads, in the order of the digest.
FILES = tuple(name for part in sorted(_PARTS) for name in (f"data.{part}", f"index.{part}", f"{part}.exc"))

# A noun, a verb, an adjective, an adverb: each file is read. NLTK looks synonyms up by stem, so each is its own stem.
_SYNONYMS = (("doctor", "physician"), ("begin", "start"), ("quick", "fast"), ("almost", "nigh"))


def read(read_bytes: Bytes) -> tuple[Any, str, str]:
    """NLTK's reader, the version that the data's own header says, and the digest of the files.

    ``read_bytes`` gives the content of a file by its name. The digest is a SHA-256 over what METEOR reads, with Unix
    line ends, so that it is the same for the same data. Raises ValueError where the data has no version or a pair of
    known synonyms does not match, and whatever damaged files lead to.
    """
    from nltk.corpus.reader.wordnet import WordNetCorpusReader
    from nltk.data import PathPointer, SeekableUnicodeStreamReader
    from nltk.translate.meteor_score import single_meteor_score

    class Nowhere(PathPointer):  # type: ignore[misc] # NLTK comes without types
        """NLTK's reader wants a pointer to a folder; the one below never follows it."""

        open = file_size = join = None

    class Reader(WordNetCorpusReader):  # type: ignore[misc] # NLTK comes without types
        def open(self, file: str) -> Any:
            # Debian leaves this file out; the reader insists on it.
            if file == "lexnames":
                names = enumerate(_LEXICOGRAPHERS.split())
                return io.StringIO("".join(f"{i:02d}\t{name}\t{_PARTS[name.split('.')[0]]}\n" for i, name in names))
            return SeekableUnicodeStreamReader(io.BytesIO(_unix(read_bytes(file))), "utf-8")

        def map_wn(self, version: str = "wordnet") -> None:
            """Other languages' numbers are not mapped: METEOR needs none, and the map needs Debian's missing file."""

    # NLTK warns that other languages are not available, which is meant, and of gaps in the data, which are found below.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reader = Reader(Nowhere(), None)
        version = reader.get_version()
        unmatched = [pair for pair in _SYNONYMS if not single_meteor_score(pair[:1], pair[1:], wordnet=reader) > 0]
    if version is None:
        raise ValueError("data.adj does not say which WordNet it is")
    if unmatched:
        raise ValueError(f"{' and '.join(unmatched[0])} do not match as synonyms")
    return reader, version, _digest(read_bytes)


def _unix(content: bytes) -> bytes:
    """The content without Windows line ends: the offsets in WordNet's index count bytes, a line end as one."""
    return content.replace(b"\r\n", b"\n")


def _digest(read_bytes: Bytes) -> str:
    whole = hashlib.sha256()
    for name in FILES:
        whole.update(f"{name} {hashlib.sha256(_unix(read_bytes(name))).hexdigest()}\n".encode())
    return whole.hexdigest()
