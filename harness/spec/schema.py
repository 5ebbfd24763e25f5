"""The shape of ``kpis.toml``: which tables there are, which keys each may hold."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationInfo,
    field_validator,
)

from harness.spec.catalog import passes, runtimes, scenarios
from harness.spec.data_schema import AnyPreprocess, DataTable, PreprocessTable, RecordingTable, TextTable
from harness.spec.messages import pattern
from harness.spec.table import PLAIN, Name, Table
from harness.spec.tasks import PROMPTS, Task, tasks

# What pytest takes for one word in `-m "nightly and cpu"`.
_WORD = pattern(r"^[A-Za-z_][A-Za-z0-9_]*$", "one word of letters, digits and _, as -m takes it")
Mark = Annotated[str, StringConstraints(pattern=_WORD)]
_DOTTED = pattern(r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$", 'a package below this folder, written like "fixtures.mine"')
_PACKAGE = pattern(r"^[A-Za-z_]\w*$", 'a package in this folder, written like "my_gate"')
_DIGEST = pattern(r"^[0-9a-f]{64}$", "a SHA-256: 64 digits from 0 to 9 and a to f")
PassTable = str | dict[str, Any]


class OwnedTable(Table):
    """``price`` of a machine that is owned: what it cost, how long it serves, what its power costs."""

    bought: str
    years: float
    watts: float
    power: str


class MachineTable(Table):
    """``[machine.NAME]``: patterns (shell globs) over what is detected, and least amounts such as ">= 64"."""

    stand_ins: ClassVar[dict[str, Any]] = {"device": "cpu"}
    device: Literal["cpu", "gpu", "npu", "edge"]
    cpu: str | None = None
    gpu: str | None = None
    npu: str | None = None
    cores: str | None = None
    memory: str | None = None
    os: str | None = None
    arch: str | None = None
    price: str | OwnedTable | None = None
    reach: str | None = None
    cool_to: str | None = None


class PortTable(Table):
    """``inputs`` and ``outputs`` of a recipe: what the workload calls one of its file's, with the order of the axes."""

    stand_ins: ClassVar[dict[str, Any]] = {"name": ""}
    name: Name
    axes: list[Annotated[int, Field(ge=0, le=15)]] = Field(default_factory=list)

    @field_validator("axes")
    @classmethod
    def _each_once(cls, value: list[int]) -> list[int]:
        if sorted(value) != list(range(len(value))):
            raise ValueError(f"must name each axis once, from 0 to {max(len(value) - 1, 0)}")
        if value and value[0]:
            raise ValueError("must begin with 0, the batch")
        return value


class RecipeTable(Table):
    """``[workload.NAME.recipe.NAME]``: passes in order, the runtime, settings per scenario.

    ``inputs`` and ``outputs`` say what the workload calls those of the recipe's own ``model``. ``package`` is what was
    released: a package in a folder or an archive, a pointer to one, or a reference with a scheme.
    """

    stand_ins: ClassVar[dict[str, Any]] = {"runtime": ""}
    runtime: str | dict[str, Any]
    passes: list[PassTable] = Field(default_factory=list)
    model: Annotated[str, StringConstraints(min_length=1)] | None = None
    model_sha256: Annotated[str, StringConstraints(pattern=_DIGEST)] | None = None
    package: Annotated[str, StringConstraints(min_length=1, max_length=1000, pattern=PLAIN)] | None = None
    package_sha256: Annotated[str, StringConstraints(pattern=_DIGEST)] | None = None
    inputs: dict[Name, Name | PortTable] = Field(default_factory=dict)
    outputs: dict[Name, Name | PortTable] = Field(default_factory=dict)
    environment: Name | None = None
    reference: Name | None = None
    cores: str | list[str] = Field(default_factory=list)
    numa_node: Annotated[int, Field(ge=0, le=1023)] | None = None
    instances: Annotated[int, Field(ge=1, le=256)] | None = None
    scenario: dict[str, dict[str, Any]] = Field(default_factory=dict)


class PublishedTable(Table):
    """``[[workload.NAME.published]]``: somebody else's figures, shown next to ours."""

    stand_ins: ClassVar[dict[str, Any]] = {"source": "", "recipe": "", "machine": "", "values": {}}
    source: str
    recipe: str
    machine: str
    values: dict[str, str]


class WorkloadTable(Table):
    """``[workload.NAME]``: a task and where its model and data are found."""

    stand_ins: ClassVar[dict[str, Any]] = {"task": ""}
    task: str | dict[str, Any]
    fixture: Annotated[str, StringConstraints(pattern=_DOTTED)] | None = None
    reference: str | None = None
    checkpoint: str | None = None
    model: Annotated[str, StringConstraints(min_length=1)] | None = None
    model_sha256: Annotated[str, StringConstraints(pattern=_DIGEST)] | None = None
    scored: Name | None = None
    constants: dict[str, Any] = Field(default_factory=dict)
    state: dict[str, str] = Field(default_factory=dict)
    batch_axis: dict[str, Annotated[int, Field(ge=0, le=15)]] = Field(default_factory=dict)
    checkpoint_sha256: Annotated[str, StringConstraints(pattern=_DIGEST)] | None = None
    data: str | DataTable | None = None
    preprocess: AnyPreprocess | None = None
    allow_pickle: bool = False
    trust_remote_code: bool = False
    chat_template: Annotated[str, StringConstraints(min_length=1)] | None = None
    licence: Name | None = None
    recipe: dict[Name, Any] = Field(default_factory=dict)
    search: dict[Name, Any] = Field(default_factory=dict)
    published: list[Any] = Field(default_factory=list)

    @property
    def task_name(self) -> str:
        """The task's name, whether it is given alone or in a table; empty where there is none."""
        name = self.task if isinstance(self.task, str) else self.task.get("name")
        return name if isinstance(name, str) else ""

    @field_validator("chat_template")
    @classmethod
    def _for_language(cls, value: str | None, info: ValidationInfo) -> str | None:
        given = info.data.get("task")
        task = str(given.get("name") if isinstance(given, dict) else given)
        if value is not None and task in tasks() and tasks()[task].requests not in PROMPTS:
            raise ValueError(f"only language models have one, the task is {task}")
        return value


