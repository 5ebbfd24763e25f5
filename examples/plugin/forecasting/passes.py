"""Two passes: fit a model to the training series, store its weights in half the space."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness import REFERENCE, KpiError, Pass, PassContext, check_counts, options_table

FORMAT, FILE = "linear", "weights.npy"


class LeastSquares(Pass):
    """The next value as a weighted sum of those before it, fitted by least squares."""

    name = "least-squares"
    title = "a linear model of the past"
    input_formats = frozenset({REFERENCE})
    output_format = FORMAT
    requires = ("numpy",)
    effort = 1.0

    @options_table
    class Options:
        """``past``: how many values the model looks at."""

        past: int = 48

        def __post_init__(self) -> None:
            check_counts(past=self.past)

    def run(self, job: PassContext) -> dict[str, Any]:
        windows = getattr(job.workload, "windows", None)
        if windows is None:
            raise KpiError(f'pass "{self.name}" fits series', "use it with a fixture of series")
        given, wanted = windows("training")
        given = given[:, -self.options.past :]
        weights, *_ = np.linalg.lstsq(np.c_[given, np.ones(len(given))], wanted, rcond=None)
        np.save(job.out / FILE, weights)
        return {"samples": len(given)}


class HalfPrecision(Pass):
    """Weights as 16-bit floating-point numbers."""

    name = "half-precision"
    title = "weights in 16 bits"
    input_formats = frozenset({FORMAT})
    output_format = FORMAT
    requires = ("numpy",)
    effort = 1.0

    def run(self, job: PassContext) -> dict[str, Any]:
        np.save(job.out / FILE, np.load(job.input(FILE)).astype(np.float16))
        return {}
