"""A server that comes with the harness, for workloads that are served where no other server is installed."""