class KpiTable(Table):
    """``[[kpi]]``: targets that must hold together."""

    stand_ins: ClassVar[dict[str, Any]] = {
        "name": "_",
        "workload": "",
        "recipe": "",
        "machine": "",
        "targets": {"": ""},
    }
    name: Name
    workload: str
    recipe: str
    machine: str
    targets: dict[str, str | list[str]] = Field(min_length=1)
    description: str = ""
    against: Name | None = None
    first_release: bool = False
    marks: list[Mark] = Field(default_factory=list)


class MeasureTable(Table):
    """``[measure]``: how sure a verdict must be, how long a process measures, when to give up."""

    confidence: str | None = None
    looks: list[Annotated[int, Field(ge=1, le=1000)]] | None = Field(default=None, min_length=1)
    drift: str | None = None
    seconds: str | None = None
    samples: Annotated[int, Field(ge=5, le=100_000)] | None = None
    budget: str | None = None
    attempts: Literal["counted", "spent"] | None = None
    cool_to: str | None = None


class MetricTable(Table):
    """``[metric.NAME]``: a metric of one's own, a function of outputs and labels in a Python file."""

    stand_ins: ClassVar[dict[str, Any]] = {"function": "_.py:_"}
    function: str
    of: Literal["sample", "set"] = "sample"
    unit: Literal["%", ""] = ""
    better: Literal["higher", "lower"] = "higher"
    range: Annotated[list[float], Field(min_length=2, max_length=2)] | None = None
    title: Name | None = None


class Root(Table):
    """The whole file."""

    machine: dict[Name, Any] = Field(default_factory=dict)
    workload: dict[Name, Any] = Field(default_factory=dict)
    metric: dict[Name, Any] = Field(default_factory=dict)
    kpi: list[Any] = Field(default_factory=list)
    include: list[str] = Field(default_factory=list)
    plugins: list[Annotated[str, StringConstraints(pattern=_PACKAGE)]] = Field(default_factory=list)
    measure: Any = None


def json_schema() -> dict[str, Any]:
    """The JSON Schema of ``kpis.toml`` (draft 2020-12), for editors; every pass, runtime and scenario is listed."""
    definitions: dict[str, Any] = {}

    def define(model: type[Table]) -> dict[str, Any]:
        schema = model.model_json_schema(ref_template="#/$defs/{model}")
        definitions.update(schema.pop("$defs", {}))
        definitions[model.__name__] = schema
        return {"$ref": f"#/$defs/{model.__name__}"}

    def one_of(found: Any, key: str) -> dict[str, Any]:
        choices: list[dict[str, Any]] = [{"type": "string", "enum": sorted(found)}]
        for name, cls in sorted(found.items()):
            table = TypeAdapter(cls.options if isinstance(cls, Task) else cls.Options).json_schema()
            table["description"] = cls.name if isinstance(cls, Task) else cls.title
            table["properties"] = {key: {"const": name}, **table.get("properties", {})}
            table["required"] = [key, *table.get("required", [])]
            table["additionalProperties"] = False
            choices.append(table)
        return {"anyOf": choices}

    define(PublishedTable)
    recipe = define(RecipeTable)
    definitions["RecipeTable"]["properties"] |= {
        "runtime": one_of(runtimes(), "name"),
        "passes": {"type": "array", "minItems": 1, "items": one_of(passes(), "pass")},
        "scenario": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                name: {
                    **(table := TypeAdapter(cls.Options).json_schema()),
                    "properties": {**table.get("properties", {}), "runtime": {"type": "object"}},
                    "additionalProperties": False,
                }
                for name, cls in sorted(scenarios().items())
            },
        },
    }
    # Where a recipe has a value, a space may have a choice or a range.
    searched = {
        "type": "object",
        "description": "[workload.NAME.search.NAME]: a recipe in which any value may be a choice or a range",
        "additionalProperties": False,
        "properties": {key: {} for key in RecipeTable.model_fields},
        "required": ["runtime"],
    }
    workload, machine = define(WorkloadTable), define(MachineTable)
    kpi, measure, metric = define(KpiTable), define(MeasureTable), define(MetricTable)
    definitions["WorkloadTable"]["properties"] |= {
        "task": one_of(tasks(), "name"),
        "recipe": {"type": "object", "additionalProperties": recipe},
        "search": {"type": "object", "additionalProperties": searched},
        "published": {"type": "array", "items": {"$ref": "#/$defs/PublishedTable"}},
    }
    define(DataTable)
    for kind in (PreprocessTable, TextTable, RecordingTable):
        define(kind)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "kpis.toml",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "machine": {"type": "object", "additionalProperties": machine},
            "workload": {"type": "object", "additionalProperties": workload},
            "metric": {"type": "object", "additionalProperties": metric},
            "kpi": {"type": "array", "items": kpi},
            "measure": measure,
            "include": {
                "type": "array",
                "items": {"type": "string"},
                "description": "patterns of files with more machines, workloads and KPIs, from this file's folder",
            },
            "plugins": {
                "type": "array",
                "items": {"type": "string"},
                "description": "packages next to this file that bring tasks, passes, runtimes, scenarios or metrics",
            },
        },
        "$defs": definitions,
    }
