"""The history: what every run answered, in a small database next to the runs, made again from their evidence."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

from harness.core.attempts import Key
from harness.core.errors import KpiError
from harness.evidence.history.points import UNASKED, Earlier, Point, Run
from harness.evidence.machine_name import machine_id, machine_name
from harness.evidence.model import Evidence, TargetLine
from harness.judge.verdict import OF_PROCESSES, Verdict

SCHEMA = 3
FILE = "history.sqlite"
_BUSY_S = 30.0
_REBUILD = "kpi history --rebuild"
_UNASKED = ", ".join(f"'{cause}'" for cause in UNASKED)
_ANSWERED = f"cause NOT IN ({_UNASKED})"
_PROCESSES = ", ".join(f"'{basis}'" for basis in OF_PROCESSES)
_TABLES = """
CREATE TABLE run (
  id TEXT PRIMARY KEY, started TEXT NOT NULL, "commit" TEXT NOT NULL, machine TEXT NOT NULL, machine_name TEXT NOT NULL,
  complete INTEGER NOT NULL, evidence TEXT NOT NULL, digest TEXT NOT NULL
);
CREATE TABLE verdict (
  run TEXT NOT NULL REFERENCES run (id) ON DELETE CASCADE, place INTEGER NOT NULL,
  kpi TEXT NOT NULL, workload TEXT NOT NULL, recipe TEXT NOT NULL, device TEXT NOT NULL, metric TEXT NOT NULL,
  bound TEXT NOT NULL, relation TEXT NOT NULL, versus TEXT, value REAL, low REAL, high REAL, unit TEXT NOT NULL,
  n INTEGER NOT NULL, "of" TEXT NOT NULL, verdict TEXT NOT NULL, reason TEXT NOT NULL, artifact TEXT NOT NULL,
  cause TEXT NOT NULL DEFAULT '', at TEXT NOT NULL DEFAULT '', at_name TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (run, place)
) WITHOUT ROWID;
CREATE INDEX verdict_kpi ON verdict (kpi, metric);
CREATE INDEX run_started ON run (started);
"""
_VIEW = """
CREATE VIEW history AS
  SELECT run.id AS run, started, "commit", coalesce(nullif(at, ''), machine) AS machine,
         coalesce(nullif(at_name, ''), machine_name) AS machine_name, complete, kpi, workload, recipe, device, metric,
         bound, relation, versus, value, low, high, unit, n, "of", verdict, reason, artifact, cause, evidence, digest,
         place, machine AS home
  FROM verdict JOIN run ON run.id = verdict.run;
"""
# The first schema said in the reason alone that a target had not been asked for; the second knew no machines that are
# reached.
_FROM = {
    1: """
ALTER TABLE verdict ADD COLUMN cause TEXT NOT NULL DEFAULT '';
UPDATE verdict SET cause = 'unmeasured'
  WHERE verdict = 'INCONCLUSIVE' AND value IS NULL AND reason LIKE 'not measured%';
""",
    2: f"""
