"""What a fixture of a speech recognizer provides: a Hugging Face folder of the Whisper kind, recordings with texts."""

from __future__ import annotations

import hashlib
import json
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.errors import KpiError, Unavailable
from harness.core.json_lines import line, read_lines
from harness.measure.media.audio import read_audio
from harness.tasks.speech.normalization import words
from harness.workloads.base import Workload
from harness.workloads.checkpoint import remembered_digest
from harness.workloads.huggingface import folder_digest, named_folder

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

TRANSCRIPTS = "transcripts.jsonl"
UTTERANCES = "utterances.jsonl"
SOUND = "sound.f32"
PREPROCESSOR = "preprocessor_config.json"
_EXAMPLE = '{"audio": "one.flac", "text": "turn on the light"}'
_WINDOW_S = 30.0
"""What Whisper hears at once where the model does not say."""


@dataclass(frozen=True, slots=True)
class Clip:
    """A recording and what is said in it; ``where`` is the line that names it, for messages.

    ``cluster`` names the speaker or the session that it comes from; empty where it is independent.
    """

    audio: Path
    text: str
    where: str
    cluster: str = ""


@dataclass(frozen=True, slots=True)
class Utterance:
    """A request: samples at 16 kHz from -1 to 1, and the text that it is held against."""

    id: str
    samples: npt.NDArray[np.float32]
    reference: str
    cluster: str


class Speech(Workload):
    """A model of the Whisper architecture, and recordings to recognize.

    The table's ``model`` (a folder, or the name of a repository on the hub whose files are here) replaces the
    fixture's own; its ``data`` replaces the recordings: a folder with ``transcripts.jsonl`` next to them, or such a
    file of JSON lines with ``audio`` and ``text``.
    """

    @abstractmethod
    def own_folder(self) -> Path:
        """The folder of the model that the fixture ships."""

    @abstractmethod
    def own_clips(self) -> Sequence[Clip]:
        """The evaluation recordings that the fixture ships."""

    def folder(self) -> Path:
        """The model's folder: config, safetensors, tokenizer. Raises Unavailable when the weights are not here."""
        return named_folder(self.settings) or self.own_folder()

    def clips(self) -> Sequence[Clip]:
        """The evaluation recordings, the user's own where there are any."""
        return self.own_clips() if self.settings.data is None else read_clips(self.settings.data)

    @property
    def window_s(self) -> float:
        """Seconds of sound that the model hears at once."""
        return window_s(self.folder())

    def fingerprint(self) -> str:
        parts = [folder_digest(self.folder(), self.settings.cache), _digest(self.clips(), self.settings.cache)]
        return json.dumps(parts)

    def write_samples(self, folder: Path, count: int) -> None:
        """Writes all evaluation recordings, decoded, one behind the other; next to them what is said in each."""
        del count
        import numpy as np

        longest, start = self.window_s, 0
        with (folder / SOUND).open("wb") as sound, (folder / UTTERANCES).open("w", encoding="utf-8") as lines:
            for number, clip in enumerate(self.clips(), 1):
                samples = _read(clip, longest)
                sound.write(samples.astype(np.dtype("<f4")).tobytes())
                name = f"{number}-{clip.audio.name}"
                place = {"start": start, "count": len(samples)}
                said = {"id": name, "text": clip.text, "cluster": clip.cluster or name, **place}
                lines.write(line(said))
                start += len(samples)


def window_s(folder: Path) -> float:
    """Seconds that the model of a folder hears at once, from the settings of its features."""
    try:
        return float(feature_settings(folder).get("chunk_length", _WINDOW_S))
    except (ValueError, TypeError):
        raise KpiError(f"chunk_length in {folder.name} is not a number", "fetch the model again") from None


