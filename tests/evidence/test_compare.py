"""Two runs side by side: only what is real is called a change, and what is new, gone, renamed or moved is named."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from harness.cli.main import main
from harness.evidence.history.change import State
from harness.evidence.history.compare import Comparison, Row, compare
from harness.evidence.history.database import History
from harness.evidence.history.runs import Found, find, last_two
from harness.reports.comparison import markdown, tally, terminal
from harness.reports.comparison_json import to_json
from tests.support.edited_evidence import sealed_plain
from tests.support.made_runs import MACHINE, Made, evidence, keep, latencies
from tests.support.plain_evidence import as_plain, sealed_text

TIMES = [f"2026-01-0{n}T00:00:00.000+00:00" for n in range(1, 9)]
OTHER = {**MACHINE, "cpu": "Another CPU"}


def found(kpis: list[Made], started: str = TIMES[0], **more: Any) -> Found:
    return Found(started, evidence(kpis, started, **more))


def row(compared: Comparison, metric: str, kpi: str = "a") -> Row:
    return next(r for r in compared.rows if r.kpi == kpi and r.target.metric == metric)


def pair(base: Made, new: Made, **more: Any) -> Comparison:
    return compare(found([base]), found([new], TIMES[1]), **more)


SLOW, FAST = latencies(0.002, 10, 1), latencies(0.001, 10, 2)
RIGHT = [1.0] * 180 + [0.0] * 20


def test_a_slower_larger_and_less_right_artifact_is_worse() -> None:
    wrong = [0.0] * 40 + RIGHT[40:]
    compared = pair(Made("a", FAST, 1000, RIGHT), Made("a", SLOW, 1200, wrong, artifact="b" * 64))
    assert {row(compared, m).state for m in ("latency.p50", "size", "accuracy.top1")} == {State.WORSE}
    change = row(compared, "latency.p50").change
    assert change is not None
    assert 1.9 < change.low < change.value < change.high < 2.1
    assert "artifact aaaaaaa → bbbbbbb" in row(compared, "latency.p50").because
    back = pair(Made("a", SLOW, 1200, wrong, artifact="b" * 64), Made("a", FAST, 1000, RIGHT))
    assert {row(back, m).state for m in ("latency.p50", "size", "accuracy.top1")} == {State.BETTER}
    assert not any(r.regressed for r in back.rows)


def test_a_comment_in_a_file_is_no_change_of_its_size() -> None:
    for size, expected in ((1_000_999, State.SAME), (1_001_000, State.WORSE), (999_000, State.BETTER)):
        compared = pair(Made("a", size=1_000_000), Made("a", size=size, artifact="b" * 64))
        assert row(compared, "size").state is expected
    said = terminal(pair(Made("a", size=1_000_000), Made("a", size=1_000_068)), 100, colour=False)
    assert "+0.007 %" in said


def test_noise_is_no_change() -> None:
    again = latencies(0.001, 10, 3)
    compared = pair(Made("a", FAST, 1000, RIGHT), Made("a", again, 1000, RIGHT, artifact="b" * 64))
    assert {row(compared, m).state for m in ("size", "accuracy.top1")} == {State.SAME}
    assert row(compared, "latency.p50").state in (State.SAME, State.UNCLEAR)


def test_what_is_the_very_same_is_moved_by_the_machine_alone_and_says_how_far() -> None:
    # The same artifact is 30 % slower in the second run: so another's 25 % is not a change, its 100 % is.
    slower = [1.3 * s for s in FAST]
    base = [Made("control", FAST), Made("a", FAST, recipe="r"), Made("b", FAST, recipe="s")]
    new = [
        Made("control", slower),
        Made("a", [1.25 * s for s in FAST], recipe="r", artifact="b" * 64),
        Made("b", [2 * s for s in FAST], recipe="s", artifact="b" * 64),
    ]
    compared = compare(found(base), found(new, TIMES[1]))
    assert row(compared, "latency.p50", "control").state is State.MACHINE
    assert not row(compared, "latency.p50", "control").regressed
    assert row(compared, "latency.p50", "a").state is State.UNCLEAR
    assert row(compared, "latency.p50", "b").state is State.WORSE
    assert compared.drifted == pytest.approx(0.3, abs=0.02)
    assert "moved by up to 30" in terminal(compared, 100, colour=False)
    assert row(pair(base[1], new[1]), "latency.p50").state is State.WORSE  # nothing says that the machine moved


def test_another_machine_is_shown_and_never_called_a_change() -> None:
    base, new = found([Made("a", FAST, 1000)]), found([Made("a", SLOW, 2000, artifact="b" * 64)], machine=OTHER)
    compared = compare(base, new)
    assert {r.state for r in compared.rows} == {State.SHOWN}
    text = terminal(compared, 100, colour=False)
    assert re.search(r"(1\.9|2\.0)\d ms", text)
    assert "different machines" in text
    assert row(compare(base, new, any_machine=True), "latency.p50").state is State.WORSE


def test_new_gone_and_renamed_kpis_and_moved_bounds_are_named() -> None:
    base = [Made("stays", FAST), Made("old name", FAST, recipe="r"), Made("gone", size=3)]
    new = [
        Made("stays", FAST, bounds={"latency.p50": "< 5 ms"}),
        Made("new name", FAST, recipe="r"),
        Made("fresh", size=4, recipe="x"),
    ]
    compared = compare(found(base), found(new, TIMES[1]))
    assert compared.renamed == (("old name", "new name"),)
    assert (compared.kpis("new"), compared.kpis("base")) == (["fresh"], ["gone"])
    assert row(compared, "latency.p50", "stays").bounds == ("< 10 ms", "< 5 ms")
    assert row(compared, "latency.p50", "new name").was == "old name"
    assert {r.kpi for r in compared.rows if r.regressed} == {"gone"}
    for text in (terminal(compared, 100, colour=False), markdown(compared)):
        for said in ("old name is now new name", "gone: gone", "new: fresh", "10 ms → "):
            assert said in text.replace("&lt; ", "")


def test_a_lost_pass_is_a_step_back_an_undecided_one_is_not() -> None:
    for verdict, regressed in (("FAIL", True), ("ERROR", True), ("UNAVAILABLE", True), ("INCONCLUSIVE", False)):
        compared = pair(Made("a", FAST), Made("a", FAST, verdicts={"latency.p50": verdict}))
        assert row(compared, "latency.p50").verdicts == ("PASS", verdict)
        assert bool(row(compared, "latency.p50").regressed) is regressed
    assert not any(r.verdicts for r in pair(Made("a", FAST), Made("a")).rows)  # nobody asked for it


def test_other_data_are_not_compared_sample_by_sample() -> None:
    base, new = Made("a", scores=RIGHT), Made("a", scores=RIGHT[:150])
    assert "not sample by sample" in row(pair(base, new), "accuracy.top1").said


def test_every_form_says_the_same() -> None:
    compared = pair(Made("a", FAST, 1000), Made("a", SLOW, 1200, artifact="b" * 64))
    data = json.loads(json.dumps(to_json(compared), allow_nan=False))
    assert data["schema"] == 1
    assert data["states"] == {"worse": 2, "shown": 1}
    latency = next(t for t in data["targets"] if t["metric"] == "latency.p50")
    assert latency["change"]["low"] > 1.9
    assert latency["base"]["value"] == pytest.approx(0.001, rel=0.02)
    assert tally(compared) == "2 worse"
    assert "# KPIs compared: 2 worse" in markdown(compared)
    lines = terminal(compared, 100, colour=False).splitlines()
    assert max(map(len, lines)) <= 100
    assert any("worse" in line and "latency.p50" in line for line in lines)


HOSTILE = "<script>alert(1)</script>::error::boom\n::error::x %0A | `x` [a](b) \u202eevil\U0001f4a5" + "long" * 100


def test_hostile_names_are_harmless() -> None:
    base, new = Made(HOSTILE, FAST, 1000), Made(HOSTILE, SLOW, 1000, artifact="<b>" * 21, recipe=HOSTILE)
    compared = compare(found([base, Made("gone" + HOSTILE)]), found([new, Made("new" + HOSTILE, recipe="y")], TIMES[1]))
    text, marked = terminal(compared, 100, colour=False), markdown(compared)
    for said in (text, marked):
        assert "\u202e" not in said
        assert "\n::error::x" not in said
    assert "<script>" not in marked
    assert "<b>" not in marked
    assert max(map(len, text.splitlines())) <= 100
    json.dumps(to_json(compared))


# ---- which runs -------------------------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a git repository of two commits, a run at each and one on another machine."""
    monkeypatch.chdir(tmp_path)
    commits = []
    git(tmp_path, "init", "-q")
    for name, latency in (("first", FAST), ("second", SLOW)):
        made = evidence([Made("a", latency, artifact=name * 10)], TIMES[len(commits)])
        (tmp_path / "kept.json").write_bytes(sealed_text(made))
        git(tmp_path, "add", "kept.json")
        git(tmp_path, "-c", "user.name=n", "-c", "user.email=e", "commit", "-q", "-m", name)
        commits.append(git(tmp_path, "rev-parse", "HEAD").strip())
        made = evidence([Made("a", latency, artifact=name * 10)], TIMES[len(commits)], commit=commits[-1])
        History(tmp_path / ".kpi").record(made, keep(tmp_path / ".kpi", made))
    other = evidence([Made("a", SLOW)], TIMES[0], commit=commits[0], machine=OTHER)
    History(tmp_path / ".kpi").record(other, keep(tmp_path / ".kpi", other))
    return tmp_path


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True).stdout


