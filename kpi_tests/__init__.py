"""The promises as tests: one file per kind of metric, each test one target of ``kpis.toml``."""
