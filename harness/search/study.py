"""The study: Optuna chooses what to try next; whatever is finished is in its database at once."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from harness.core.errors import KpiError, reason
from harness.spec.search_space import Choice, Node, Picked

if TYPE_CHECKING:
    import optuna

_STARTUP = 8
_PICKED, _RECORD = "picked", "record"


class Study:
    """The candidates of one KPI in one space, in ``study.db`` below ``folder``; one process at a time.

    Raises KpiError when Optuna is not installed, when the database can't be used, or when another search has it.
    """

    def __init__(self, folder: Path, identity: str, seed: int) -> None:
        self._optuna = import_optuna()
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(folder / "study.lock")
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise KpiError("another search for this KPI is running here", "wait for it, or stop it") from None
        self._seed = seed
        try:
            storage = self._optuna.storages.RDBStorage(_url(folder), engine_kwargs={"connect_args": {"timeout": 60}})
            # Checks are about artifacts, so that they outlive a change of the space or of a bound.
            self._checks = self._study("checks", storage)
            self.study = self._study(hashlib.sha256(identity.encode()).hexdigest()[:32], storage)
        except Exception as error:
            if type(error).__module__.partition(".")[0] not in ("optuna", "sqlalchemy", "sqlite3", "alembic"):
                raise
            raise KpiError(
                f"{folder / 'study.db'} can't be used: {reason(error, 200)}",
                "remove the folder to start again",
            ) from error
        self._kept: dict[str, Any] = dict(self._checks.user_attrs)

    def _study(self, name: str, storage: Any) -> Any:
        return self._optuna.create_study(study_name=name, storage=storage, direction="maximize", load_if_exists=True)

    def close(self) -> None:
        """Lets another search have the study."""
        self._lock.release()

    # ---- checks -----------------------------------------------------------------------------------------------

    def get(self, key: str) -> dict[str, Any] | None:
        """A finished check."""
        found: dict[str, Any] | None = self._kept.get(key)
        return found

    def put(self, key: str, seen: dict[str, Any]) -> None:
        """Keeps a finished check."""
        self._checks.set_user_attr(key, seen)
        self._kept[key] = seen

    # ---- candidates -------------------------------------------------------------------------------------------

    def finished(self) -> list[tuple[Picked, dict[str, Any]]]:
        """What was picked for the candidates that are finished, with their records, in their order."""
        return [(trial.user_attrs[_PICKED], trial.user_attrs[_RECORD]) for trial in self._trials("COMPLETE")]

    def take_up(self) -> int:
        """Queues what a killed run was about, to be tried first; returns how many that are."""
        stopped = self._trials("RUNNING")
        for trial in stopped:
            if _PICKED in trial.user_attrs:
                self.study.enqueue_trial(trial.params)
            self.study.tell(trial.number, state=self._optuna.trial.TrialState.FAIL)
        return len(stopped)

    def _trials(self, state: str) -> Sequence[Any]:
        wanted = (self._optuna.trial.TrialState[state],)
        found: Sequence[Any] = self.study.get_trials(deepcopy=False, states=wanted)
        return found

    def ask(self, again: int) -> Asked:
        """The next one to try: what Optuna suggests after all that is finished, whenever the search was stopped.

        ``again`` counts the suggestions since then that were no new ones.
        """
        count = len(self._trials("COMPLETE"))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # multivariate TPE is marked experimental
            self.study.sampler = self._optuna.samplers.TPESampler(
                n_startup_trials=_STARTUP,
                multivariate=True,
                group=True,
                seed=self._seed * 100_003 + 101 * count + again,
            )
            return Asked(self.study.ask())

    def enqueue(self, params: Mapping[str, Any]) -> None:
        """Asks for a certain one next."""
        self.study.enqueue_trial(dict(params))

    def tell(self, asked: Asked, worst: float, record: dict[str, Any]) -> None:
        """A candidate is finished: its record, and the margin of its worst target, which is to become large."""
        asked.trial.set_user_attr(_RECORD, record)
        self.study.tell(asked.trial, worst)

    def forget(self, asked: Asked) -> None:
        """The candidate was tried before: this time it counts for nothing."""
        self.study.tell(asked.trial, state=self._optuna.trial.TrialState.FAIL)


class Asked:
    """One suggestion; its nodes are asked for as the table is walked."""

    def __init__(self, trial: optuna.trial.Trial) -> None:
        self.trial = trial
        self.picked: dict[str, Any] = {}

    def pick(self, place: str, node: Node) -> Any:
        """What is suggested at a node."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a range whose last step is cut short
            if isinstance(node, Choice):
                made: Any = self.trial.suggest_categorical(place, node.labels)
            elif node.whole:
                made = self.trial.suggest_int(
                    place, int(node.low), int(node.high), step=int(node.step or 1), log=node.log
                )
            else:
                made = self.trial.suggest_float(place, node.low, node.high, step=node.step, log=node.log)
        self.picked[place] = made
        return made

    def begin(self) -> None:
        """Notes what was picked, so that a killed run can be taken up."""
        self.trial.set_user_attr(_PICKED, self.picked)


def _url(folder: Path) -> str:
    """The database's address; a folder's name may hold what means something in one."""
    from sqlalchemy import URL

    return str(URL.create("sqlite", database=str((folder / "study.db").resolve())))


def import_optuna() -> Any:
    """Optuna, quiet; KpiError with the line that installs it."""
    try:
        import optuna
        import sqlalchemy  # noqa: F401 - Optuna imports it when the storage is opened
    except ImportError as error:
        raise KpiError(f"kpi search needs {error.name or 'optuna'}", "pip install 'kpi-tests[search]'") from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


def folder_of(root: Path, kpi: str) -> Path:
    """Where the search for a KPI keeps its state: a name can hold anything, a folder's can't."""
    digest = hashlib.sha256(json.dumps(kpi).encode()).hexdigest()[:12]
    stem = "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "-" for c in kpi)[:40].strip("-")
    return root / ".kpi" / "search" / (f"{stem}-{digest}" if stem else digest)