def feature_settings(folder: Path) -> dict[str, Any]:
    """How sound becomes features: ``preprocessor_config.json``, else the part of ``processor_config.json``.

    KpiError where neither is there or it can't be read.
    """
    for name, part in ((PREPROCESSOR, None), ("processor_config.json", "feature_extractor")):
        try:
            found = json.loads((folder / name).read_text(encoding="utf-8"))
            settings = found if part is None else found.get(part)
        except FileNotFoundError:
            continue
        except (OSError, ValueError, AttributeError):
            raise KpiError(f"{name} in {folder.name} can't be read", "fetch the model again") from None
        if isinstance(settings, dict):
            return settings
    raise KpiError(
        f"{folder.name} holds no {PREPROCESSOR}, nor processor_config.json with feature_extractor",
        "name the folder of a model of the Whisper kind, or copy the file from the model that it was fine-tuned from",
    )


def spelling(folder: Path) -> dict[str, str]:
    """Words by how they are spelled otherwise, from the model's ``normalizer.json``; empty where it has none."""
    file = folder / "normalizer.json"
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):
        raise KpiError(f"{file.name} in {folder.name} can't be read", "fetch the model again") from None
    return {str(word): str(other) for word, other in found.items()} if isinstance(found, dict) else {}


def read_clips(path: Path) -> list[Clip]:
    """Reads a folder with ``transcripts.jsonl``, or such a file; audio paths are relative to its folder.

    KpiError names the first line that is wrong; Unavailable when the file is not there.
    """
    file = path / TRANSCRIPTS if path.is_dir() else path
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise Unavailable(f"the transcripts {file} can't be read: {error.strerror}", "check `data`") from None
    except UnicodeDecodeError as error:
        raise KpiError(f"{file.name} is not UTF-8: byte {error.start}", "save it as UTF-8") from None
    lines = [(f"{file.name} line {n}", said) for n, said in enumerate(text.split("\n"), 1) if said.strip()]
    found = [_clip(said, where, file.parent) for where, said in lines]
    if not found:
        raise KpiError(f"{file.name} holds no transcript", f"write lines such as {_EXAMPLE}")
    return found


def read_utterances(folder: Path) -> list[Utterance]:
    """What ``write_samples`` wrote; the samples stay on the disk until they are asked for."""
    import numpy as np

    sound = np.memmap(folder / SOUND, np.dtype("<f4"), "r")
    return [
        Utterance(
            said["id"],
            np.asarray(sound[said["start"] : said["start"] + said["count"]]),
            said["text"],
            said["cluster"],
        )
        for said in read_lines(folder / UTTERANCES)
    ]


def _clip(text: str, where: str, folder: Path) -> Clip:
    try:
        data: Any = json.loads(text)
    except (ValueError, RecursionError):
        raise KpiError(f"{where} is not JSON", f"write {_EXAMPLE}") from None
    for key in ("audio", "text"):
        if not isinstance(data, dict) or not isinstance(data.get(key), str):
            raise KpiError(f'{where} lacks "{key}"', f"write {_EXAMPLE}")
    if not data["audio"].strip() or "\0" in data["audio"]:
        raise KpiError(f'{where}: "audio" is not a path', f"write {_EXAMPLE}")
    if not words(data["text"]):
        raise KpiError(f'{where}: "text" holds no word', "remove the line, or say what is heard")
    return Clip(folder / data["audio"], data["text"], where, str(data.get("cluster", "")))


def _read(clip: Clip, longest_s: float) -> npt.NDArray[np.float32]:
    try:
        return read_audio(clip.audio, longest_s)
    except Unavailable as error:
        raise Unavailable(f"{clip.where}: {error.message}", error.remedy) from error
    except KpiError as error:
        raise KpiError(f"{clip.where}: {error.message}", error.remedy) from error


def _digest(clips: Iterable[Clip], cache: Path) -> str:
    digest = hashlib.sha256()
    for clip in clips:
        # A recording that is not there is told when it is read, with the line that names it.
        sound = remembered_digest(clip.audio, cache) if clip.audio.is_file() else ""
        digest.update(json.dumps([clip.audio.name, clip.text, sound, clip.cluster]).encode())
    return digest.hexdigest()
