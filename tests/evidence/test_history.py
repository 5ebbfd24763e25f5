"""The history of runs: whole or absent, made again from evidence, kept by many at once, in no verdict's way."""

from __future__ import annotations

import contextlib
import io
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from harness.cli.main import main
from harness.core.codec import of_plain
from harness.core.errors import KpiError
from harness.evidence.history.database import FILE, DamagedHistory, History, trend
from harness.evidence.history.points import Point, before, of_machine
from harness.evidence.machine_name import machine_id, machine_name
from harness.evidence.model import Evidence
from harness.evidence.package.earlier import earlier_run
from harness.judge.verdict import Verdict
from harness.measure.machine.detect import Detected
from tests.support.made_runs import MACHINE, Made, evidence, keep, latencies
from tests.support.plain_evidence import sealed_text
from tests.support.project import ROOT, Project

EARLY, LATE = "2026-01-01T00:00:00.000+00:00", "2026-01-02T00:00:00.000+00:00"


def machine(**more: object) -> Detected:
    return of_plain({**MACHINE, **more}, Detected)


def entered(folder: Path, *runs: Evidence) -> History:
    history = History(folder)
    for run in runs:
        history.record(run, keep(folder, run))
    return history


def test_every_answer_of_every_run_is_kept(tmp_path: Path) -> None:
    first = evidence([Made("a", latencies(0.001, 6, 1)), Made("b", size=5000)], EARLY)
    second = evidence([Made("a", latencies(0.002, 6, 2), bounds={"latency.p50": "< 1 ms"})], LATE, complete=False)
    history = entered(tmp_path, second, first)
    assert [run.started for run in history.runs()] == [EARLY, LATE]
    assert [run.complete for run in history.runs()] == [True, False]
    points = [p for p in history.trend("a") if p.metric == "latency.p50"]
    assert [(p.verdict, p.bound) for p in points] == [(Verdict.PASS, "< 10 ms"), (Verdict.FAIL, "< 1 ms")]
    assert points[0].value == pytest.approx(0.001, rel=0.05)
    assert points[0].low <= points[0].value <= points[0].high
    assert points[0].unit == "s"
    assert {p.metric for p in history.trend("b")} == {"size"}  # nobody asked for the others
    assert {p.kpi for p in trend(tmp_path)} == {"a", "b"}
    assert history.kpis() == ["a", "b"]
    with sqlite3.connect(tmp_path / FILE) as database:
        seen = database.execute(
            'SELECT run, started, "commit", machine, kpi, workload, recipe, metric, bound, value, low, high, unit, n, '
            "verdict, artifact, evidence, digest FROM history"
        ).fetchall()
    assert len(seen) == 9


def test_a_run_that_is_entered_twice_stands_once(tmp_path: Path) -> None:
    run = evidence([Made("a", size=1)])
    assert len(entered(tmp_path, run, run).runs()) == 1


def test_what_was_last_answered_is_found_behind_runs_that_did_not_ask(tmp_path: Path) -> None:
    asked = evidence([Made("a", latencies(0.001, 6, 1))], EARLY)
    not_asked = evidence([Made("a")], LATE)
    history = entered(tmp_path, asked, not_asked)
    now = evidence([Made("a", latencies(0.02, 6, 1), bounds={"latency.p50": "< 2 ms"})], "2026-01-03")
    last = history.last(machine_id(machine()), "2026-01-03")
    found = {t.metric: before(t, last) for t in now.targets}
    assert found["latency.p50"] is not None
    assert (found["latency.p50"].started, found["latency.p50"].bound) == (EARLY, "< 10 ms")
    assert found["accuracy.top1"] is None
    assert history.last("another", "2026-01-03") == {}


def test_machines_are_told_apart_by_their_hardware_alone(tmp_path: Path) -> None:
    here = machine_id(machine())
    assert here == machine_id(machine(boot="later", python="3.13", memory=16_000_100_000))
    assert here != machine_id(machine(cores=4))
    other = {**MACHINE, "cpu": "Another CPU"}
    history = entered(tmp_path, evidence([Made("a", size=1)]), evidence([Made("a", size=2)], LATE, machine=other))
    assert [p.value for p in of_machine(history.trend("a"), "another")] == [2]
    assert [p.value for p in of_machine(history.trend("a"), here)] == [1]
    with pytest.raises(KpiError, match="Another CPU"):
        of_machine(history.trend("a"), "Anther CPU")


def test_the_history_is_made_again_from_the_evidence(tmp_path: Path) -> None:
    runs = [evidence([Made("a", size=n)], f"2026-01-0{n}T00:00:00.000+00:00") for n in range(1, 5)]
    before_ = entered(tmp_path, *runs).trend()
    (tmp_path / FILE).unlink()
    edited = keep(tmp_path, evidence([Made("a", size=9)], "2026-02-01T00:00:00.000+00:00"))
    edited.write_text(
        edited.read_text(encoding="utf-8").replace('"FAIL"', '"PASS"').replace("9", "8"), encoding="utf-8"
    )
    count, left = History(tmp_path).rebuild()
    assert count == 4
    assert "changed after it was sealed" in left[0]
    assert History(tmp_path).trend() == before_


