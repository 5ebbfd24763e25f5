"""Families of tasks, each a plug-in: its workload, passes, runtimes, scenarios and metrics in one folder."""
