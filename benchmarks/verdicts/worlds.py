"""Simulated worlds: what the medians of fresh processes look like on machines of different tempers.

Everything here is simulated, with seeds; the decision code that judges it is the real one. Each world gives an array
(runs, processes) of process medians, or of ratios of pairs, around 1; the true median is found by drawing very many.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Draw = Callable[[np.random.Generator, int, int], Array]
SAMPLES = 100
"""Samples in a process: fewer than the suite takes, so that its noise is not made too small."""


@dataclass(frozen=True)
class World:
    """``draw(random, runs, processes)`` gives process medians; ``spread`` is that between processes, if it has one.

    ``flag`` says which processes the validity signals call disturbed. ``centre`` is the true median where it is not
    that of all that is drawn.
    """

    name: str
    draw: Draw
    spread: float | None = None
    pairs: bool = False
    flag: Callable[[np.random.Generator, Array], Flags] | None = None
    centre: float | None = None

    def truth(self, processes: int) -> float:
        """The median over processes, from very many of them."""
        return self.centre or float(np.median(self.draw(np.random.default_rng(99), 4000, processes)))


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


def autocorrelated(correlation: float) -> Draw:
    """Samples that resemble the one before, processes all alike."""
    return lambda random, runs, processes: samples(random, runs, processes, correlation)


def normal(spread: float) -> Draw:
    """Processes that differ by a log-normal factor."""
    return lambda random, runs, processes: np.exp(random.normal(0, spread, (runs, processes)))


def skewed(spread: float) -> Draw:
    """Most processes are alike, some are slower: an exponential tail."""
    return lambda random, runs, processes: 1 + spread * random.exponential(1, (runs, processes))


def bimodal(random: np.random.Generator, runs: int, processes: int) -> Array:
    """One process in five runs 1.7 times slower for its whole life."""
    slow = random.random((runs, processes)) < 0.2
    return normal(0.01)(random, runs, processes) * np.where(slow, 1.7, 1.0)


def bursts(random: np.random.Generator, runs: int, processes: int) -> Array:
    """Now and then something else runs: one process in ten is between 1 and 3 times slower."""
    hit = random.random((runs, processes)) < 0.1
    return normal(0.01)(random, runs, processes) * np.where(hit, random.uniform(1, 3, (runs, processes)), 1)


def drift(total: float) -> Draw:
    """The machine grows slower, or faster, by ``total`` while the longest run goes on; 1 % spread besides."""

    def draw(random: np.random.Generator, runs: int, processes: int) -> Array:
        course = np.linspace(-total / 2, total / 2, processes) * random.choice([-1, 1], (runs, 1))
        return np.exp(course) * normal(0.01)(random, runs, processes)

    return draw


def step(height: float) -> Draw:
    """Half-way through the longest run the machine becomes slower, or faster, at once; 1 % spread besides."""

    def draw(random: np.random.Generator, runs: int, processes: int) -> Array:
        course = np.where(np.arange(processes) < processes / 2, -height / 2, height / 2)
        return np.exp(course * random.choice([-1, 1], (runs, 1))) * normal(0.01)(random, runs, processes)

    return draw


def neighbour(random: np.random.Generator, runs: int, processes: int) -> Array:
    """A neighbour slows two processes in five, by 10 to 100 %."""
    hit = random.random((runs, processes)) < 0.4
    return normal(0.01)(random, runs, processes) * np.where(hit, random.uniform(1.1, 2, (runs, processes)), 1)


def seen_neighbour(random: np.random.Generator, drawn: Array) -> Flags:
    """The signals see nine of ten disturbances, and one in twenty that is none."""
    return np.where(drawn > 1.06, random.random(drawn.shape) < 0.9, random.random(drawn.shape) < 0.05)


def slowest_half(_: np.random.Generator, drawn: Array) -> Flags:
    """An adversary calls every process disturbed that is slower than usual: nothing may be gained by it."""
    return np.asarray(drawn > 1.0)


def interleaved(a: Draw, b: Draw, course: float = 0.1, shared: float = 0.03) -> Draw:
    """Ratios of pairs: a drift and a spread that hit both, and what each has of its own."""

    def draw(random: np.random.Generator, runs: int, processes: int) -> Array:
        both = np.exp(np.linspace(0, course, processes) + random.normal(0, shared, (runs, processes)))
        return np.asarray((both * a(random, runs, processes)) / (both * b(random, runs, processes)))

    return draw


def spread_out(lasts: float, between: int) -> Draw:
    """The machine is in one of two states, 10 % apart, each for ``lasts`` processes of any subject on average.

    The subject's own processes are one of every ``between`` + 1, in a random order with half a round between two, as
    rounds make it; 0 is back to back. The bound lies between the states.
    """

    def draw(random: np.random.Generator, runs: int, processes: int) -> Array:
        size = between + 1
        changes = random.random((runs, processes * size)) < 1 / lasts
        states = (np.cumsum(changes, axis=1) + random.integers(0, 2, (runs, 1))) % 2
        half = (size + 1) // 2
        late = random.integers(0, 2, (runs, 1)) * (size - half)
        places = np.arange(processes) * size + late + random.integers(0, half, (runs, processes))
        state = np.take_along_axis(states, places, axis=1)
        return np.where(state, 1.05, 0.95) * normal(0.01)(random, runs, processes)

    return draw


def heated(total: float) -> Draw:
    """Ratios of pairs of which one artifact heats the machine, and is slowed by it, by ``total`` over the run."""

    def draw(random: np.random.Generator, runs: int, processes: int) -> Array:
        course = np.linspace(-total / 2, total / 2, processes)
        return np.exp(course) * normal(0.01)(random, runs, processes) / normal(0.01)(random, runs, processes)

    return draw


WORLDS = (
    World("independent samples", autocorrelated(0.0), 0.0),
    World("AR(1) samples, 0.5", autocorrelated(0.5), 0.0),
    World("AR(1) samples, 0.9", autocorrelated(0.9), 0.0),
    World("spread 0.5 %", normal(0.005), 0.005),
    World("spread 1 %", normal(0.01), 0.01),
    World("spread 2 %", normal(0.02), 0.02),
    World("spread 5 %", normal(0.05), 0.05),
    World("skewed, 0.5 %", skewed(0.005), 0.005),
    World("skewed, 1 %", skewed(0.01), 0.01),
    World("skewed, 2 %", skewed(0.02), 0.02),
    World("skewed, 5 %", skewed(0.05), 0.05),
    World("bimodal, 1 in 5 is 1.7 x slower", bimodal),
    World("bursts, 1 in 10 is up to 3 x slower", bursts),
    World("drift of 1 % over the run", drift(0.01), 0.01),
    World("drift of 2 % over the run", drift(0.02), 0.02),
    World("drift of 4 % over the run", drift(0.04), 0.04),
    World("a step of 2 % half-way", step(0.02), 0.02),
    World("a neighbour slows 2 in 5, mostly noticed", neighbour, flag=seen_neighbour, centre=1.0),
    World("spread 5 %, every slow process is called disturbed", normal(0.05), 0.05, flag=slowest_half),
    World("states of 5 processes, 14 others in between", spread_out(5, 14), centre=1.0),
    World("states of 10 processes, 29 others in between", spread_out(10, 29), centre=1.0),
    World("pairs: one heats up by 3 % over the run", heated(0.03), 0.014, pairs=True),
    World("pairs: spread 1 % each, drift of 10 % on both", interleaved(normal(0.01), normal(0.01)), 0.014, pairs=True),
    World("pairs: skewed 1 % each, drift of 10 % on both", interleaved(skewed(0.01), skewed(0.01)), 0.014, pairs=True),
    World("pairs: both bimodal, drift of 10 % on both", interleaved(bimodal, bimodal), pairs=True),
    World("pairs: bursts on either, drift of 10 % on both", interleaved(bursts, bursts), pairs=True),
)

BACK_TO_BACK = (
    World("states of 2.5 processes", spread_out(2.5, 0), centre=1.0),
    World("states of 5 processes", spread_out(5, 0), centre=1.0),
    World("states of 10 processes", spread_out(10, 0), centre=1.0),
    World("states of 10 processes, 4 others in between", spread_out(10, 4), centre=1.0),
)
"""What a verdict on processes that run one after the other is worth: shown, no goal."""