def test_a_rebuild_keeps_runs_whose_evidence_is_gone_and_takes_files_from_elsewhere(tmp_path: Path) -> None:
    history = entered(tmp_path, evidence([Made("a", size=1)]))
    (tmp_path / "runs" / EARLY.replace(":", "-") / "evidence.json").unlink()
    other = tmp_path / "other.json"
    other.write_bytes(sealed_text(evidence([Made("a", size=2)], LATE)))
    assert history.rebuild([other, tmp_path / "missing.json"])[0] == 1
    assert [p.value for p in history.trend("a")] == [1, 2]


DAMAGE = {
    "no database": lambda path: path.write_bytes(b"this is not a database, " * 100),
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:5000]),
    "a page of noise": lambda path: path.write_bytes(
        path.read_bytes()[:4096] + b"\xa5" * 4096 + path.read_bytes()[8192:]
    ),
    "another program's": lambda path: (path.unlink(), sqlite3.connect(path).execute("CREATE TABLE run (x)")),
    "a later version's": lambda path: sqlite3.connect(path).execute("PRAGMA user_version = 7"),
    "an odd word": lambda path: _sql(path, "UPDATE verdict SET verdict = 'PERHAPS'"),
    "an odd number": lambda path: _sql(path, "UPDATE verdict SET value = 'x'"),
}


FIRST_VIEW = """
CREATE VIEW history AS
  SELECT run.id AS run, started, "commit", machine, machine_name, complete, kpi, workload, recipe, device, metric,
         bound, relation, versus, value, low, high, unit, n, "of", verdict, reason, artifact, evidence, digest, place
  FROM verdict JOIN run ON run.id = verdict.run
"""


