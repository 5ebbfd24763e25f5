"""Where every process is disturbed a target is given up long before its budget ends; what can PASS does."""

from __future__ import annotations

import pytest

from tests.support.project import FEW_LOOKS, Project

TARGETS = '"latency.p50" = ["< 1 us", "< 1 min", "<= 0.001 x fp32", "<= 1000 x fp32"]'


@pytest.fixture
def disturbed(project: Project) -> Project:
    """A project on a machine on which each timed process is disturbed."""
    project.change(FEW_LOOKS, 'looks = [2, 3, 9]\nconfidence = "70 %"\nbudget = "10 min"\n')
    project.change('"latency.p50" = "< 50 ms"', TARGETS)
    (project.folder / "conftest.py").write_text(
        "from harness.measure import runner\n\n"
        "runner.disturbance = lambda *_: 'other processes used 90 % of the processors'\n",
        encoding="utf-8",
    )
    return project


@pytest.mark.suite
def test_what_can_not_be_decided_is_given_up(disturbed: Project) -> None:
    assert disturbed.pytest("-k", "p50").returncode == 0
    evidence = disturbed.evidence()
    found = {target["bound"]: target for target in evidence["targets"] if target["metric"] == "latency.p50"}
    assert {bound: target["verdict"] for bound, target in found.items()} == {
        "< 1 us": "INCONCLUSIVE",
        "< 1 min": "PASS",  # on all processes, disturbed or not
        "<= 0.001 x fp32": "INCONCLUSIVE",
        "<= 1000 x fp32": "INCONCLUSIVE",  # a ratio takes undisturbed pairs
    }
    for bound in ("< 1 us", "<= 0.001 x fp32"):
        assert (
            "processes were disturbed: other processes used 90 % of the processors; given up, "
            in found[bound]["reason"]
        )
        assert "min of the budget were left" in found[bound]["reason"] or " s of the budget" in found[bound]["reason"]
    # Two looks' worth of pairs for both ratios; the plain targets take none besides.
    counts = {m["recipe"]: len(m["processes"]) for m in evidence["measurements"] if m["scenario"] == "single-stream"}
    assert counts == {"stripes/int8": 3, "stripes/fp32": 3}
    assert sum(target["seconds"] for target in found.values()) < 120
