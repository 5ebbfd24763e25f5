"""Detectors whose right answers are known, made by hand: they find red, green and blue squares of three sizes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from tests.support.model_files import save

SIDE, STRIDE, RING = 96, 4, 4
SIZES = (20, 28, 36)
"""Sides of the squares that it looks for, in pixels of its input."""
COLOURS = ("red", "green", "blue")


def squares_model(file: Path, *, masks: bool = False) -> Path:
    """Layout "yolov8": (n, 4 + 3, 1728). How much of a colour is in a window and how little around it is the score.

    With ``masks`` three columns more, and prototypes (n, 3, 24, 24): how much of each colour is there.
    """
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
        helper.make_node("Concat", ["placed", *["scores"] * (2 if masks else 1)], ["output0"], axis=1, name="head"),
    ]
    outputs: dict[str, list[int | str]] = {"output0": ["n", 10 if masks else 7, weights["boxes"].shape[2]]}
    if masks:
        cells = np.broadcast_to(own[:, :, None, None] / STRIDE**2, (3, 3, STRIDE, STRIDE))
        weights |= {"cells": np.ascontiguousarray(cells, np.float32), "least": np.full(3, -0.3, np.float32)}
        nodes.append(helper.make_node("Conv", ["images", "cells", "least"], ["output1"], strides=[STRIDE] * 2))
        outputs["output1"] = ["n", 3, SIDE // STRIDE, SIDE // STRIDE]
    return save(file, nodes, {"images": ["n", 3, SIDE, SIDE]}, outputs, weights)


def found_model(file: Path) -> Path:
    """The same for one picture at a time, with a row for each window that holds a square, as torchvision's answer.

    ``corners`` (found, 4), ``sure``, ``labels`` from 1 and ``masks`` (found, 1, 96, 96) of the whole picture.
    """
    whole = onnx.load(squares_model(file, masks=True))
    graph = whole.graph
    constants = {"axis0": [0], "axis1": [1], "half": np.float32(0.5), "one": [1], "by4": np.float32([1, 1, 4, 4])}
    graph.initializer.extend(numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items())
    corners = np.float32([[1, 0, 1, 0], [0, 1, 0, 1], [-0.5, 0, 0.5, 0], [0, -0.5, 0, 0.5]])
    graph.initializer.append(numpy_helper.from_array(corners, "to_corners"))
    graph.node.extend(
        [
            helper.make_node("Squeeze", ["best", "axis0"], ["best1"]),
            helper.make_node("Squeeze", ["best1", "axis0"], ["best0"]),
            helper.make_node("Greater", ["best0", "half"], ["seen"]),
            helper.make_node("NonZero", ["seen"], ["where"]),
            helper.make_node("Squeeze", ["where", "axis0"], ["places"]),
            helper.make_node("Gather", ["best0", "places"], ["sure"], axis=0),
            helper.make_node("Squeeze", ["placed", "axis0"], ["placed0"]),
            helper.make_node("Transpose", ["placed0"], ["middles"], perm=[1, 0]),
            helper.make_node("Gather", ["middles", "places"], ["windows"], axis=0),
            helper.make_node("MatMul", ["windows", "to_corners"], ["corners"]),
            helper.make_node("ArgMax", ["scores"], ["kinds"], axis=1, keepdims=0),
            helper.make_node("Squeeze", ["kinds", "axis0"], ["kinds0"]),
            helper.make_node("Gather", ["kinds0", "places"], ["kind"], axis=0),
            helper.make_node("Add", ["kind", "one"], ["labels"]),
            helper.make_node("Squeeze", ["output1", "axis0"], ["maps"]),
            helper.make_node("Gather", ["maps", "kind"], ["map"], axis=0),
            helper.make_node("Unsqueeze", ["map", "axis1"], ["map1"]),
            helper.make_node("Resize", ["map1", "", "by4"], ["large"], mode="linear"),
            helper.make_node("Add", ["large", "half"], ["masks"]),
        ]
    )
    del graph.output[:]
    for name, dtype, shape in (
        ("corners", TensorProto.FLOAT, ["found", 4]),
        ("sure", TensorProto.FLOAT, ["found"]),
        ("labels", TensorProto.INT64, ["found"]),
        ("masks", TensorProto.FLOAT, ["found", 1, SIDE, SIDE]),
    ):
        graph.output.append(helper.make_tensor_value_info(name, dtype, shape))
    graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    onnx.checker.check_model(whole)
    onnx.save(whole, str(file))
    return file


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
            polygon = [x, y, x + size, y, x + size, y + size, x, y + size]
            drawn = {"bbox": [x, y, size, size], "segmentation": [polygon]}
            annotations.append({"id": len(annotations), "image_id": number, "category_id": kind + 1, **drawn})
        picture = picture * (0.8 if night else 1)
        name, light = f"{number:04}.png", "night" if night else "day"
        Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(folder / name)
        images.append({"id": number, "file_name": name, "width": 192, "height": 144, "light": light})
    categories = [{"id": number, "name": name} for number, name in enumerate(COLOURS, 1)]
    tables = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "instances.json").write_text(json.dumps(tables), encoding="utf-8")
    return folder / "instances.json"


def pixels_model(file: Path, *, varies: bool = False) -> Path:
    """Maps (n, 4, 24, 24) of the background, of red, green and blue, from the mean of 4 x 4 pixels; or of any size."""
    own = np.concatenate([np.zeros((1, 3)), 1.5 * np.eye(3) - 0.5])
    cells = np.broadcast_to(own[:, :, None, None] / STRIDE**2, (4, 3, STRIDE, STRIDE))
    weights = {"cells": np.ascontiguousarray(cells, np.float32), "least": np.float32([0.3, 0, 0, 0])}
    node = helper.make_node("Conv", ["images", "cells", "least"], ["maps"], strides=[STRIDE] * 2, name="conv")
    cut = SIDE // STRIDE
    whole: list[int | str] = ["h", "w"] if varies else [SIDE, SIDE]
    small: list[int | str] = ["hs", "ws"] if varies else [cut, cut]
    return save(file, [node], {"images": ["n", 3, *whole]}, {"maps": ["n", 4, *small]}, weights)
