"""A detector whose right answers are known, made by hand: it finds red, green and blue squares of three sizes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from onnx import helper
from PIL import Image

from tests.support.model_files import save

SIDE, STRIDE, RING = 96, 4, 4
SIZES = (20, 28, 36)
"""Sides of the squares that it looks for, in pixels of its input."""
COLOURS = ("red", "green", "blue")


def squares_model(file: Path) -> Path:
    """Layout "yolov8": (n, 4 + 3, 1728). How much of a colour is in a window and how little around it is the score."""
    nodes, weights, boxes = [], dict[str, Any](), []
    own = 1.5 * np.eye(3) - 0.5
    for size in SIZES:
        whole = size + 2 * RING
        window = np.full((whole, whole), -1 / (whole**2 - size**2))
        window[RING:-RING, RING:-RING] = 1 / size**2
        weights[f"w{size}"] = (14 * own[:, :, None, None] * window).astype(np.float32)
        weights[f"b{size}"] = np.full(3, -6, np.float32)
        edge = whole // 2 - STRIDE // 2
        conv = {"strides": [STRIDE] * 2, "pads": [edge] * 4, "name": f"conv{size}"}
        nodes.append(helper.make_node("Conv", ["images", f"w{size}", f"b{size}"], [f"map{size}"], **conv))
        nodes.append(helper.make_node("Reshape", [f"map{size}", "rows"], [f"row{size}"], name=f"row{size}"))
        y, x = np.mgrid[: SIDE // STRIDE, : SIDE // STRIDE].reshape(2, -1) * STRIDE + STRIDE // 2
        boxes.append(np.stack([x, y, np.full_like(x, size), np.full_like(x, size)]))
    weights |= {"rows": np.array([0, 3, -1]), "none": np.zeros(1, np.float32)}
    weights["boxes"] = np.concatenate(boxes, axis=1)[None].astype(np.float32)
    nodes += [
        helper.make_node("Concat", [f"row{size}" for size in SIZES], ["logits"], axis=2, name="logits"),
        helper.make_node("Sigmoid", ["logits"], ["scores"], name="scores"),
        # As many boxes as pictures.
        helper.make_node("ReduceMax", ["scores"], ["best"], axes=[1], keepdims=1, name="best"),
        helper.make_node("Mul", ["best", "none"], ["nothing"], name="nothing"),
        helper.make_node("Add", ["boxes", "nothing"], ["placed"], name="placed"),
        helper.make_node("Concat", ["placed", "scores"], ["output0"], axis=1, name="head"),
    ]
    count = weights["boxes"].shape[2]
    return save(file, nodes, {"images": ["n", 3, SIDE, SIDE]}, {"output0": ["n", 7, count]}, weights)


def squares_data(folder: Path, count: int, seed: int = 0) -> Path:
    """Pictures of twice the size, wider than high, with squares on grey; ``light`` says whether it is day or night."""
    chance = np.random.default_rng(seed)
    images, annotations = list[dict[str, Any]](), list[dict[str, Any]]()
    folder.mkdir(exist_ok=True)
    for number in range(count):
        night = number % 3 == 0
        picture = chance.normal(110, 12, (144, 192, 3))
        taken: list[tuple[int, int, int]] = []
        for _ in range(int(chance.integers(0, 5))):
            size, kind = 2 * int(chance.choice(SIZES)), int(chance.integers(0, 3))
            x, y = (int(chance.integers(0, side - size)) for side in (192, 144))
            if any(x < a + s + 20 and a < x + size + 20 and y < b + s + 20 and b < y + size + 20 for a, b, s in taken):
                continue
            taken.append((x, y, size))
            picture[y : y + size, x : x + size] = np.where(np.arange(3) == kind, 200, 40) + chance.normal(0, 12)
            annotations.append(
                {"id": len(annotations), "image_id": number, "category_id": kind + 1, "bbox": [x, y, size, size]}
            )
        picture = picture * (0.8 if night else 1)
        name, light = f"{number:04}.png", "night" if night else "day"
        Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(folder / name)
        images.append({"id": number, "file_name": name, "width": 192, "height": 144, "light": light})
    categories = [{"id": number, "name": name} for number, name in enumerate(COLOURS, 1)]
    tables = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "instances.json").write_text(json.dumps(tables), encoding="utf-8")
    return folder / "instances.json"
