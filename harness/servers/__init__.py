"""Servers that the harness brings along, for workloads that are served where no other server is at hand."""
