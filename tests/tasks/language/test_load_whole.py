"""The shipped translator behind the embedded server, on the whole way from kpis.toml; what the server says."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import psutil
import pytest

from harness.measure.loadgen.client import Client
from harness.measure.loadgen.dialects import DIALECTS, Wish
from harness.tasks.language.runtimes.endpoint import EndpointSession, HttpEndpoint
from harness.tasks.language.runtimes.language import LanguageSession
from harness.tasks.language.runtimes.openvino_genai import OpenVinoGenAi
from tests.support.project import ROOT, Project, copied_project

pytestmark = pytest.mark.suite

pytestmark = pytest.mark.suite


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, shared_store: Path) -> Project:
    """A project with the shipped translator, its one artifact built by a run."""
    project = copied_project("served", tmp_path_factory.mktemp("project"), shared_store)
    shutil.copytree(
        ROOT / "fixtures", project.folder / "fixtures", ignore=shutil.ignore_patterns("food11", "__pycache__")
    )
    done = project.pytest(timeout=900)
    assert done.returncode == 1, done.stdout + done.stderr
    return project


@pytest.mark.long
def test_every_figure_is_measured_and_every_request_answered(served: Project) -> None:
    verdicts = served.verdicts()
    assert verdicts.pop("nowhere:errors") == "UNAVAILABLE"
    assert verdicts.pop("wrong:tpot") == "ERROR"
    assert set(verdicts.values()) <= {"PASS", "INCONCLUSIVE"}, verdicts
    evidence = served.evidence()
    targets = {target["id"]: target for target in evidence["targets"]}
    # Others on the machine disturb times; then it must say so.
    assert all(t["verdict"] != "INCONCLUSIVE" or "disturbed" in t["reason"] for t in targets.values()), targets
    assert "can't play scenario generate" in targets["wrong:tpot"]["reason"]
    assert "no server is ready at http://127.0.0.1:9" in targets["nowhere:errors"]["reason"]
    (measured,) = [m for m in evidence["measurements"] if m["scenario"] == "load" and m["processes"]]
    for process in measured["processes"]:
        assert process["details"]["failed"] == 0
        assert process["completed"] == len(process["samples_s"]) >= 10
        assert set(process["series"]["tokens"]) == {6.0}
        assert all(
            0 < ttft <= wall for ttft, wall in zip(process["series"]["ttft_s"], process["samples_s"], strict=True)
        )
        assert process["proof"]["runtime"] == "HTTP endpoint, openai-chat"
        assert '"device": "CPU"' in process["proof"]["details"]["server"]
        # The server's work is the artifact's: it is not a disturbance.
        assert process["system"]["own"] > 0


@pytest.fixture(scope="module")
def artifact(served: Project) -> Path:
    """What the run built."""
    digest = next(target["artifact"] for target in served.evidence()["targets"] if target["id"] == "served:errors")
    manifests = (served.store / "objects").glob("*/manifest.json")
    return next(m.parent for m in manifests if json.loads(m.read_text(encoding="utf-8"))["digest"] == digest)


@pytest.fixture(scope="module")
def session(artifact: Path) -> Iterator[EndpointSession]:
    """The server, started once more."""
    loaded = HttpEndpoint(HttpEndpoint.Options(command=COMMAND)).load(artifact, "cpu", 1, profile=False)
    assert isinstance(loaded, EndpointSession)
    yield loaded
    loaded.close()


PLACES = ("--artifact", "{artifact}", "--device", "{device}", "--port", "{port}")
COMMAND = ("{python}", "-m", "harness.tasks.language.servers.openai_compatible", *PLACES)


def post(session: EndpointSession, path: str, body: object) -> dict[str, Any]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = Request(session.endpoint.url + path, data, {"Content-Type": "application/json"})
    try:
        with urlopen(request, timeout=60) as answer:
            found: dict[str, Any] = json.loads(answer.read())
    except HTTPError as error:
        found = {"status": error.code, **json.loads(error.read())}
    return found


FRENCH = "Translate into English: Leur lune était assez énorme."


def test_streamed_or_whole_alone_or_among_others_the_answer_is_that_of_the_library(
    session: EndpointSession, artifact: Path
) -> None:
    messages = [{"role": "user", "content": FRENCH}]
    whole = post(session, "/v1/chat/completions", {"model": "model", "messages": messages, "max_tokens": 12})
    text = whole["choices"][0]["message"]["content"]
    assert "moon" in text
    library = OpenVinoGenAi(OpenVinoGenAi.Options()).load(artifact, "cpu", None, profile=False)
    assert isinstance(library, LanguageSession)
    inside = library.generate(FRENCH, 12)
    assert (inside.text, inside.tokens) == (text, whole["usage"]["completion_tokens"])
    assert inside.prompt_tokens == whole["usage"]["prompt_tokens"]
    assert whole["usage"]["total_tokens"] == whole["usage"]["prompt_tokens"] + whole["usage"]["completion_tokens"]
    assert whole["choices"][0]["finish_reason"] in {"stop", "length"}
    with Client(session.endpoint, [FRENCH, "Translate into English: Le chat dort."], Wish(12)) as client:
        busy = client.closed(8, lambda sent, _: sent >= 32)
        assert {reply.error for reply in busy} == {""}
        # Two prompts in turn, so that there are two lengths at most, one of them that of the answer alone.
        lengths = {reply.tokens for reply in busy}
        assert whole["usage"]["completion_tokens"] in lengths
        assert len(lengths) <= 2
    body = {"model": "model", "messages": messages, "max_tokens": 12, "stream": True}
    request = Request(session.endpoint.url + "/v1/chat/completions", json.dumps(body).encode())
    request.add_header("Content-Type", "application/json")
    with urlopen(request, timeout=60) as answer:
        streamed = answer.read()
    events = [json.loads(line[6:]) for line in streamed.splitlines() if line.startswith(b"data: {")]
    assert "".join(event["choices"][0]["delta"]["content"] for event in events) == text
    assert streamed.endswith(b"data: [DONE]\n\n")


def test_a_variable_that_would_change_nothing_is_refused(session: EndpointSession) -> None:
    asked = {"model": "model", "messages": [{"role": "user", "content": FRENCH}], "max_tokens": 4}
    for variables, said in (
        ({"enable_thinking": False}, "the chat template has no variable enable_thinking"),
        ({"messages": "x"}, "messages is set by the runtime"),
    ):
        found = post(session, "/v1/chat/completions", {**asked, "chat_template_kwargs": variables})
        assert found["status"] == 400
        assert said in found["error"]["message"]


@pytest.mark.parametrize("protocol", ["openai", "openai-chat"])
@pytest.mark.parametrize("stream", [True, False])
def test_an_answer_has_exactly_as_many_tokens_as_asked_for(
    session: EndpointSession, protocol: str, *, stream: bool
) -> None:
    endpoint = dataclasses.replace(session.endpoint, dialect=DIALECTS[protocol])
    with Client(endpoint, [FRENCH], Wish(40, exactly=True, stream=stream)) as client:
        reply = client.one()
    assert (reply.error, reply.tokens) == ("", 40)


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"model": "other", "prompt": "x"}, 404, "the model 'other' does not exist"),
        ({"model": "model"}, 400, "prompt: Field required"),
        ({"model": "model", "prompt": "x", "best_of": 3}, 400, "best_of: Extra inputs"),
        ({"model": "model", "prompt": "x", "n": 2}, 400, "n: Input should be 1"),
        ({"model": "model", "prompt": "x", "max_tokens": 0}, 400, "max_tokens: Input should be greater"),
        ({"model": "model", "prompt": "x", "max_tokens": 256}, 400, "this model takes 256 tokens, not "),
        ({"model": "model", "prompt": ""}, 400, "prompt: String should have at least 1 character"),
        (b'{"model": ', 400, "JSON decode error"),
        (b'["x"]', 400, "Input should be a valid dictionary"),
    ],
)
def test_what_can_not_be_done_is_refused_as_openai_does(
    session: EndpointSession, body: object, status: int, said: str
) -> None:
    answer = post(session, "/v1/completions", body)
    assert answer["status"] == answer["error"]["code"] == status
    assert said in answer["error"]["message"]
    assert answer["error"]["type"] == "invalid_request_error"


def test_who_hangs_up_leaves_no_work_behind(session: EndpointSession) -> None:
    endpoint = dataclasses.replace(session.endpoint, timeout_s=0.05)
    with Client(endpoint, [FRENCH], Wish(200, exactly=True)) as client:
        assert {reply.error for reply in client.closed(4, lambda sent, _: sent >= 40)} == {"time-out"}
    server = next(p for p in psutil.Process().children(recursive=True) if "openai_compatible" in " ".join(p.cmdline()))
    for _ in range(100):
        if server.cpu_percent(interval=0.2) < 20:
            break
    else:
        pytest.fail("the server goes on for nobody")
    with Client(session.endpoint, [FRENCH], Wish(4)) as client:
        assert client.one().error == ""
