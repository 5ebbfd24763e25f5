"""Whatever a worker process does, its caller gets the result or one clean line, and the process is gone."""

from __future__ import annotations

import os
import sys
import textwrap
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from harness.core.errors import KpiError, Unavailable
from harness.core.processes import call_worker
from harness.core.protocol import VERSION

ROOT = Path(__file__).resolve().parents[2]
Call = Callable[..., dict[str, Any]]


@pytest.fixture
def call(tmp_path: Path) -> Call:
    """Writes a worker module, calls it; the body is that of ``handle(request, progress)`` unless it is a whole one."""

    def caller(
        body: str, request: Mapping[str, Any] | None = None, *, timeout: float = 60, whole: bool = False, **more: Any
    ) -> dict[str, Any]:
        text = textwrap.dedent(body)
        if not whole:
            head = "import sys, os, time\nfrom harness.core.errors import KpiError, Unavailable\n"
            head += "from harness.core.protocol import serve\n\ndef handle(request, progress):\n"
            text = head + textwrap.indent(text, "    ") + "\nsys.exit(serve(handle))\n"
        (tmp_path / "worker_under_test.py").write_text(text, encoding="utf-8")
        paths = os.pathsep.join([str(tmp_path), str(ROOT)])
        return call_worker(
            "worker_under_test",
            request or {},
            log=tmp_path / "logs" / "worker.log",
            timeout=timeout,
            environment={"PYTHONPATH": paths, **more.pop("environment", {})},
            **more,
        )

    return caller


def all_gone(pids: Path) -> bool:
    """Whether the processes listed in a file ended, be it that nobody has asked how yet; ends those that did not."""
    left = []
    for pid in map(int, pids.read_text().split()):
        try:
            left.append(psutil.Process(pid))
        except psutil.NoSuchProcess:
            continue
    end = time.monotonic() + 5
    while left and time.monotonic() < end:
        time.sleep(0.02)
        left = [process for process in left if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
    for process in left:
        process.kill()
    return not left


def test_a_result_comes_back(call: Call) -> None:
    result = call(
        "return {'got': request['numbers'], 'protocol': request['protocol']}", {"numbers": [1, 2.5, "µ", None]}
    )
    assert result == {"got": [1, 2.5, "µ", None], "protocol": VERSION}


def test_a_large_request_and_a_large_result_come_through(call: Call) -> None:
    text = "x" * 3_000_000
    assert call("return {'echo': request['text'] * 2}", {"text": text}) == {"echo": text * 2}


def test_progress_is_told_in_order(call: Call) -> None:
    told: list[str] = []
    result = call("for i in range(3): progress(f'step {i}')\nreturn {}", progress=told.append)
    assert result == {}
    assert told == ["step 0", "step 1", "step 2"]


def test_what_libraries_print_does_not_disturb(call: Call, tmp_path: Path) -> None:
    body = """
    print('{"protocol": 1, "result": "from a library"}', flush=True)
    sys.stdout.write('half a line')
    os.write(1, b'from C\\n')
    os.system('echo from a shell')
    return {'mine': 1}
    """
    assert call(body) == {"mine": 1}
    log = (tmp_path / "logs" / "worker.log").read_text()
    assert "from a library" in log
    assert "from C" in log
    assert "from a shell" in log


def test_the_log_is_kept_from_call_to_call(call: Call, tmp_path: Path) -> None:
    for word in ("first", "second"):
        call(f"print({word!r}, file=sys.stderr)\nreturn {{}}")
    assert (tmp_path / "logs" / "worker.log").read_text().split() == ["first", "second"]


@pytest.mark.parametrize(
    ("body", "kind", "message", "remedy"),
    [
        ("raise Unavailable('no npu', 'buy one')", Unavailable, "no npu", "buy one"),
        ("raise KpiError('ran on the CPU', 'say cpu')", KpiError, "ran on the CPU", "say cpu"),
        ("raise KpiError('two\\nlines')", KpiError, "two lines", ""),
        ("raise ValueError('bad shape\\nand more')", KpiError, "ValueError: bad shape and more", ""),
        ("raise ValueError('\\n  \\nlate')", KpiError, "ValueError: late", ""),
        ("raise ValueError", KpiError, "ValueError", ""),
        ("raise ValueError('x' * 9999)", KpiError, "ValueError: " + "x" * 200 + " ... " + "x" * 395, ""),
        ("raise ValueError('\\udcff')", KpiError, "ValueError: \udcff", ""),
        ("import nothing_of_that_name", KpiError, "ModuleNotFoundError: No module named 'nothing_of_that_name'", ""),
        ("raise MemoryError", KpiError, "out of memory", ""),
        ("return {'not': {1, 2}}", KpiError, "TypeError: Object of type set is not JSON serializable", ""),
        ("return {}['absent']", KpiError, "KeyError: 'absent'", ""),
    ],
)
def test_what_a_worker_raises_is_one_clean_line(
    call: Call, body: str, kind: type[KpiError], message: str, remedy: str
) -> None:
    with pytest.raises(KpiError) as caught:
        call(body)
    assert type(caught.value) is kind
    assert (caught.value.message, caught.value.remedy) == (message, remedy)


def test_a_real_lack_of_memory_is_said_so(call: Call) -> None:
    body = """
    import resource
    resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))
    return {'size': len(bytearray(2**34))}
    """
    with pytest.raises(KpiError, match=r"^out of memory$"):
        call(body)


def test_the_trace_of_an_exception_is_in_the_log(call: Call, tmp_path: Path) -> None:
    with pytest.raises(KpiError):
        call("raise ValueError('bad shape')")
    assert "Traceback" in (tmp_path / "logs" / "worker.log").read_text()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("os.kill(os.getpid(), 9)", "died of SIGKILL; was the machine out of memory?"),
        ("os.kill(os.getpid(), 11)", "died of SIGSEGV"),
        ("os.abort()", "died of SIGABRT"),
        ("os._exit(0)", "ended with exit code 0 without an answer"),
        ("sys.exit(3)", "ended with exit code 3 without an answer"),
        ("print('the last words', file=sys.stderr)\nos._exit(5)", "exit code 5 without an answer: the last words"),
    ],
)
def test_a_worker_that_dies_is_said_how(call: Call, body: str, said: str) -> None:
    with pytest.raises(KpiError, match="worker_under_test") as caught:
        call(body)
    assert said in caught.value.message
    assert "\n" not in str(caught.value)


