"""Tables as data: which columns become which input, what a cell may be, and what is said of those that do not fit."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from onnx import TensorProto, helper

from harness.core.data_files import DataFiles
from harness.core.errors import KpiError, Unavailable
from harness.workloads.checks import checked
from harness.workloads.files.columns import Table
from harness.workloads.files.opening import open_samples
from harness.workloads.files.signature import read_signature
from harness.workloads.files.tables import TableSamples
from harness.workloads.files.workload import FileWorkload
from tests.support.model_files import file_settings, plain_settings, save

CSV = "age,income,height,label\n31,1000.5,1.7,0\n42,2e3,1.8,1\n53,-3,1.9,0\n"


def wide(folder: Path, columns: int = 3, name: str = "x") -> Path:
    nodes = [helper.make_node("Add", [name, name], ["y"])]
    return save(folder / "m.onnx", nodes, {name: ["n", columns]}, {"y": ["n", columns]}, {})


def narrow(folder: Path, dtypes: dict[str, int]) -> Path:
    """A model with an input of (n, 1) for each column, as scikit-learn's pipelines are exported."""
    nodes = [helper.make_node("Cast", [name], [f"{name}_"], to=TensorProto.FLOAT) for name in dtypes]
    nodes.append(helper.make_node("Sum", [f"{name}_" for name in dtypes], ["y"]))
    inputs = [helper.make_tensor_value_info(name, dtype, ["n", 1]) for name, dtype in dtypes.items()]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 1])]
    import onnx

    graph = helper.make_graph(nodes, "m", inputs, outputs)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10), folder / "m.onnx")
    return folder / "m.onnx"


def written(folder: Path, text: str | bytes, name: str = "t.csv") -> Path:
    file = folder / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def opened(file: Path, model: Path, **keys: Any) -> TableSamples:
    made = open_samples(file, read_signature(model), model.name, DataFiles(file, **keys))
    assert isinstance(made, TableSamples)
    return made


def read_wholly(file: Path, model: Path, **keys: Any) -> None:
    made = opened(file, model, **keys)
    _ = (made.labels, made.slices, made.clusters)


def test_columns_in_their_order_are_the_only_input(tmp_path: Path) -> None:
    made = opened(written(tmp_path, CSV), wide(tmp_path))
    x = made.take(slice(0, 3))["x"]
    assert x.dtype == np.float32
    np.testing.assert_array_equal(x, np.array([[31, 1000.5, 1.7], [42, 2000, 1.8], [53, -3, 1.9]], np.float32))
    assert made.labels is not None
    assert made.labels.dtype == np.int64
    assert made.labels.tolist() == [0, 1, 0]
    assert "takes the 3 columns of t.csv in their order, age, income, height" in made.remarks[0]


def test_columns_that_are_named(tmp_path: Path) -> None:
    file, model = written(tmp_path, CSV), wide(tmp_path, 2)
    made = opened(file, model, columns={"x": ("height", "age")})
    np.testing.assert_array_equal(made.take(slice(1, 2))["x"], np.array([[1.8, 42]], np.float32))
    assert made.remarks == ()
    one = opened(file, wide(tmp_path, 1), inputs={"x": "income"})
    assert one.specs[0].shape == (1,)
    assert one.take(slice(0, 1))["x"].tolist() == [[1000.5]]


def test_an_input_for_each_column(tmp_path: Path) -> None:
    model = narrow(tmp_path, {"age": TensorProto.INT64, "height": TensorProto.FLOAT})
    made = opened(written(tmp_path, CSV), model)
    feeds = made.take(np.array([2, 0]))
    assert (feeds["age"].dtype, feeds["age"].tolist()) == (np.int64, [[53], [31]])
    assert feeds["height"].dtype == np.float32