ALTER TABLE verdict ADD COLUMN at TEXT NOT NULL DEFAULT '';
ALTER TABLE verdict ADD COLUMN at_name TEXT NOT NULL DEFAULT '';
DROP VIEW history;
{_VIEW}
""",
}
_COLUMNS = ", ".join(f'"{field.name}"' for field in fields(Point))


class DamagedHistory(KpiError):
    """The database can't be read, or is another program's; what it held can be made again."""


class History:
    """The database in a folder such as ``.kpi``; every fault of it is a KpiError that names the remedy."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / FILE

    def record(self, evidence: Evidence, file: Path) -> None:
        """Enters a sealed run, in one transaction; a run that is already there is replaced."""
        self._enter([(evidence, file)])

    def rebuild(self, more: Iterable[Path] = ()) -> tuple[int, list[str]]:
        """Enters every run whose evidence is found: below ``runs/``, where the history says, and in ``more``.

        Runs whose evidence is gone are kept, unless the database is damaged: it is set aside then, as
        ``history.sqlite.damaged``.
        Returns how many were entered, and what is wrong with the files that were left out.
        """
        from harness.evidence.reader import read_evidence

        try:
            known = [run.evidence for run in self.runs()]
            self.trend()
        except DamagedHistory:
            known = []
            for ending in ("-wal", "-shm"):
                self.path.with_name(FILE + ending).unlink(missing_ok=True)
            if self.path.exists():
                self.path.replace(self.path.with_name(f"{FILE}.damaged"))
        kept = (self.folder / "runs").glob("*/evidence.json")
        files = dict.fromkeys(path.resolve() for path in (*sorted(kept), *known, *more))
        found: list[tuple[Evidence, Path]] = []
        left: list[str] = []
        for file in files:
            if not file.exists() and file not in {path.resolve() for path in more}:
                continue
            try:
                data, broken = read_evidence(file, None)
                if broken:
                    raise KpiError(f"{file}: {broken}")
                if data.machines is not None:
                    raise KpiError(f"{file} is of several machines", "give the evidence of each")
                found.append((data, file))
            except KpiError as error:
                left.append(str(error))
        if found:
            self._enter(found)
        return len(found), left

    def runs(self) -> list[Run]:
        """Every run, the newest last."""
        rows = self._read('SELECT id, started, "commit", machine, machine_name, complete, evidence, digest FROM run')
        made = [
            Run(id_, started, commit, machine, name, bool(complete), self.folder / evidence, digest)
            for id_, started, commit, machine, name, complete, evidence, digest in rows
        ]
        return sorted(made, key=lambda run: (run.started, run.id))

    def trend(self, *kpis: str) -> list[Point]:
        """What the runs answered of the KPIs (of all, when none is named), the newest run last.

        Targets that a run did not select are left out.
        """
        where = f"AND kpi IN ({', '.join('?' * len(kpis))})" if kpis else ""
        rows = self._read(
            f"SELECT {_COLUMNS} FROM history WHERE {_ANSWERED} {where} ORDER BY started, run, place", kpis
        )
        return [self._point(row) for row in rows]

    def with_answers(self) -> set[str]:
        """The ids of the runs in which anything was answered."""
        return {str(row[0]) for row in self._read(f"SELECT DISTINCT run FROM verdict WHERE {_ANSWERED}")}

    def kpis(self) -> list[str]:
        """The name of every KPI that was ever promised in a run."""
        return [str(row[0]) for row in self._read("SELECT DISTINCT kpi FROM verdict ORDER BY kpi")]

    def last(self, machine: str, before: str) -> Earlier:
        """What runs on a machine last answered before a time: by KPI, metric, relation and the recipe held against.

        Of the latest run that has an answer; several points where several bounds are promised.
        """
        rows = self._read(
            f"SELECT {_COLUMNS}, max(started) FROM history WHERE {_ANSWERED} AND home = ? AND started < ? "
            "GROUP BY kpi, metric, relation, versus, bound ORDER BY place",
            (machine, before),
        )
        found: dict[tuple[str, str, str, str | None], list[Point]] = {}
        for point in sorted((self._point(row[:-1]) for row in rows), key=lambda point: point.started):
            key = (point.kpi, point.metric, point.relation, point.versus)
            found[key] = [other for other in found.get(key, ()) if other.run == point.run] + [point]
        return found

    def attempts(self, here: str, *, stopped: bool = True) -> dict[Key, dict[str, int]]:
        """How often processes were judged on this machine, and on those that were reached from any, and how.

        Without ``stopped`` runs that did not come to their end are left out: a resumed run goes on with theirs.
        """
        rows = self._read(
            "SELECT machine, kpi, metric, bound, artifact, verdict, count(*) FROM history "
            "WHERE (machine = ? OR machine <> home) AND value IS NOT NULL "
            "AND verdict IN ('PASS', 'FAIL', 'INCONCLUSIVE') "
            f'AND "of" IN ({_PROCESSES}) AND complete >= ? GROUP BY machine, kpi, metric, bound, artifact, verdict',
            (here, int(not stopped)),
        )
        found: dict[Key, dict[str, int]] = {}
        for where, kpi, metric, bound, artifact, verdict, count in rows:
            found.setdefault((where, kpi, metric, bound, artifact), {})[verdict] = count
        return found

    def _point(self, row: Sequence[Any]) -> Point:
        data = dict(zip((field.name for field in fields(Point)), row, strict=True))
        try:
            for name in ("value", "low", "high"):
                data[name] = math.nan if data[name] is None else float(data[name])
            return Point(**{**data, "verdict": Verdict(data["verdict"]), "complete": bool(data["complete"])})
        except ValueError as error:
            raise self._damaged(error) from error

    def _enter(self, found: Iterable[tuple[Evidence, Path]]) -> None:
        with self._open(write=True) as database:
            for evidence, file in found:
                _insert(database, evidence, self._place_of(file))

    def _place_of(self, file: Path) -> str:
        """Relative where the evidence lies below the folder, so that a project may be moved."""
        whole, folder = file.resolve(), self.folder.resolve()
        return whole.relative_to(folder).as_posix() if whole.is_relative_to(folder) else str(whole)

    def _read(self, question: str, values: Sequence[Any] = ()) -> list[Sequence[Any]]:
        if not self.path.exists():
            return []
        with self._open(write=False) as database:
            return list(database.execute(question, values)) if _made(database) else []

    @contextmanager
    def _open(self, *, write: bool) -> Iterator[sqlite3.Connection]:
        """One connection, for writing within a transaction that is kept as a whole or not at all."""
        try:
            if write:
                self.folder.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self.path, timeout=_BUSY_S, isolation_level=None)) as database:
                database.execute("PRAGMA foreign_keys = ON")
                if not write and _version(database) in (0, SCHEMA):
                    yield database
                    return
                _use_wal(database)
                database.execute("BEGIN IMMEDIATE")
                if not _made(database):
                    version = _version(database)
                    changes = [_FROM[old] for old in range(version, SCHEMA)] if version else [_TABLES, _VIEW]
                    for statement in ";".join(changes).split(";"):
                        database.execute(statement)
                    database.execute(f"PRAGMA user_version = {SCHEMA}")
                yield database
                database.execute("COMMIT")
        except sqlite3.OperationalError as error:
            raise self._unusable(error) from error
        except sqlite3.Error as error:
            raise self._damaged(error) from error
        except OSError as error:
            raise KpiError(f"the history {self.path} can't be written: {error.strerror}") from error

    def _unusable(self, error: sqlite3.Error) -> KpiError:
        """A lock, a full disk, a missing right; or a table that is not as it should be."""
        if error.sqlite_errorcode in (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
            return self._damaged(error)
        return KpiError(f"the history {self.path} can't be used: {error}", f"free it, or remove it, then {_REBUILD}")

    def _damaged(self, error: Exception) -> DamagedHistory:
        return DamagedHistory(f"the history {self.path} is damaged: {error}", _REBUILD)


def trend(folder: Path, *kpis: str) -> list[Point]:
    """What the runs below ``folder`` (such as ``.kpi``) answered of the KPIs, of all when none is named."""
    return History(folder).trend(*kpis)


def _use_wal(database: sqlite3.Connection) -> None:
    """Lets readers read while a run is entered, where the file system can; the mode stays with the file."""
    if database.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        try:
            database.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            # Another process is at it: the mode is a comfort, not a need.
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise


def _made(database: sqlite3.Connection) -> bool:
    """Whether the tables are there; sqlite3.DatabaseError when there are others."""
    version = _version(database)
    if version == SCHEMA:
        return True
    taken = version == 0 and database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if taken or version not in (0, *_FROM):
        raise sqlite3.DatabaseError(f"it is written in schema {version}, this version reads {SCHEMA}")
    return False


def _version(database: sqlite3.Connection) -> int:
    return int(database.execute("PRAGMA user_version").fetchone()[0])


def _insert(database: sqlite3.Connection, evidence: Evidence, place: str) -> None:
    run = evidence.id
    database.execute("DELETE FROM run WHERE id = ?", (run,))
    database.execute(
        "INSERT INTO run VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            run,
            evidence.started,
            evidence.commit,
            machine_id(evidence.machine),
            machine_name(evidence.machine),
            int(evidence.complete),
            place,
            evidence.digest,
        ),
    )
    plain = ("kpi", "workload", "recipe", "device", "metric", "bound", "relation", "versus")
    after = ("unit", "n", "of", "verdict", "reason", "artifact")
    database.executemany(
        f"INSERT INTO verdict VALUES (?, ?{', ?' * 20})",
        [
            (
                run,
                number,
                *(getattr(target, name) for name in plain),
                *(None if math.isnan(end) else float(end) for end in (target.value, target.low, target.high)),
                *(getattr(target, name) for name in after),
                target.cause or "",
                *_elsewhere(evidence, target),
            )
            for number, target in enumerate(evidence.targets)
        ],
    )


def _elsewhere(evidence: Evidence, target: TargetLine) -> tuple[str, str]:
    """The id and the name of the machine that was reached for a target; empty where it was that of the run."""
    machine = evidence.reached.get(target.machine)
    return (machine_id(machine), machine_name(machine)) if machine else ("", "")
