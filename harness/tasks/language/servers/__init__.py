"""A server for language models, for workloads that are served where no other server is installed."""