def test_parquet_gives_the_same(tmp_path: Path) -> None:
    text = opened(written(tmp_path, CSV), wide(tmp_path))
    columns = {
        "age": pa.array([31, 42, 53], pa.int32()),
        "income": pa.array([1000.5, 2e3, -3.0]),
        "height": pa.array(["1.7", "1.8", "1.9"]).dictionary_encode().cast(pa.string()).cast(pa.float32()),
        "label": pa.array(["no", "yes", "no"]).dictionary_encode(),
    }
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    made = opened(tmp_path / "t.parquet", wide(tmp_path), classes=("no", "yes"))
    np.testing.assert_array_equal(made.take(slice(0, 3))["x"], text.take(slice(0, 3))["x"])
    assert made.labels is not None
    assert made.labels.tolist() == [0, 1, 0]
    pq.write_table(pa.table({"x": [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], "label": [0.0, 1.0]}), tmp_path / "l.parquet")
    lists = opened(tmp_path / "l.parquet", wide(tmp_path))
    assert lists.take(slice(1, 2))["x"].tolist() == [[4, 5, 6]]


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        (b"\xef\xbb\xbf" + CSV.encode(), {}),
        (CSV.replace("\n", "\r\n").encode(), {}),
        (CSV.replace(",", ";").encode(), {"delimiter": ";"}),
        (CSV.replace(",", " , ").encode(), {}),
        (CSV.rstrip().encode(), {}),
        (CSV.replace("1000.5", '"1000.5"').encode(), {}),
        (CSV.replace("1.7,0", "1.7,0\n").encode(), {}),
    ],
    ids=["byte order mark", "line ends", "semicolons", "blanks", "no last line end", "quotes", "an empty line"],
)
def test_other_ways_to_write_the_same(tmp_path: Path, text: bytes, keys: dict[str, Any]) -> None:
    wanted = opened(written(tmp_path, CSV), wide(tmp_path))
    made = opened(written(tmp_path, text, "other.csv"), wide(tmp_path), **keys)
    np.testing.assert_array_equal(made.take(slice(0, 3))["x"], wanted.take(slice(0, 3))["x"])


def test_tabs_and_line_breaks_in_cells(tmp_path: Path) -> None:
    text = 'x\tslice\tcluster\tlabel\n1\t"night,\nrain"\tà\t0\n2\tday\tb\t1\n'
    made = opened(written(tmp_path, text, "t.tsv"), wide(tmp_path, 1))
    assert made.slices == ["night,\nrain", "day"]
    assert made.clusters == ["à", "b"]


def test_labels_of_several_columns_and_kinds(tmp_path: Path) -> None:
    file = written(tmp_path, "x,cat,dog,price,sick,grade\n1,0,1,2.5,true,+1\n2,1.0,1,3,false,2\n")
    model = wide(tmp_path, 1)
    several = opened(file, model, labels=("dog", "cat")).labels
    assert several is not None
    assert (several.dtype, several.tolist()) == (np.int64, [[1, 0], [1, 1]])
    for column, wanted in (("price", [2.5, 3.0]), ("sick", [1, 0]), ("grade", [1, 2])):
        found = opened(file, model, label=column).labels
        assert found is not None
        assert (found.tolist(), found.dtype.kind) == (wanted, "f" if column == "price" else "i")


def test_numbers_may_be_the_names_of_classes(tmp_path: Path) -> None:
    file = written(tmp_path, "x,label\n1,3\n2,8\n3,3\n")
    found = opened(file, wide(tmp_path, 1), classes=("3", "5", "8")).labels
    assert found is not None
    assert found.tolist() == [0, 2, 0]


