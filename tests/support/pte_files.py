"""The recorded programs of ExecuTorch, and how they were written: in its environment, this file alone is called."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

RECORDED = Path(__file__).resolve().parents[1] / "recorded"
FLOAT, INT8 = RECORDED / "small.pte", RECORDED / "small-int8.pte"
"""One picture of 16 x 16, two convolutions and a linear layer for XNNPACK, then a sum that it does not know."""


def unnamed(file: Path) -> Path:
    """The file as another exporter writes it: the methods that say the names are called otherwise."""
    content = FLOAT.read_bytes()
    assert content.count(b"input_names") == content.count(b"output_names") == 1
    file.write_bytes(content.replace(b"input_names", b"input_other").replace(b"output_names", b"output_other"))
    return file


def write() -> None:
    """Exports both; needs torch and ExecuTorch."""
    import torch

    from tests.support.small_models import Stripes, apply

    class Summed(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.layers = torch.nn.Sequential(
                torch.nn.Conv2d(1, 4, 3, stride=2),
                torch.nn.ReLU(),
                torch.nn.Conv2d(4, 4, 3, groups=4),
                torch.nn.Flatten(),
                torch.nn.Linear(100, 4),
            )

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return self.layers(image).cumsum(1)

    with tempfile.TemporaryDirectory() as folder:
        for name, file in (("executorch", FLOAT), ("executorch-int8", INT8)):
            made, _ = apply(name, Path(folder) / name, Stripes(Summed()))
            shutil.copyfile(made / "model.pte", file)


if __name__ == "__main__":
    sys.path.insert(0, str(RECORDED.parents[1]))
    write()
