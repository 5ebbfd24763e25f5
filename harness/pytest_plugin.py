"""The pytest plugin: targets become tests, answers become outcomes; the only module that imports pytest."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.build.ahead import BuildAhead
from harness.build.pool import parts_of
from harness.build.store import Store
from harness.core.attempts import Attempts
from harness.core.errors import KpiError, SpecError, Unavailable, reason, suggest
from harness.evidence.explain import explain
from harness.evidence.history.database import History
from harness.evidence.ledger import Ledger
from harness.evidence.model import Known, TargetResult
from harness.evidence.writer import line
from harness.gate import Gate, Measured
from harness.judge.order import needed
from harness.judge.selection import (
    Selection,
    arguments_of,
    judges_targets,
    marker_lines,
    send_deselected,
    sent_deselected,
    target_of,
)
from harness.judge.verdict import Verdict
from harness.measure.machine.detect import detect
from harness.options import Options, add_options, misread, near
from harness.reports.annotations import Announcer
from harness.reports.benchmark import Replay, wanted_samples
from harness.reports.header import header
from harness.reports.junit import fail_run, name_case, properties
from harness.reports.progress import Progress
from harness.reports.recorder import Recorder
from harness.spec.model import Spec, Target
from harness.spec.reaching import reached_by
from harness.spec.reader import read_spec

if TYPE_CHECKING:
    from _pytest.terminal import TerminalReporter

Judge = Callable[[Target, Measured], None]
_PLUGIN = "kpi-gate"
_BUILT_AHEAD, _BUILDERS = 3, 2
_ANSWER = pytest.StashKey[TargetResult]()
_WORDS = {
    Verdict.UNAVAILABLE: ("unavailable", "u", "UNAVAILABLE"),
    Verdict.INCONCLUSIVE: ("inconclusive", "i", "INCONCLUSIVE"),
    Verdict.OFF_TARGET: ("off target", "o", "OFF_TARGET"),
}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the options that every use of the gate shares."""
    add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Registers the markers and the plugin's one object."""
    if wrong := misread(config):
        raise pytest.UsageError(wrong)
    for marker in marker_lines():
        config.addinivalue_line("markers", marker)
    config.pluginmanager.register(KpiPlugin(config), _PLUGIN)


@pytest.fixture
def measured(request: pytest.FixtureRequest, target: Target) -> Measured:
    """Builds what the target is about and measures it; what can't be measured ends here, not in the test."""
    return _plugin(request).measure(request.node, target)


@pytest.fixture
def judge(request: pytest.FixtureRequest) -> Judge:
    """Turns a finding into the test's outcome: passes, fails, or says why it proves nothing here."""
    plugin = _plugin(request)
    return lambda target, finding: plugin.judge(request, target, finding)


def _plugin(request: pytest.FixtureRequest) -> KpiPlugin:
    found = request.config.pluginmanager.get_plugin(_PLUGIN)
    assert isinstance(found, KpiPlugin)
    return found


