"""Simulated worlds: what the medians of fresh processes look like on machines of different tempers.

Everything here is simulated, with seeds; the decision code that judges it is the real one. Each world gives an array
(runs, processes) of process medians around 1; the true median over processes is found by drawing very many.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
SAMPLES = 100
"""Samples in a process: fewer than the suite takes, so that its noise is not made too small."""


@dataclass(frozen=True)
class World:
    """``draw(random, runs, processes)`` gives process medians; ``spread`` is that between processes, if it has one."""

    name: str
    draw: Callable[[np.random.Generator, int, int], Array]
    spread: float | None = None


def samples(random: np.random.Generator, runs: int, processes: int, correlation: float, sigma: float = 0.05) -> Array:
    """Medians of log-normal samples that follow an AR(1) process with the given correlation."""
    out = np.empty((runs, processes))
    for run in range(runs):
        noise = random.normal(0, np.sqrt(1 - correlation**2), (processes, SAMPLES))
        if correlation:
            noise[:, 0] /= np.sqrt(1 - correlation**2)
            for step in range(1, SAMPLES):
                noise[:, step] += correlation * noise[:, step - 1]
        out[run] = np.median(np.exp(sigma * noise), axis=1)
    return out


def independent(random: np.random.Generator, runs: int, processes: int) -> Array:
    """Samples without memory, processes all alike."""
    return samples(random, runs, processes, 0.0)


def autocorrelated(correlation: float) -> Callable[[np.random.Generator, int, int], Array]:
    """Samples that resemble the one before, processes all alike."""
    return lambda random, runs, processes: samples(random, runs, processes, correlation)


def normal(spread: float) -> Callable[[np.random.Generator, int, int], Array]:
    """Processes that differ by a log-normal factor."""
    return lambda random, runs, processes: np.exp(random.normal(0, spread, (runs, processes)))


def skewed(spread: float) -> Callable[[np.random.Generator, int, int], Array]:
    """Most processes are alike, some are slower: an exponential tail."""
    return lambda random, runs, processes: 1 + spread * random.exponential(1, (runs, processes))


def bimodal(random: np.random.Generator, runs: int, processes: int) -> Array:
    """One process in five runs 1.7 times slower for its whole life."""
    slow = random.random((runs, processes)) < 0.2
    return np.exp(random.normal(0, 0.01, (runs, processes))) * np.where(slow, 1.7, 1.0)


def bursts(random: np.random.Generator, runs: int, processes: int) -> Array:
    """Now and then something else runs: one process in ten is between 1 and 3 times slower."""
    hit = random.random((runs, processes)) < 0.1
    return np.exp(random.normal(0, 0.01, (runs, processes))) * np.where(hit, random.uniform(1, 3, (runs, processes)), 1)


def drift(total: float) -> Callable[[np.random.Generator, int, int], Array]:
    """The machine grows slower, or faster, by ``total`` while the longest run goes on; 1 % spread besides."""

    def draw(random: np.random.Generator, runs: int, processes: int) -> Array:
        course = np.linspace(-total / 2, total / 2, processes) * random.choice([-1, 1], (runs, 1))
        return np.exp(course + random.normal(0, 0.01, (runs, processes)))

    return draw


WORLDS = (
    World("independent samples", independent, 0.0),
    World("AR(1) samples, 0.5", autocorrelated(0.5), 0.0),
    World("AR(1) samples, 0.9", autocorrelated(0.9), 0.0),
    World("spread 0.5 %", normal(0.005), 0.005),
    World("spread 1 %", normal(0.01), 0.01),
    World("spread 2 %", normal(0.02), 0.02),
    World("spread 5 %", normal(0.05), 0.05),
    World("skewed, 1 %", skewed(0.01), 0.01),
    World("skewed, 2 %", skewed(0.02), 0.02),
    World("skewed, 5 %", skewed(0.05), 0.05),
    World("bimodal, 1 in 5 1.7 x slower", bimodal),
    World("bursts, 1 in 10 up to 3 x slower", bursts),
    World("drift of 0.5 % over the run", drift(0.005)),
    World("drift of 2 % over the run", drift(0.02)),
)


def truth(world: World, processes: int) -> float:
    """The median over processes, from very many of them."""
    return float(np.median(world.draw(np.random.default_rng(99), 4000, processes)))


def pairs(random: np.random.Generator, runs: int, processes: int) -> Array:
    """Ratios of interleaved pairs: a drift of 10 % and a spread of 3 % that hit both, 1 % of their own each."""
    course = np.linspace(0, 0.1, processes) + random.normal(0, 0.03, (runs, processes))
    a = np.exp(course + random.normal(0, 0.01, (runs, processes)))
    b = np.exp(course + random.normal(0, 0.01, (runs, processes)))
    return np.asarray(a / b)


PAIRS = World("pairs: drift of 10 %, spread of 3 % on both", pairs, 0.014)