WRONG: dict[str, tuple[str | bytes, dict[str, Any], str]] = {
    "more cells": ("x,label\n1,0\n1,2,3\n", {}, r"t\.csv, row 2: has 3 cells, the header has 2: 1,2,3"),
    "fewer cells": ("x,label\n1,0\n1\n", {}, r"row 2: has 1 cells, the header has 2"),
    "a quote that stays open": ('x,label\n1,0\n"1,2\n3,4\n', {}, r"row 2: has 1 cells"),
    "twice": ("x,x,label\n1,2,0\n", {}, r't\.csv has the column "x" twice'),
    "no header": ("1.5,2\n3,4\n", {}, r"begins with numbers \(1\.5, 2\).*into its first row"),
    "an index": (",x,label\n0,1,0\n", {}, r"column 1 has no name .*index=False"),
    "semicolons": ("x;label\n1;0\n", {}, r'one column, "x;label".*semicolons .*delimiter = ";"'),
    "tabs": ("x\tlabel\n1\t0\n", {}, r'divided by tabs .*delimiter = "\\t"'),
    "latin": ("x,label\n1,0\n2,é\n".encode("latin-1"), {}, r"not UTF-8: byte 14, in line 3"),
    "utf-16": ("x,label\n1,0\n".encode("utf-16"), {}, "UTF-16, as spreadsheets write it"),
    "empty": ("", {}, r"t\.csv is empty"),
    "blank": ("\n\n", {}, r"t\.csv is empty"),
    "a header alone": ("x,label\n", {}, "has no samples: it has a header alone"),
    "an empty cell": ("x,label\n1,0\n,1\n", {}, r'row 2: "x" is empty .*missing = "nan"'),
    "nan": ("x,label\n1,0\nnan,1\n", {}, r'row 2: "x" is empty'),
    "a column without a cell": ("x,label\n,0\n,1\n", {}, r'row 1: "x" is empty'),
    "no label": ("x,label\n1,0\n2,\n", {"missing": "nan"}, r'row 2: "label" is empty \(fill it or leave the row out\)'),
    "text": ("x,label\n1,0\n2,1\n?,1\n", {}, r'row 3: "x" is "\?", not a number'),
    "a decimal comma": ('x,label\n1,0\n"2,5",1\n', {}, r'row 2: "x" is "2,5".*with a point'),
    "beyond float": ("x,label\n1,0\n1e39,1\n", {}, r'row 2: "x" is 1e\+39, which float32 can\'t hold'),
    "a whole number that float rounds": ("x,label\n16777216,0\n16777217,1\n", {}, r'row 2: "x" is 16777217, which'),
    "names without classes": ("x,label\n1,no\n2,yes\n", {}, r'holds names.*classes = \["no", "yes"\]'),
    "another class": (
        "x,label\n1,no\n2,yse\n",
        {"classes": ("no", "yes")},
        r'row 2: "label": unknown class "yse"; did you mean "yes"',
    ),
    "a number beyond the classes": ("x,label\n1,0\n2,2\n", {"classes": ("no", "yes")}, "row 2: .* there are 2 classes"),
    "a column's name": ("x,label\n1,0\n", {"inputs": {"x": "lable"}}, r'unknown column "lable"; did you mean "label"'),
    "a slice's name": ("x,night,label\n1,a,0\n", {"slice": "nigth"}, r'did you mean "night"'),
    "an empty slice": ("x,slice,label\n1,a,0\n2,,1\n", {}, r'row 2: "slice" is empty'),
    "a list's name": ("x,label\n1,0\n", {"labels": ("lab", "x")}, r'unknown column "lab"'),
    "an input's name": ("x,label\n1,0\n", {"columns": {"X": ("x",)}}, r'data.inputs: unknown input "X" .allowed: x'),
    "too many columns": ("a,b,label\n1,2,0\n", {}, r'no column "x"; besides .* has 2: a, b; m\.onnx takes x .*= \["a"'),
}


@pytest.mark.parametrize(("text", "keys", "said"), WRONG.values(), ids=WRONG)
def test_tables_that_do_not_fit(tmp_path: Path, text: str | bytes, keys: dict[str, Any], said: str) -> None:
    file, model = written(tmp_path, text), wide(tmp_path, 1)
    with pytest.raises(KpiError, match=said) as error:
        read_wholly(file, model, **keys)
    assert "\n" not in str(error.value)


INTEGERS = {
    "a fraction": ("1\n2.5\n", r'row 2: "x" is 2\.5, which int8'),
    "beyond": ("1\n300\n", r'row 2: "x" is 300, which int8'),
    "missing": ('1\n""\n', r'row 2: "x" is empty .*int8 has no value for what is missing'),
    "infinite": ("1\ninf\n", r'row 2: "x" is inf'),
}


@pytest.mark.parametrize(("cells", "said"), INTEGERS.values(), ids=INTEGERS)
def test_whole_numbers_stay_what_they_are(tmp_path: Path, cells: str, said: str) -> None:
    model = narrow(tmp_path, {"x": TensorProto.INT8})
    with pytest.raises(KpiError, match=said):
        opened(written(tmp_path, f"x\n{cells}"), model, missing="nan")
    made = opened(written(tmp_path, "x\n1.0\n-128\n"), model)
    assert made.take(slice(0, 2))["x"].tolist() == [[1], [-128]]


