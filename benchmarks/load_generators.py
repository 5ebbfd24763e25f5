"""Compares our load generator with ApacheBench on the same server, interleaved A B B A in one run.

Usage: python benchmarks/load_generators.py [--rounds 10] [--seconds 3] [--concurrency 8] [--recipe WORKLOAD/RECIPE]

Two servers: one that takes a known time for each request, and the one that a recipe starts (translation/int8-served).
Both clients send the same bytes, streamed or not; the ratio of their throughputs is printed with its 95 % interval.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scipy.stats import binom

from harness.build.builder import Builder
from harness.build.environments import Environments
from harness.build.store import Store
from harness.core.statistics import median_bounds
from harness.measure.loadgen import ab
from harness.measure.loadgen.client import Client
from harness.measure.loadgen.dialects import Wish
from harness.measure.loadgen.endpoint import Endpoint
from harness.measure.loadgen.reply import Limits, summary
from harness.spec.reader import read_spec
from harness.tasks.language.runtimes.endpoint import EndpointSession, HttpEndpoint
from harness.tasks.language.workload import SAMPLES, read_prompts

ROOT = Path(__file__).resolve().parent.parent
PACED = ("{python}", "-m", "tests.support.endpoint_server", "--port", "{port}", "--service-ms", "20", "--at-once", "4")


@contextmanager
def started(options: HttpEndpoint.Options, artifact: Path) -> Iterator[EndpointSession]:
    """A server, stopped in the end. It has all processors but the last one, the clients the last one.

    Both clients cost processor time, ours more than ab: on shared processors they would be taken from the server.
    """
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[:-1] or cores)
    session = HttpEndpoint(options).load(artifact, "cpu", 1, profile=False)
    assert isinstance(session, EndpointSession)
    os.sched_setaffinity(0, cores[-1:])
    try:
        yield session
    finally:
        session.close()
        os.sched_setaffinity(0, cores)


def ours(client: Client, requests: int, concurrency: int) -> float:
    """Requests a second, of a closed loop."""
    made = summary(client.closed(concurrency, lambda sent, _: sent >= requests), Limits())
    if made["details"]["failed"]:
        raise SystemExit(f"requests failed: {made['details']['said']}")
    return float(made["completed"] / made["elapsed_s"])


def compare(name: str, endpoint: Endpoint, prompt: str, wish: Wish, chosen: argparse.Namespace) -> None:
    """Prints both rates of each round, and the median of their ratios with its interval."""
    ratios = []
    with Client(endpoint, [prompt], wish) as client:
        ours(client, 4 * chosen.concurrency, chosen.concurrency)
        requests = int(chosen.seconds * ours(client, 8 * chosen.concurrency, chosen.concurrency)) + 1
        for number in range(chosen.rounds):
            rates: dict[str, list[float]] = {"ours": [], "ab": []}
            for who in ("ours", "ab", "ab", "ours") if number % 2 else ("ab", "ours", "ours", "ab"):
                if who == "ours":
                    rates[who].append(ours(client, requests, chosen.concurrency))
                else:
                    rates[who].append(ab.run(endpoint, prompt, wish, requests, chosen.concurrency).rate)
            means = {who: statistics.mean(found) for who, found in rates.items()}
            ratios.append(means["ours"] / means["ab"])
            print(f"  {name}: ours {means['ours']:.2f}, ab {means['ab']:.2f} requests/s, ratio {ratios[-1]:.4f}")
    low, high = median_bounds(ratios, int(binom.ppf(0.025, len(ratios), 0.5)) - 1)
    middle = statistics.median(ratios)
    print(f"{name}: median ratio over {len(ratios)} rounds {middle:.4f} (95 %: {low:.4f} to {high:.4f})", flush=True)


def main() -> int:
    """Compares the two on both servers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--concurrency", type=int, default=8)
    parser.add_argument("--recipe", default="translation/int8-served")
    chosen = parser.parse_args()
    os.chdir(ROOT)  # where the paced server is found
    with started(HttpEndpoint.Options(command=PACED), ROOT) as session:
        for stream in (True, False):
            kind = "streamed" if stream else "whole"
            compare(f"20 ms, four at once, {kind}", session.endpoint, "x", Wish(4, stream=stream), chosen)
    spec = read_spec(ROOT / "kpis.toml")
    workload, _, name = chosen.recipe.partition("/")
    recipe, store = spec.recipe(workload, name), Store()
    with tempfile.TemporaryDirectory() as scratch:
        builder = Builder(spec, store, Environments(store, spec.root), Path(scratch) / "build.log", lambda _: None)
        artifact = builder.artifact(recipe)
        prompt = read_prompts(builder.samples(spec.workloads[workload]).path / SAMPLES)[0].prompt
    with started(HttpEndpoint.Options(**recipe.runtime_options), artifact.path) as session:
        for stream in (True, False):
            wish = Wish(16, exactly=True, stream=stream)
            compare(f"{chosen.recipe}, {'streamed' if stream else 'whole'}", session.endpoint, prompt, wish, chosen)
    return 0


if __name__ == "__main__":
    sys.exit(main())
