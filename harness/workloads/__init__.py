"""What a workload provides: a model with its data, and how both are found and checked."""
