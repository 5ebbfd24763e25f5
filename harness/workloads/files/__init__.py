"""Workloads without code of their own: a model file, files of data, a table in ``kpis.toml``."""
