"""The command that releases what was proven, and goes back."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.build.store import Store
from harness.cli.commands.base import Command, evidence_argument, read_asked
from harness.core.errors import KpiError, SpecError, suggest
from harness.core.text import plain

if TYPE_CHECKING:
    from harness.evidence.releases.base import ReleasePlace
    from harness.evidence.releases.moves import Move
    from harness.spec.model import Spec


class Release(Command):
    """``kpi release``."""

    name = "release"
    title = "pack what was proven of a KPI and point to it as what ships; or go back"

    @classmethod
    def arguments(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("kpi", nargs="?", help="a KPI that a run has proven")
        evidence_argument(parser)
        parser.add_argument(
            "--to",
            metavar="PLACE",
            help="releases/NAME.json, oci://REGISTRY/REPOSITORY:TAG or mlflow:models:/NAME@ALIAS; default: the package "
            "of the recipe that the KPI is held against",
        )
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--rollback", action="store_true", help="point to what was released before")
        what.add_argument("--history", action="store_true", help="every move of the pointer, the newest last")

    @classmethod
    def run(cls, chosen: argparse.Namespace) -> int:
        from harness.evidence.releases.releasing import release, rollback
        from harness.spec.reader import read_spec

        spec = read_spec(chosen.kpis) if chosen.kpis.exists() or not chosen.to else None
        place = _place(chosen, spec)
        if chosen.history:
            moves = _moves(chosen.kpi, spec, place)
            for move in moves:
                said = [
                    move.moved,
                    f"{move.action:8}",
                    move.digest[:12],
                    move.kpi,
                    f"commit {move.commit[:12] or 'none'}",
                ]
                print(plain("  ".join(said)))
            return 0
        if chosen.rollback:
            _moves(chosen.kpi, spec, place)
            moved = rollback(place)
        else:
            if chosen.kpi is None:
                raise SpecError(["name the KPI that is released"])
            file, evidence, _ = read_asked(chosen)
            if spec is not None and evidence.kpis_digest != spec.digest:
                other = f"{file} holds verdicts on other promises than {chosen.kpis} makes now"
                raise KpiError(other, f"run `pytest -k {chosen.kpi}` again")
            moved = release(chosen.kpi, file, Store(), place, _against(chosen.kpi, spec, place))
        if moved.before == moved.now:
            print(f"{plain(place)}: {plain(moved.now.told())}, as before")
            return 0
        before = f"before: {moved.before.told()}" if moved.before else "the first release"
        print(f"{plain(place)}: {plain(moved.now.told())} ({plain(before)})")
        if moved.before and not moved.compared:
            print(f"note: {plain(chosen.kpi)} was not held against {plain(moved.before.told())}")
        return 0


def _place(chosen: argparse.Namespace, spec: Spec | None) -> ReleasePlace:
    """Where the pointer is: as the caller says, else as the recipe says that the KPI is held against."""
    from harness.spec.catalog import release_place

    if chosen.to:
        return release_place(chosen.to, Path.cwd())
    if spec is None or chosen.kpi is None:
        raise SpecError(["name the KPI that is released, or with --to the pointer"])
    _check_known(chosen.kpi, spec)
    found = sorted(set(_packages(chosen.kpi, spec).values()))
    if len(found) != 1:
        held = f"{len(found)} packages: {', '.join(found)}" if found else "no recipe with a package"
        raise SpecError([f"{chosen.kpi} is held against {held}; say with --to where it is released"])
    return release_place(found[0], spec.root)


def _check_known(kpi: str, spec: Spec) -> None:
    if kpi not in (known := {one.name for one in spec.kpis}):
        raise SpecError([suggest(kpi, known, "KPI")])


def _packages(kpi: str, spec: Spec) -> dict[str, str]:
    """The recipes with a package that a KPI's targets are held against, with what each names."""
    found = {}
    for target in spec.kpi(kpi).targets:
        for recipe in spec.recipes_of(target)[1:]:
            if recipe.released:
                found[recipe.name] = recipe.released
    return found


def _moves(kpi: str | None, spec: Spec | None, place: ReleasePlace) -> Sequence[Move]:
    """The moves of the place; SpecError where a KPI is named with which it has nothing to do."""
    moves = place.moves()
    known = {move.kpi for move in moves}
    if kpi is not None and known and kpi not in known and not _against(kpi, spec, place):
        raise SpecError([f"{place}: {suggest(kpi, known, 'KPI')}"])
    return moves


def _against(kpi: str, spec: Spec | None, place: ReleasePlace) -> list[str] | None:
    """The recipes that a KPI is held against and that are what the place points to; None where that is not known."""
    from harness.spec.catalog import release_place

    if spec is None or kpi not in {one.name for one in spec.kpis}:
        return None
    return [name for name, text in _packages(kpi, spec).items() if release_place(text, spec.root).is_same(place)]
