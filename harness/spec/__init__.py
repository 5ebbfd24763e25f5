"""``kpis.toml``: read, checked, and kept as frozen objects."""
