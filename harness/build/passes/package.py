"""Takes what was released: the artifact of a package, verified and unchanged, to hold others against."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.build.passes import faithful
from harness.build.passes.base import Pass, PassContext
from harness.core.errors import KpiError
from harness.core.formats import REFERENCE
from harness.core.naming import Naming
from harness.core.registry import options_table
from harness.spec.catalog import release_place
from harness.workloads.base import TensorWorkload


class Package(Pass):
    """Unpacks a package's artifact. By its digest it is the same artifact that was measured when it was released."""

    name = "package"
    title = "what was released, from its package"
    input_formats = frozenset({REFERENCE})
    output_format = ""  # that of the artifact in the package
    by_name = True
    effort = 1.0

    @options_table
    class Options:
        """``package``: a path from the TOML's folder on, or a reference with a scheme; ``sha256``: its root digest."""

        package: str
        sha256: str | None = None

    @property
    def tolerance(self) -> float | None:
        """Its answers are what the KPIs are held against, whatever they are."""
        return None

    @classmethod
    def settled(cls, root: Path, options: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, str]]:
        """A pointer may move while the run goes on: what it says now counts. Unavailable where nothing is released."""
        place, pinned = release_place(options["package"], root), options["sha256"]
        current = place.current()
        if pinned not in (None, current.digest):
            raise KpiError(
                f"{options['package']} has the digest {current.digest[:16]}..., pinned is {pinned[:16]}...",
                "pin the new digest (package_sha256) if the change is meant",
            )
        if not place.is_there(current):
            raise KpiError(
                f"the package of {current.told()}, which {options['package']} points to, is not there any more",
                "bring it back, or go back to the release before with `kpi release --rollback`",
            )
        # Its place is not part of its identity.
        same = {"package": current.digest, "sha256": current.digest}
        return {"package": place.fixed(current), "sha256": current.digest}, same

    def run(self, job: PassContext) -> dict[str, Any]:
        place, digest = release_place(self.options.package, job.root), self.options.sha256
        if digest is None:
            raise KpiError("a package is unpacked by its digest", "let the builder look it up")
        job.progress(f"fetching {self.options.package}")
        found = place.unpacked(digest, job.scratch, job.out)
        settings = job.workload.settings
        for what, theirs, ours in (("workload", found.workload, settings.name), ("task", found.task, settings.task)):
            if theirs != ours:
                raise KpiError(
                    f'{self.options.package} is a package of the {what} "{theirs}", not of "{ours}"',
                    "name a package that `kpi release` made of this workload",
                )
        named = found.notes.get("naming")
        notes = {"format": found.format, "before": found.steps, "released": found.told, "naming": named}
        if isinstance(job.workload, TensorWorkload) and faithful.can_ask(found.format):
            naming = Naming.of(**named) if named else Naming()
            notes["compared"] = faithful.check_alone(job, self, naming, found.format)
        return {"kpi": found.kpi, "digest": digest, **notes}