def test_last_words_of_an_earlier_worker_are_not_repeated(call: Call) -> None:
    call("print('of another one', file=sys.stderr)\nreturn {}")
    with pytest.raises(KpiError) as caught:
        call("os._exit(5)")
    assert "of another one" not in str(caught.value)


@pytest.mark.parametrize(
    "printed",
    ["Segmentation fault", "{'a': 1}", "[1]", "null", "7", "", "\xff\xfe", "{", '"text"', "[" * 100_000],
    ids=lambda text: repr(text[:12]),
)
def test_garbage_is_no_answer(call: Call, printed: str) -> None:
    with pytest.raises(KpiError, match="worker printed something that is not an answer") as caught:
        call(
            f"import sys\nsys.stdin.read()\nsys.stdout.buffer.write({printed!r}.encode('latin-1') + b'\\n')", whole=True
        )
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("version", ["0", "2", '"1"', "null"])
def test_another_protocol_is_refused(call: Call, version: str) -> None:
    answer = f'{{"protocol": {version}, "result": {{"latency": 0}}}}'
    with pytest.raises(KpiError, match=f"this harness {VERSION}"):
        call(f"import sys\nsys.stdin.read()\nprint({answer!r})", whole=True)


def test_a_worker_refuses_a_request_of_another_protocol(call: Call) -> None:
    with pytest.raises(KpiError, match=f"this worker speaks protocol {VERSION}, the request is in 7"):
        call("return {}", {"protocol": 7})