def test_a_run_is_found_by_whatever_names_it(project: Path) -> None:
    history = History(project / ".kpi")
    first = next(run for run in history.runs() if run.started == TIMES[1])
    folder = first.evidence.parent
    for wanted in (
        str(first.evidence), str(folder), first.id, first.digest[:9], TIMES[1], "2026-01-02", "2026-01-02 00:00",
        "2026-01-02T00-00-00.000Z", "HEAD~1", git(project, "rev-parse", "HEAD~1").strip()[:9],
    ):  # fmt: skip
        assert find(wanted, history, project).id == first.id, wanted
    assert find("HEAD~1:kept.json", history, project).evidence.started == TIMES[0]
    base, new = last_two(history)
    assert (base.evidence.started, new.evidence.started) == (TIMES[1], TIMES[2])


def test_a_revision_means_its_run_on_the_same_machine(project: Path) -> None:
    history = History(project / ".kpi")
    here, there = (machine for machine in dict.fromkeys(run.machine for run in reversed(history.runs())))
    assert find("HEAD~1", history, project, machine=here).evidence.started == TIMES[1]
    assert find("HEAD~1", history, project, machine=there).evidence.started == TIMES[0]


MISTAKES = {
    "no such thing": (["nope"], "'nope' is not a file, run, start time or git revision"),
    "an option of git": (["HEAD", "^HEAD"], "is not a file"),
    "a null byte": (["a\0b"], "is not a file"),
    "a name too long": (["x" * 5000], "is not a file"),
    "many runs": (["2026-01"], "names 3 runs"),
    "a path that git lacks": (["HEAD:nope.json"], "is not a file"),
    "a commit without a run": (["HEAD~1", "v0"], "of which no run is kept"),
    "no evidence": (["kept.txt"], "is not JSON"),
    "no folder of a run": (["empty"], "can't be read"),
    "changed by hand": (["edited.json"], "changed after it was sealed"),
    "half a record": (["half.json"], "is not evidence of schema 2: Expected `str`, got `int` - at `$.targets[0].kpi`"),
    "a record that contradicts itself": (["contradicted.json"], "can't be compared"),
    "gone": ([TIMES[1]], "is gone"),
    "overwritten": ([TIMES[2]], "overwritten by a later run"),
}


