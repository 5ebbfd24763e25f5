"""Whatever a fixture does wrong ends as one line that names its file, its line and what was called."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from harness.build.worker import _dispatch
from harness.core.errors import KpiError, Unavailable
from harness.workloads.base import DTYPES, Settings, TensorWorkload
from harness.workloads.checks import checked
from harness.workloads.errors import located, naming_fixture
from harness.workloads.loading import load_workload
from tests.support.project import Project, guide_examples

GUIDE = guide_examples()["fixtures/stripes/__init__.py"]
RETURN = 'return ArraySplit({"image": images[:, None].astype(np.float32)}, labels)'
OWN_SPLIT = """

class Mine(Split):
    def __init__(self, images):
        self.images = images

    @property
    def labels(self):
        LABELS

    def inputs(self, start, stop):
        INPUTS
"""
Load = Callable[[str], TensorWorkload]


def edited(old: str, new: str) -> str:
    assert old in GUIDE
    return GUIDE.replace(old, new)


def own_split(labels: str = "return np.zeros(40, np.int64)", inputs: str = 'return {"image": self.images}') -> str:
    text = edited(RETURN, "return Mine(images[:, None].astype(np.float32))")
    return text + OWN_SPLIT.replace("LABELS", labels).replace("INPUTS", inputs)


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, Any]:
    paths = {"checkpoint": None, "checkpoint_sha256": None, "model": None, "data": None, "cache": str(tmp_path)}
    return {
        "name": "stripes",
        "task": "image-classification",
        "allow_pickle": False,
        "trust_remote_code": False,
        **paths,
    }


@pytest.fixture
def asked(tmp_path: Path, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """``asked(source, read)``: what the build worker says of such a fixture, or of what ``read`` does with it."""
    top = f"mine_{abs(hash(tmp_path))}"

    def ask(source: str, read: Callable[[TensorWorkload], object] | None = None) -> str:
        (tmp_path / top / "stripes").mkdir(parents=True, exist_ok=True)
        (tmp_path / top / "stripes/__init__.py").write_text(source, encoding="utf-8")
        for name in (top, f"{top}.stripes"):
            monkeypatch.delitem(sys.modules, name, raising=False)
        request = {"root": str(tmp_path), "fixture": f"{top}.stripes", "settings": settings, "op": "describe"}

        @naming_fixture
        def reading(request: Mapping[str, Any], _: Callable[[str], None]) -> dict[str, Any]:
            root = Path(request["root"])
            fixture = checked(load_workload(root, request["fixture"], Settings.from_json(settings)), root)
            assert isinstance(fixture, TensorWorkload)
            assert read is not None
            read(fixture)
            return {}

        with pytest.raises(KpiError) as caught:
            (_dispatch if read is None else reading)(request, lambda _: None)
        return str(caught.value).replace(top, "fixtures")

    return ask


IMPORTED = {
    "a syntax error": ("def about(self)", "def about(self", "21: SyntaxError: "),
    "a missing library": ("import numpy as np", "import numpy as np\nimport pandaz", "4: ModuleNotFoundError: "),
    "an error": ("ROWS, COL", 'raise RuntimeError("no data: bücher")\nROWS, COL', "8: RuntimeError: no data: bücher"),
    "an end": ("ROWS, COL", 'raise SystemExit("not today")\nROWS, COL', "8: it ended the process: SystemExit: n"),
    "an open size": ("(1, 16, 16)", "(-1, 16, 16)", '15 in class Stripes: input "image": -1 in the shape (-1'),
    "None as a size": ("(1, 16, 16)", "(None, 16)", 'input "image": None in the shape (None, 16) is'),
    "a name as a size": ("(1, 16, 16)", '("length",)', "is not a whole number above 0"),
    "no size": ("(1, 16, 16)", "()", "a scalar that all samples share is not supported yet"),
    "a number as a shape": ("(1, 16, 16)", "256", 'input "image": the shape must be a tuple, not 256'),
    "another batch axis": ("16)),)", "16), batch_axis=1),)", "unexpected keyword argument 'batch_axis'"),
    "a type": ("16)),)", '16), "flaot32"),)', 'unknown dtype "flaot32"; did you mean "float32"?'),
    "a short type": ("16)),)", '16), "float"),)', 'unknown dtype "float"; write "float32"'),
}  # fmt: skip


@pytest.mark.parametrize(("old", "new", "said"), IMPORTED.values(), ids=IMPORTED)
def test_what_fails_on_import_is_told_with_file_and_line(
    asked: Callable[..., str], old: str, new: str, said: str
) -> None:
    told = asked(edited(old, new))
    assert told.startswith("fixture fixtures.stripes can't be imported: fixtures/stripes/__init__.py:")
    assert said in told
    assert "\n" not in told


ABOUT = 'return {"data": "generated", "weights": "the shapes themselves"}'
DESCRIBED = {
    "an error": ('return "str', 'raise OSError("x")\n        return "str', "19 in fingerprint(): OSError: x"),
    "no fingerprint": ('return "stripes, first version"', "return None", "18 in fingerprint(): it returned None"),
    "an empty one": ('return "stripes, first version"', 'return ""', "18 in fingerprint(): it returned an empty text"),
    "about text": (ABOUT, 'return "x"', "21 in about(): it returned a str"),
    "about a number": ('"generated"', "3", "21 in about(): it returned something that is not text"),
    "one output": ('("logits",)', '("logits")', "12 in class Stripes: outputs must be a tuple of names, not 'logits'"),
    "no output": ('("logits",)', "()", "12 in class Stripes: outputs is empty"),
    "an output twice": ('("logits",)', '("a", "a")', "12 in class Stripes: outputs has a name twice: a, a"),
    "one input": ("16)),)", "16)))", "12 in class Stripes: inputs must be a tuple of TensorSpec, not a TensorSpec"),
    "tuples as inputs": ('TensorSpec("image", (1, 16, 16))', '("image", 3)', "a tuple of TensorSpec, not a tuple"),
}  # fmt: skip


@pytest.mark.parametrize(("old", "new", "said"), DESCRIBED.values(), ids=DESCRIBED)
def test_what_a_fixture_says_of_itself_wrongly(asked: Callable[..., str], old: str, new: str, said: str) -> None:
    told = asked(edited(old, new))
    assert told.startswith("fixtures/stripes/__init__.py:")
    assert said in told


READ = {
    "a raise": (
        edited("random = np", "raise IndexError(name)\n        random = np"),
        '32 in split("evaluation"): IndexError: evaluation',
    ),
    "a tuple": (edited(RETURN, "return images, labels"), '31 in split("evaluation"): it returned a tuple'),
    "a forgotten return": (edited(RETURN, "images"), '31 in split("evaluation"): it returned None'),
    "nothing in it": (edited('"evaluation": 1000', '"evaluation": 0'), '31 in split("evaluation"): the split is empty'),
    "labels in a list": (
        edited(RETURN, RETURN.replace("labels)", "list(labels))")),
        '35 in split("evaluation"): ArraySplit: labels must be a NumPy array, not a list',
    ),
    "fewer labels": (
        edited(RETURN, RETURN.replace("labels)", "labels[:995])")),
        '35 in split("evaluation"): ArraySplit: "image" has 1000 samples, and there are 995 labels',
    ),
    "samples on another axis": (
        edited(RETURN, "return ArraySplit({'image': images.transpose(1, 0, 2)}, labels)"),
        "axis 1 counts the samples; a batch axis other than the first is not supported yet",
    ),
    "an array of arrays": (edited(RETURN, "return ArraySplit(images, labels)"), "ArraySplit: the arrays are an array"),
    "another name": (
        edited(RETURN, RETURN.replace('image"', 'picture"')),
        '31 in split("evaluation"): inputs(0, 16) gives "picture", the fixture declares "image"',
    ),
    "another type": (
        edited(RETURN, RETURN.replace(".astype(np.float32)", "")),
        '31 in split("evaluation"): inputs(0, 16): "image" is float64, its TensorSpec says float32',
    ),
    "another shape": (
        edited(RETURN, RETURN.replace("[:, None]", "")),
        '"image" has the shape (16, 16, 16), expected (16, 1, 16, 16) (TensorSpec gives the shape of one sample)',
    ),
    "NaN": (edited(RETURN, f"images[7, 3] = np.nan\n        {RETURN}"), 'sample 7: "image" holds NaN'),
    "a split that raises": (
        own_split(inputs="raise OSError('disk on fire')"),
        '47 in inputs(0, 16) of split "evaluation": OSError: disk on fire',
    ),
    "labels that raise": (own_split(labels="return self.y"), '44 in labels() of split "evaluation": AttributeError: '),
    "labels without samples": (own_split(labels="return range(40)"), "labels must be a NumPy array, not a range"),
    "all samples at once": (own_split(), "expected (16, 1, 16, 16) (return the samples from start to stop"),
    "the batch second": (
        own_split(inputs="return {'image': self.images[start:stop].swapaxes(0, 1)}"),
        "axis 1 counts the samples; a batch axis other than the first is not supported yet",
    ),
    "no dictionary": (own_split(inputs="return self.images"), "inputs(0, 16) gives an array (return a dictionary"),
}  # fmt: skip


def first_batch(workload: TensorWorkload) -> None:
    split = workload.split("evaluation")
    assert len(split.labels)
    split.inputs(0, 16)


@pytest.mark.parametrize(("source", "said"), READ.values(), ids=READ)
def test_what_a_split_gives_wrongly(asked: Callable[..., str], source: str, said: str) -> None:
    told = asked(source, first_batch)
    assert told.startswith("fixtures/stripes/__init__.py:")
    assert said in told


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "        return torch.nn.Seq",
            "        torch.nn.Seq",
            "24 in model(): it returned None (return a torch.nn",
        ),
        (
            "        linear = torch",
            "        raise ValueError('these\\nweights')\n        linear = torch",
            "27 in model(): ValueError: these weights",
        ),
    ],
)
def test_what_is_wrong_with_the_model(asked: Callable[..., str], old: str, new: str, said: str) -> None:
    assert asked(edited(old, new), lambda workload: workload.model()).startswith(f"fixtures/stripes/__init__.py:{said}")


def module(file: Path, code: str) -> ModuleType:
    """The code as a module that lies at ``file``."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(code, encoding="utf-8")
    spec = spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    made = module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def test_a_helper_is_named_with_what_called_it(tmp_path: Path) -> None:
    code = "def load(path):\n    return {}[path]\n\ndef split(name):\n    return load('x' * 60)\n"
    data = module(tmp_path / "data.py", code)
    with pytest.raises(KeyError) as caught:
        data.split("training")
    told = located(caught.value, tmp_path)
    assert told is not None
    assert told.message.startswith(f'data.py:2 in load("{"x" * 39}..."), called by split("training"): KeyError: ')