class KpiPlugin:
    """One object for one pytest run; with pytest-xdist one in each worker as well, which does not keep the ledger."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.options = Options.from_config(config)
        self.started = datetime.now(UTC)
        self.worker: dict[str, Any] | None = getattr(config, "workerinput", None)
        self.spec: Spec | None = None
        self.selection: Selection | None = None
        self.recorder: Recorder | None = None
        self.missing = False
        self._gate: Gate | None = None
        self._progress: Progress | None = None
        self._announcer: Announcer | None = None
        self._answers: list[tuple[Target, TargetResult]] = []
        self._selected: list[Target] = []

    # ---- collection -------------------------------------------------------------------------------------------

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        options = self.options
        if self.worker is None:
            reporter: TerminalReporter | None = self.config.pluginmanager.get_plugin("terminalreporter")
            # Where pytest itself writes: what is printed elsewhere may be captured.
            self._announcer = Announcer(reporter._tw._file if reporter else sys.stdout, options.annotations)  # noqa: SLF001
        if not (options.kpis.exists() or options.named or options.release):
            return
        try:
            spec = reached_by(read_spec(options.kpis), options.reach)
            self.spec = spec.with_prompts(options.prompts) if options.prompts else spec
        except SpecError as error:
            raise pytest.UsageError(str(error)) from None
        known = {target.id for target in self.spec.targets}
        if unknown := sorted(options.only - known):
            raise pytest.UsageError(f"--kpi-only: {suggest(unknown[0], known, 'target')}")
        self.selection = Selection(self.spec)
        # Those of metrics that the file's own plug-ins bring are known only now.
        own = [f"{mark}: KPIs that {options.kpis.name} marks so" for mark in self.selection.own_markers]
        for marker in [*marker_lines(), *own]:
            if marker not in self.config.getini("markers"):
                self.config.addinivalue_line("markers", marker)
        if self.worker is not None:
            return
        ledger = Ledger(self.spec)
        self.recorder = Recorder(
            ledger,
            options.out,
            self.started,
            release=options.release,
            resume=options.resume,
            history=History(options.runs),
            annotations=options.annotations,
        )
        if options.release and not options.collect_only:
            self._prepare(self.recorder)
            self.recorder.active = True

    def pytest_pycollect_makeitem(
        self, collector: pytest.Collector, name: str, obj: object
    ) -> list[pytest.Item] | None:
        """A kind of metric that no KPI asks for makes no test, not a skipped one; tests of others stay."""
        if self.selection is None or not name.startswith("test") or not judges_targets(arguments_of(obj)):
            return None
        marks = [mark.name for mark in (*getattr(obj, "pytestmark", []), *collector.iter_markers())]
        return None if self.selection.targets(marks, collector.path.parent) else []

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        if not judges_targets(metafunc.fixturenames):
            return
        if self.selection is None:
            self.missing = True
            metafunc.parametrize("target", [])
            return
        test, selection = metafunc.definition, self.selection
        targets = selection.targets((mark.name for mark in test.iter_markers()), test.path.parent)
        marked = [(target, [getattr(pytest.mark, name) for name in selection.markers(target)]) for target in targets]
        metafunc.parametrize("target", [pytest.param(target, id=target.id, marks=marks) for target, marks in marked])

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        if self.missing and self.worker is not None:
            items.clear()
        elif self.missing:
            raise pytest.UsageError(f"{self.options.kpis} is not there: nothing is promised; name one with --kpis FILE")
        options = self.options
        if self.selection is not None and (options.only or options.part):
            left_out = self.selection.leave_out(items, options.only, options.part)
            self.config.hook.pytest_deselected(items=left_out)
        if self.selection is not None:
            self.selection.reorder(items)
        if self.recorder and not self.options.collect_only and any(target_of(item) for item in items):
            self._prepare(self.recorder)
            self.recorder.active = True

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._selected = [target for item in session.items if (target := target_of(item))]
        if self.recorder:
            self.recorder.begin()

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        keys = [target.key for item in items if (target := target_of(item))]
        if self.recorder:
            self.recorder.deselected.update(keys)
        elif self.worker is not None:
            send_deselected(self.config, keys)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        if self.recorder:
            self.recorder.deselected.update(sent_deselected(node))

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: Sequence[str]) -> None:
        if self.recorder and self.spec and not self.options.collect_only:
            known = {target.id for target in self.spec.targets}
            self.recorder.active |= any(name.partition("[")[2].removesuffix("]") in known for name in ids)
            self.recorder.begin()

    def _prepare(self, recorder: Recorder) -> str:
        """Makes the run's folder now, so that evidence that can't be kept is said before anything is measured."""
        try:
            return str(recorder.folder)
        except OSError as error:
            said = f"the evidence can't be kept in {recorder.out}: {error.strerror}; name a folder with --kpi-out=DIR"
            raise pytest.UsageError(said) from None

    def pytest_report_header(self) -> list[str]:
        """Which file is judged by, how much it promises, on which machine."""
        if self.spec is None:
            return []
        return header(self.spec, near(self.options.kpis, self.config.invocation_params.dir), detect())

    # ---- one target -------------------------------------------------------------------------------------------

    @property
    def gate(self) -> Gate:
        """Made when the first target needs it."""
        if self._gate is None:
            if self.spec is None:
                raise RuntimeError("a target without a spec")
            worker = self.worker or {}
            if self.recorder is not None:
                folder, stopped = self.recorder.folder, self.recorder.stopped
                earlier = self.recorder.earlier(self.options.attempt)
            else:
                folder, stopped = Path(worker["kpi_folder"]), [Path(name) for name in worker["kpi_stopped"]]
                earlier = Attempts.from_json(worker["kpi_earlier"])
            store = Store()
            self._gate = Gate(
                self.spec,
                detect(),
                store,
                folder,
                self.draw,
                tag=str(worker.get("workerid", "")),
                install=self.options.install,
                stopped=stopped,
                ahead=self._build_ahead(self.spec, store, folder),
                earlier=earlier,
            )
            if self.worker is None:
                self._gate.expect(self._selected)
        return self._gate

    def _build_ahead(self, spec: Spec, store: Store, folder: Path) -> BuildAhead | None:
        """Builds what the selected targets need, several workloads at once; few recipes are built as they come."""
        recipes = needed(spec, self._selected, detect()) if self.worker is None else []
        if len(recipes) < _BUILT_AHEAD:
            return None
        options = self.options
        parts = parts_of(spec, recipes, store.root, install=options.install, prompts=options.prompts)
        return BuildAhead(parts, min(_BUILDERS, detect().cores), folder / "build-ahead.log")

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        # Workers write their measurements where the controller keeps the evidence.
        if self.recorder is not None:
            node.workerinput["kpi_folder"] = self._prepare(self.recorder)
            node.workerinput["kpi_earlier"] = self.recorder.earlier(self.options.attempt).to_json()
            node.workerinput["kpi_stopped"] = [str(folder) for folder in self.recorder.stopped]

    def draw(self, text: str) -> None:
        """Says what is going on, where somebody watches."""
        if self._progress is None:
            reporter: TerminalReporter | None = self.config.pluginmanager.get_plugin("terminalreporter")
            watched = reporter is not None and self.worker is None and reporter.isatty
            self._progress = Progress(reporter._tw if reporter and watched else None)  # noqa: SLF001
        capture = self.config.pluginmanager.get_plugin("capturemanager")
        self._progress.draw(text, capture.global_and_fixture_disabled() if capture else nullcontext())

    def measure(self, item: pytest.Item, target: Target) -> Measured:
        """Measures, or ends the test as unavailable or in error."""
        try:
            return self.gate.measure(target)
        except KpiError as error:
            verdict = Verdict.UNAVAILABLE if isinstance(error, Unavailable) else Verdict.ERROR
            answer = TargetResult(verdict, error.message, remedy=error.remedy, cause=error.cause)
        finally:
            self.draw("")
        self._settle(item, target, answer)
        raise RuntimeError("a target that could not be measured was settled as if it had been")

    def judge(self, request: pytest.FixtureRequest, target: Target, finding: Measured) -> None:
        """Answers the target from what was measured."""
        if samples := wanted_samples(self.config, target, finding, self.gate.campaign):
            request.node.add_marker(pytest.mark.benchmark(timer=Replay(samples)))
            request.getfixturevalue("benchmark").pedantic(lambda: None, rounds=len(samples), iterations=1)
        self._settle(request.node, target, self.gate.answer(target, finding))

    def _settle(self, item: pytest.Item, target: Target, answer: TargetResult) -> None:
        item.stash[_ANSWER] = answer
        self._answers.append((target, answer))
        machine = self._gate.place(target).known if self._gate else detect()
        item.user_properties.extend(properties(target, answer, machine))
        said = f"{answer.verdict}: {answer.reason}" + (f" ({answer.remedy})" if answer.remedy else "")
        if answer.verdict in (Verdict.FAIL, Verdict.ERROR) or (self.options.release and answer.verdict != Verdict.PASS):
            pytest.fail("\n".join([f"{target.id}: {said}", *self._explained(target, answer)]), pytrace=False)
        if answer.verdict is not Verdict.PASS:
            pytest.skip(said)

    def _explained(self, target: Target, answer: TargetResult) -> list[str]:
        """What ``kpi explain`` would say, from what this run has measured so far."""
        gate = self.gate
        alike = [(other, found) for other, found in self._answers if other.workload == target.workload]
        so_far = Known(
            machine=gate.place(target).machine,
            targets=[line(gate.spec, other, found) for other, found in alike],
            measurements=gate.campaign.measurements(target.workload),
        )
        return explain(line(gate.spec, target, answer), so_far, reason=False)

    # ---- outcomes ---------------------------------------------------------------------------------------------

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        target = target_of(item)
        if target is None or (call.excinfo and call.excinfo.errisinstance(KeyboardInterrupt)):
            return report
        answer = item.stash.get(_ANSWER, None)
        if answer is None and report.failed and call.excinfo:
            # A bug, of the harness or of a test: the target still gets its verdict.
            answer = TargetResult(Verdict.ERROR, f"{call.excinfo.typename}: {reason(call.excinfo.value)}")
            item.stash[_ANSWER] = answer
        decisive = report.when == "call" or (report.when == "setup" and not report.passed)
        if answer is not None and decisive:
            # Plain JSON, so that it survives the way from a pytest-xdist worker.
            report.kpi = {"key": list(target.key), "answer": answer.to_json()}  # type: ignore[attr-defined]
        return report

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        found = getattr(report, "kpi", None)
        if found is None:
            return None
        if (verdict := Verdict(found["answer"]["verdict"])) in _WORDS:
            category, letter, word = _WORDS[verdict]
            return ("failed", letter.upper(), word) if report.failed else (category, letter, word)
        return None

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        found = getattr(report, "kpi", None)
        if found is not None and self.recorder is not None:
            self.recorder.record(tuple(found["key"]), TargetResult.from_json(found["answer"]))
            name_case(self.config, report, self.recorder.ledger.spec, found["key"])

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        self.draw("")
        if self._gate is not None:
            self._gate.close()
        recorder = self.recorder
        if recorder is None or not recorder.active:
            return
        stopped = "the run stopped at an earlier failure" if session.shouldfail or session.shouldstop else ""
        recorder.finish("the run was interrupted first" if exitstatus == pytest.ExitCode.INTERRUPTED else stopped)
        unproven = self.options.release and not recorder.ledger.proven
        if exitstatus == pytest.ExitCode.OK and (unproven or (self.options.decided and recorder.ledger.undecided)):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
            fail_run(self.config, recorder.evidence)

    def pytest_terminal_summary(self, terminalreporter: TerminalReporter, exitstatus: int) -> None:
        recorder = self.recorder
        if recorder is None or not recorder.active or recorder.evidence is None:
            if self.spec is not None and exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED:
                terminalreporter.write_line("kpis: no test asks for a target; `pytest --pyargs kpi_tests` does")
            return
        from harness.reports.terminal import render

        writer = terminalreporter._tw  # noqa: SLF001 - where pytest itself writes
        terminalreporter.section("KPIs")
        for text in render(recorder.evidence, min(100, writer.fullwidth), colour=writer.hasmarkup).splitlines():
            terminalreporter.write_line(text)
        for text in recorder.kept(near(recorder.out, self.config.invocation_params.dir)):
            terminalreporter.write_line(text)

    def pytest_unconfigure(self) -> None:
        """Annotations are printed last: what is printed before them can then not pretend to be one."""
        if self._announcer is not None:
            recorder = self.recorder
            self._announcer.end(recorder.evidence if recorder and recorder.active else None, self.options.kpis)