@pytest.mark.parametrize(("arguments", "said"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_line(
    project: Path, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "kept.txt").write_bytes(b"\xff\xfe not json")
    (project / "empty").mkdir()
    whole = evidence([Made("a", FAST)])
    text = sealed_text(whole)
    (project / "edited.json").write_bytes(text.replace(b'"commit":"c', b'"commit":"x'))
    assert (project / "edited.json").read_bytes() != text
    (project / "half.json").write_bytes(sealed_plain({**as_plain(whole), "targets": [{"kpi": 1}]}))
    (project / "contradicted.json").write_bytes(sealed_plain({**as_plain(whole), "measurements": []}))
    git(project, "-c", "user.name=n", "-c", "user.email=e", "commit", "-q", "--allow-empty", "-m", "third")
    git(project, "branch", "v0")
    runs = {run.started: run.evidence for run in History(project / ".kpi").runs()}
    if said == "is gone":
        runs[TIMES[1]].unlink()
    if "overwritten" in said:
        runs[TIMES[2]].write_bytes(text)
    # The newest run is still what is compared with, but for the one that is overwritten.
    new = [] if len(arguments) > 1 or "overwritten" in said else [str(runs[TIMES[2]])]
    assert main(["compare", *arguments, *new]) == 1
    told = capsys.readouterr().err
    assert said in told
    assert len(told.splitlines()) == 1


def test_the_exit_code_is_for_ci(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare"]) == 0
    assert main(["compare", "--fail-on", "regression"]) == 1
    assert "regression: a latency.p50 < 10 ms: it is worse" in capsys.readouterr().err
    assert main(["compare", "HEAD", "HEAD~1", "--fail-on", "regression"]) == 0
    assert main(["compare", "HEAD", "HEAD~1", "--fail-on", "change"]) == 1
    assert main(["compare", "HEAD", "HEAD", "--fail-on", "change"]) == 0
    # Where nothing was compared nothing was shown to hold.
    assert main(["compare", TIMES[0], TIMES[2]]) == 0
    assert main(["compare", TIMES[0], TIMES[2], "--fail-on", "regression"]) == 1
    capsys.readouterr()
    assert main(["compare", "--json", "--markdown", "out.md"]) == 0
    assert json.loads(capsys.readouterr().out)["states"]["worse"] == 1
    assert "# KPIs compared: 1 worse" in (project / "out.md").read_text(encoding="utf-8")
    assert main(["compare", "--markdown", "missing/out.md"]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_no_runs_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["compare"]) == 1
    assert main(["compare", "HEAD"]) == 1
    assert main(["history", "a"]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 3
    assert not (tmp_path / ".kpi").exists()


def test_runs_of_before_the_history_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for number in (1, 2):
        keep(tmp_path / ".kpi", evidence([Made("a", FAST)], TIMES[number]))
    assert main(["compare"]) == 0
    assert main(["history", "a", "--metric", "latency", "--json"]) == 0
    out = capsys.readouterr().out
    assert [point["started"] for point in json.loads(out[out.index("[\n") :])] == TIMES[1:3]
    assert main(["history", "a", "--metric", "latncy"]) == 4
    assert 'did you mean "latency"' in capsys.readouterr().err
    assert main(["history"]) == 0
    assert "2 runs" in capsys.readouterr().out


def test_what_is_the_same_does_not_read_as_if_it_had_changed() -> None:
    same = terminal(pair(Made("a", FAST, 1000), Made("a", FAST, 1000)), 100, colour=False)
    assert "2 same" in same
    assert "no change was shown for 2 targets (97 % confidence for each; the machine may drift by" in same
    worse = terminal(pair(Made("a", size=1000), Made("a", size=1200, artifact="b" * 64)), 100, colour=False)
    assert "1 of 1 target changed (97 % confidence for each" in worse