def test_what_an_exporter_wraps_is_told_with_the_network_that_raised_it(tmp_path: Path) -> None:
    net = module(tmp_path / "net.py", "def forward(x):\n    raise ValueError('3 is not 4')\n")

    def export() -> None:
        try:
            net.forward(object())
        except ValueError as error:
            raise RuntimeError("Failed to export the model. This is step 1/3") from error

    with pytest.raises(RuntimeError) as caught:
        export()
    told = located(caught.value, tmp_path)
    assert str(told) == "net.py:2 in forward(...): ValueError: 3 is not 4"


@pytest.mark.parametrize(
    "error", [Unavailable("no data", "fetch it"), KpiError("the clip is gone"), OSError(28, "full")]
)
def test_what_a_fixture_says_itself_and_a_full_disk_stay_as_they_are(tmp_path: Path, error: Exception) -> None:
    data = module(tmp_path / "data.py", "def split(name, error):\n    raise error\n")
    with pytest.raises(type(error)) as caught:
        data.split("training", error)
    assert located(caught.value, tmp_path) is None


def test_what_is_installed_below_the_project_is_not_the_users_own(tmp_path: Path) -> None:
    library = tmp_path / "venv/lib/python3/site-packages/numbers.py"
    installed = module(library, "def take():\n    raise IndexError\n")
    with pytest.raises(IndexError) as caught:
        installed.take()
    assert located(caught.value, tmp_path) is None


