"""Times the collection of the shipped suite and of generated ones.

Usage: python benchmarks/collection.py [--kpis 5000]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
KPI = """
[[kpi]]
name = "kpi-{number}"
workload = "food11"
recipe = "int8-openvino"
machine = "any-cpu"
targets = {{ "size" = "< 3 MB", "latency.p50" = "< 9 ms", "accuracy.top1" = "drop <= 1 pp vs fp32-onnx" }}
"""


def collect(folder: Path) -> float:
    """Seconds that ``pytest --collect-only`` takes there: the median of five, after one to warm up."""
    seconds = []
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", f"--kpis={folder / 'kpis.toml'}"]
    for _ in range(6):
        start = time.perf_counter()
        subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[1:])


def main() -> int:
    """Prints both times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kpis", type=int, default=5000)
    count = parser.parse_args().kpis
    print(f"the shipped suite: {collect(ROOT):.2f} s")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "fixtures").symlink_to(ROOT / "fixtures", target_is_directory=True)
        base = (ROOT / "kpis.toml").read_text(encoding="utf-8").partition("# ---- the three options")[0]
        text = base + "".join(KPI.format(number=number) for number in range(count))
        (folder / "kpis.toml").write_text(text, encoding="utf-8")
        print(f"{count} KPIs, {3 * count} targets: {collect(folder):.2f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