@pytest.mark.parametrize("size", [10, 3_000_000], ids=["small", "large"])
def test_a_worker_that_does_not_listen_is_no_crash(call: Call, size: int) -> None:
    with pytest.raises(KpiError, match="exit code 4 without an answer"):
        call("import os\nos._exit(4)", {"text": "x" * size}, whole=True)


def test_a_worker_that_is_not_there_says_why(tmp_path: Path) -> None:
    with pytest.raises(KpiError, match="No module named"):
        call_worker("harness.no_such_worker", {}, log=tmp_path / "log", timeout=60)


HANG = """
import subprocess
child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])
open(request['pids'], 'w').write(f'{os.getpid()} {child.pid}')
"""


@pytest.mark.parametrize("stubborn", [False, True], ids=["plain", "ignores SIGTERM"])
def test_a_worker_that_hangs_is_killed_with_its_children(call: Call, tmp_path: Path, stubborn: bool) -> None:  # noqa: FBT001
    body = HANG + ("import signal\nsignal.signal(15, signal.SIG_IGN)\n" if stubborn else "") + "time.sleep(600)"
    start = time.monotonic()
    with pytest.raises(KpiError, match="hung and was killed after 1 s"):
        call(body, {"pids": str(tmp_path / "pids")}, timeout=1)
    assert time.monotonic() - start < 30
    assert all_gone(tmp_path / "pids")


def test_children_of_a_worker_that_answered_are_ended_too(call: Call, tmp_path: Path) -> None:
    assert call(HANG + "return {}", {"pids": str(tmp_path / "pids")}) == {}
    assert all_gone(tmp_path / "pids")


def test_children_of_a_worker_that_died_are_ended_too(call: Call, tmp_path: Path) -> None:
    with pytest.raises(KpiError, match="died of SIGKILL"):
        call(HANG + "os.kill(os.getpid(), 9)", {"pids": str(tmp_path / "pids")})
    assert all_gone(tmp_path / "pids")


def test_an_interrupted_caller_leaves_no_worker(call: Call, tmp_path: Path) -> None:
    def interrupt(_: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        call(HANG + "progress('on')\ntime.sleep(600)", {"pids": str(tmp_path / "pids")}, progress=interrupt)
    assert all_gone(tmp_path / "pids")


def test_the_environment_is_handed_over(call: Call) -> None:
    assert call("return {'said': os.environ['WORD']}", environment={"WORD": "yes"}) == {"said": "yes"}


def test_the_current_folder_is_not_imported_from(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trap = tmp_path / "here"
    trap.mkdir()
    (trap / "json.py").write_text("raise RuntimeError('imported from where we happen to stand')")
    monkeypatch.chdir(trap)
    assert call("return {'ok': 1}") == {"ok": 1}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent died")
def test_a_worker_dies_with_its_caller(call: Call, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    worker = f"open({str(pids)!r}, 'w').write(str(os.getpid()))\nprogress('on')\ntime.sleep(600)"
    caller = """
    import pathlib
    from harness.core.processes import call_worker
    pathlib.Path('worker_of_worker.py').write_text(request['source'])
    call_worker('worker_of_worker', {}, log=pathlib.Path('log'), timeout=60, progress=lambda _: os.kill(os.getpid(), 9),
                environment={'PYTHONPATH': os.getcwd() + os.pathsep + os.environ['PYTHONPATH']})
    """
    head = "import sys, os, time\nfrom harness.core.protocol import serve\n\ndef handle(request, progress):\n"
    source = head + textwrap.indent(worker, "    ") + "\nsys.exit(serve(handle))\n"
    with pytest.raises(KpiError, match="died of SIGKILL"):
        call(f"os.chdir({str(tmp_path)!r})\n" + textwrap.dedent(caller), {"source": source})
    assert all_gone(pids)


def test_the_threads_of_numpy_do_not_spin_in_a_worker(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    assert call("return {'threads': os.environ['OPENBLAS_NUM_THREADS']}") == {"threads": "1"}
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "3")
    assert call("return {'threads': os.environ['OPENBLAS_NUM_THREADS']}") == {"threads": "3"}