def test_a_fixture_that_says_on_import_what_is_not_here_is_unavailable(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    text = 'from harness.core.errors import Unavailable\nraise Unavailable("no licence", "ask for one")\n'
    (tmp_path / "unlicensed.py").write_text(text, encoding="utf-8")
    with pytest.raises(Unavailable, match="no licence"):
        load_workload(tmp_path, "unlicensed", Settings.from_json(settings))


def test_a_healthy_fixture_gives_what_it_gave(tmp_path: Path, settings: dict[str, Any]) -> None:
    import numpy as np
    import torch

    (tmp_path / "healthy").mkdir()
    (tmp_path / "healthy/__init__.py").write_text(GUIDE, encoding="utf-8")
    plain = load_workload(tmp_path, "healthy", Settings.from_json(settings))
    assert isinstance(plain, TensorWorkload)
    own = plain.split("evaluation")
    fixture = checked(plain, tmp_path)
    assert fixture is plain
    split = plain.split("evaluation")
    assert len(split) == len(own) == 1000
    assert np.array_equal(split.labels, own.labels)
    for start, stop in ((0, 16), (990, 1000), (990, 1006)):  # the last batch may ask for more than there is
        assert np.array_equal(split.inputs(start, stop)["image"], own.inputs(start, stop)["image"])
    assert split.take([3, 1])["image"].shape == (2, 1, 16, 16)  # type: ignore[attr-defined]
    with torch.no_grad():
        assert plain.model()(torch.zeros(2, 1, 16, 16)).shape == (2, 4)


@pytest.mark.parametrize("name", DTYPES)
def test_every_type_is_one_to_numpy_and_to_torch(name: str) -> None:
    import numpy as np
    import torch

    assert torch.from_numpy(np.zeros(1, name)).dtype == getattr(torch, name)


@pytest.mark.suite
def test_no_trace_of_ours_reaches_the_terminal(project: Project) -> None:
    fixture = project.folder / "fixtures/stripes/__init__.py"
    fixture.write_text(
        edited("random = np", "raise IndexError('no such sample')\n        random = np"), encoding="utf-8"
    )
    done = project.pytest("-k", "top1 or agreement")
    assert done.returncode == 1
    said = 'fixtures/stripes/__init__.py:32 in split("evaluation"): IndexError: no such sample'
    measured = [target for target in project.evidence()["targets"] if "not selected" not in target["reason"]]
    assert {(target["verdict"], target["reason"]) for target in measured} == {("ERROR", said)}
    assert said in done.stdout
    for trace in ("Traceback", "harness/", "Error\n"):
        assert trace not in done.stdout


@pytest.mark.suite
def test_answers_that_a_metric_can_not_score_are_told_with_their_shapes(project: Project) -> None:
    fixture = project.folder / "fixtures/stripes/__init__.py"
    fixture.write_text(edited(RETURN, RETURN.replace("labels)", "np.eye(4)[labels])")), encoding="utf-8")
    done = project.pytest("-k", "top1")
    assert done.returncode == 1
    found = {target["id"]: target for target in project.evidence()["targets"]}["stripes-int8:top1"]
    assert found["verdict"] == "ERROR"
    assert "the labels have the shape (1000, 4), as one-hot labels do" in found["reason"]
    assert "Traceback" not in done.stdout