def _sql(path: Path, statement: str) -> None:
    database = sqlite3.connect(path)
    database.execute(statement)
    database.commit()
    database.close()


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_damage_is_one_line_with_its_remedy(
    tmp_path: Path, damage: object, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / ".kpi"
    history = entered(folder, evidence([Made("a", size=1)]), evidence([Made("a", size=2)], LATE))
    _sql(history.path, "PRAGMA wal_checkpoint(TRUNCATE)")
    assert callable(damage)
    damage(history.path)
    with pytest.raises(DamagedHistory):
        history.trend("a")
    monkeypatch.chdir(tmp_path)
    assert main(["history", "a"]) == 1
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    assert "kpi history --rebuild" in said
    assert main(["history", "--rebuild"]) == 0
    capsys.readouterr()
    assert [p.value for p in history.trend("a")] == [1, 2]
    assert (folder / f"{FILE}.damaged").exists()


@pytest.mark.parametrize("schema", [1, 2])
def test_a_history_of_an_earlier_schema_goes_on(tmp_path: Path, schema: int) -> None:
    history = entered(tmp_path, evidence([Made("a", size=1), Made("b")]))
    every = [point.kpi for point in history.trend()]
    _sql(history.path, "DROP VIEW history")
    for column in ("at", "at_name", *(["cause"] if schema == 1 else [])):
        _sql(history.path, f"ALTER TABLE verdict DROP COLUMN {column}")
    _sql(history.path, FIRST_VIEW if schema == 1 else FIRST_VIEW.replace("artifact,", "artifact, cause,"))
    _sql(history.path, f"PRAGMA user_version = {schema}")
    assert [point.kpi for point in history.trend()] == every
    assert set(every) == {"a", "b"}
    run = evidence([Made("a", size=2)], LATE)
    history.record(run, keep(tmp_path, run))
    assert [point.value for point in history.trend("a")] == [1, 2]


def test_many_processes_enter_their_runs_at_once(tmp_path: Path) -> None:
    program = (
        "import sys\nfrom pathlib import Path\nfrom harness.evidence.history.database import History\n"
        "from tests.support.made_runs import Made, evidence, keep\n"
        "me, folder = int(sys.argv[1]), Path(sys.argv[2])\n"
        "for n in range(5):\n"
        "    run = evidence([Made('a', size=10 * me + n)], f'2026-01-{me + 1:02}T00:00:0{n}.000+00:00')\n"
        "    History(folder).record(run, keep(folder, run))\n"
    )
    started = [subprocess.Popen([sys.executable, "-c", program, str(n), str(tmp_path)], cwd=ROOT) for n in range(6)]
    assert [process.wait(timeout=120) for process in started] == [0] * 6
    assert sorted(p.value for p in History(tmp_path).trend("a")) == [10 * me + n for me in range(6) for n in range(5)]


def test_a_writer_killed_in_the_middle_leaves_what_was_whole(tmp_path: Path) -> None:
    entered(tmp_path, evidence([Made("a", size=1)]))
    program = (
        "import os, sys\nfrom pathlib import Path\nfrom harness.evidence.history import database as history\n"
        "from tests.support.made_runs import Made, evidence\n"
        "insert = history._insert\n"
        "def insert_and_die(*arguments):\n    insert(*arguments)\n    os.kill(os.getpid(), 9)\n"
        "history._insert = insert_and_die\n"
        "folder = Path(sys.argv[1])\n"
        "history.History(folder).record(evidence([Made('a', size=2)], '2026-02'), folder / 'e')\n"
    )
    assert subprocess.run([sys.executable, "-c", program, str(tmp_path)], cwd=ROOT, check=False).returncode == -9
    assert [p.value for p in History(tmp_path).trend("a")] == [1]


@pytest.mark.suite
def test_a_run_is_entered_whatever_becomes_of_it_and_no_verdict_hangs_on_it(project: Project) -> None:
    history = History(project.folder / ".kpi")
    assert project.pytest("-k", "size").returncode == 0
    assert [p.metric for p in history.trend("stripes-int8")] == ["size"]
    assert history.runs()[0].evidence.exists()
    # A run into a folder of its own is entered next to the others; one that stops is marked.
    project.change('"< 20 kB"', '"< 2 kB"')
    assert project.pytest("-x", "-k", "size or agreement", "--kpi-out=here").returncode == 1
    runs = history.runs()
    assert len(runs) == 2
    assert not runs[-1].complete
    summary = (project.folder / "here/summary.md").read_text(encoding="utf-8")
    head = summary.partition("| | KPI |")[0]
    assert "**1 verdict changed**" in head
    assert "size: PASS → **FAIL**" in head
    assert "the bound was &lt; 20 kB" in head
    history.path.write_bytes(b"nonsense" * 1000)
    done = project.pytest("-k", "size")
    assert done.returncode == 1
    assert "kpi history --rebuild" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert "1 failed" in done.stdout


def test_a_history_that_is_locked_is_waited_for_by_readers(tmp_path: Path) -> None:
    history = entered(tmp_path, evidence([Made("a", size=1)]))
    holder = sqlite3.connect(history.path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    assert [p.value for p in history.trend("a")] == [1]  # write-ahead log: no wait at all
    holder.execute("ROLLBACK")
    holder.close()


def test_an_earlier_run_that_proves_a_kpi_is_named_where_the_latest_measured_a_part(tmp_path: Path) -> None:
    whole = Made("a", latencies(0.001, 6, 1), scores=[1.0] * 100)
    proving, part, failing = (
        evidence([whole], EARLY),
        evidence([Made("a", size=1000)], LATE),
        evidence([Made("a", size=9000)], LATE),
    )
    history = entered(tmp_path / ".kpi", proving, part)
    latest, missed = tmp_path / "latest.json", tmp_path / "missed.json"
    latest.write_bytes(sealed_text(part))
    missed.write_bytes(sealed_text(failing))
    said = earlier_run("a", latest, history)
    kept = tmp_path / f".kpi/runs/{EARLY.replace(':', '-')}/evidence.json"
    assert said == f"an earlier run proves it (2026-01-01 00:00): name it with --evidence {kept}"
    # What was measured and missed is not mended by an earlier run.
    assert earlier_run("a", missed, history) == ""
    alone = entered(tmp_path / "other", part)
    assert earlier_run("a", latest, alone) == (
        f"run all targets of a: `pytest -k a`; no earlier run in {tmp_path / 'other' / FILE} proves it"
    )


def test_the_command_that_packs_says_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    entered(tmp_path / ".kpi", evidence([Made("a", latencies(0.001, 6, 1), scores=[1.0] * 100)], EARLY))
    (tmp_path / ".kpi/latest").mkdir()
    (tmp_path / ".kpi/latest/evidence.json").write_bytes(sealed_text(evidence([Made("a")], LATE)))
    error = io.StringIO()
    with contextlib.redirect_stderr(error):
        assert main(["package", "a"]) == 1
    assert "a is not proven: " in error.getvalue()
    assert "--evidence .kpi/runs/2026-01-01T00-00-00.000+00-00/evidence.json; or --force packs it" in error.getvalue()


def test_what_a_machine_that_was_reached_answered_is_told_as_its_own(tmp_path: Path) -> None:
    made = evidence([Made("here"), Made("there")])
    board = replace(made.machine, cpu="Cortex-A76", arch="aarch64", cores=4)
    targets = [replace(line, machine="edge") if line.kpi == "there" else line for line in made.targets]
    history = entered(tmp_path, replace(made, targets=targets, reached={"edge": board}))
    names = {point.kpi: point.machine_name for point in history.trend()}
    assert names["there"].startswith("Cortex-A76, 4 cores")
    assert names["here"] == machine_name(made.machine)
    # Attempts are those of the runs on this machine, wherever they measured.
    assert history.last(machine_id(made.machine), LATE).keys() == {point_key(point) for point in history.trend()}


def point_key(point: Point) -> tuple[str, str, str, str | None]:
    return point.kpi, point.metric, point.relation, point.versus
