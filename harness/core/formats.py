"""The names of file formats that a pass reads or writes and a runtime runs."""

from __future__ import annotations

REFERENCE = "reference"
"""The workload's own model, before any pass has written a file."""
EXPORTED_PROGRAM = ".pt2"
"""How the names of files end that hold a torch network, which recipes export."""
TABLES = (".csv", ".tsv", ".parquet")
"""How the names of data files end that hold named columns, one row a sample."""