def test_missing_values_where_the_model_knows_them(tmp_path: Path) -> None:
    rows = "".join(f"{row},{'' if row % 7 == 3 else row / 10},{row % 2}\n" for row in range(60))
    file, model = written(tmp_path, f"a,b,label\n{rows}"), wide(tmp_path, 2)
    settings = file_settings("tensors", model, DataFiles(file, missing="nan"), tmp_path / "cache")
    workload = checked(FileWorkload(settings), tmp_path)
    assert isinstance(workload, FileWorkload)
    split = workload.split("evaluation")
    assert np.isnan(split.inputs(0, len(split))["x"]).sum() > 2
    strict = file_settings("tensors", model, DataFiles(file), tmp_path / "cache")
    with pytest.raises(KpiError, match=r'row 4: "b" is empty'):
        FileWorkload(strict).split("evaluation")


def test_odd_parquet_files(tmp_path: Path) -> None:
    model, file = wide(tmp_path, 1), tmp_path / "t.parquet"
    for column, said in (
        (pa.array([1, None]), r'row 2: "x" is empty'),
        (pa.array([[1.0], [1.0, 2.0]]), r'row 2: "x" has 2 numbers, in the first row 1'),
        (pa.array([1, 2], pa.timestamp("ms")), r'"x" holds timestamp\[ms\], which are no numbers'),
        (pa.array(["1", "b"]), r'row 2: "x" is "b", not a number'),
    ):
        pq.write_table(pa.table({"x": column}), file)
        with pytest.raises(KpiError, match=said):
            opened(file, model)
    file.write_bytes(b"PAR1 no more")
    with pytest.raises(KpiError, match=r"t\.parquet can't be read"):
        opened(file, model)
    with pytest.raises(KpiError, match="leave out delimiter"):
        opened(file, model, delimiter=";")


def test_a_folder_of_parts_is_refused(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    pq.write_table(pa.table({"x": [1.0]}), tmp_path / "parts/0.parquet")
    with pytest.raises(KpiError, match=r"folder parts holds 1 tables, such as 0\.parquet: one file is one table"):
        opened(tmp_path / "parts", wide(tmp_path, 1))


def test_a_file_that_is_not_here(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="is not here"):
        Table(tmp_path / "no.csv")


@pytest.mark.parametrize(("name", "module"), [("t.csv", "pyarrow.csv"), ("t.parquet", "pyarrow.parquet")])
def test_a_library_that_is_not_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, module: str) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(Unavailable, match=r"pyarrow can't be imported.*\(pip install pyarrow\)"):
        Table(written(tmp_path, CSV, name))


def test_splits_of_other_orders_are_read_in_one(tmp_path: Path) -> None:
    evaluation = written(tmp_path, "a,b,label\n1,2,0\n3,4,1\n", "e.csv")
    training = written(tmp_path, "b,label,a\n20,0,10\n", "t.csv")
    data = DataFiles(splits={"evaluation": evaluation, "training": training})
    workload = FileWorkload(file_settings("tensors", wide(tmp_path, 2), data, tmp_path / "cache"))
    assert workload.split("training").inputs(0, 1)["x"].tolist() == [[10, 20]]


def test_settings_survive_the_trip_to_a_worker(tmp_path: Path) -> None:
    from harness.workloads.base import Settings

    data = DataFiles(tmp_path / "t.csv", columns={"x": ("a", "b")}, labels=("c", "d"), delimiter=";", missing="nan")
    made = file_settings("tensors", tmp_path / "m.onnx", data, tmp_path / "cache")
    assert Settings.from_json(plain_settings(made)) == made


def test_what_is_read_is_part_of_the_identity(tmp_path: Path) -> None:
    file, model = written(tmp_path, "a,b,label\n" + "".join(f"{n},{n + 1},0\n" for n in range(9))), wide(tmp_path, 2)
    prints = {
        FileWorkload(file_settings("tensors", model, DataFiles(file, **keys), tmp_path / "cache")).fingerprint()
        for keys in ({}, {"columns": {"x": ("b", "a")}}, {"columns": {"x": ("a", "b")}})
    }
    assert len(prints) == 3


def test_an_infinite_cell_is_told(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b\n1,2\n3,inf\n")
    with pytest.raises(KpiError, match=r't.csv, row 2: "b" is infinite'):
        Table(tmp_path / "t.csv").numbers("b", "float32")


def test_a_first_row_that_is_mostly_numbers_is_no_header(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("1.5,2.5,good\n1,2,bad\n")
    with pytest.raises(KpiError, match=r"t.csv begins with numbers"):
        Table(tmp_path / "t.csv")
