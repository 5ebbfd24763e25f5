"""Where the machines of ``kpis.toml`` are: here, or at the end of a way, connected when they are first asked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from harness.core.errors import Unavailable
from harness.core.file_names import file_name
from harness.measure.journal import ReachedMachine
from harness.measure.machine.detect import Detected, mismatch, other_processor
from harness.measure.place import Place, Say
from harness.measure.runner import MeasurementRunner
from harness.spec.model import Machine


class Places:
    """The places of one run; those that are reached are made known to ``campaign``, and what they are is kept.

    ``folder`` is the run's, ``root`` that of ``kpis.toml``, ``store`` this machine's store; with ``install`` a light
    environment that is missing is made.
    """

    def __init__(
        self, campaign: MeasurementRunner, folder: Path, root: Path, store: Path, say: Say, *, install: bool
    ) -> None:
        self._campaign = campaign
        self._folder, self._root, self._store = folder, root, store
        self._say, self._install = say, install

    def of(self, wanted: Machine) -> Place:
        """Where a machine is; nothing is connected yet."""
        known, name = self._campaign.places, wanted.name
        if wanted.reach is None:
            return known[""]
        if name not in known:
            from harness.measure.reach.reached import Reached

            known[name] = Reached(
                wanted,
                self._folder / f"reach-{file_name(name)}.log",
                self._root,
                self._say,
                store=self._store,
                install=self._install,
                met=self._meets(wanted),
            )
        return known[name]

    def is_there(self, wanted: Machine) -> bool:
        """Whether a machine is this one, or is reached and as it should be."""
        try:
            return not mismatch(wanted, self.of(wanted).machine)
        except Unavailable:
            return False

    def close(self) -> None:
        """Ends all connections, and what runs at their other ends."""
        for place in self._campaign.places.values():
            place.close()

    def _meets(self, wanted: Machine) -> Callable[[Detected], None]:
        def met(found: Detected) -> None:
            here = ReachedMachine(found, mismatch(wanted, found), other_processor(wanted, found))
            self._campaign.met(wanted.name, here)

        return met
