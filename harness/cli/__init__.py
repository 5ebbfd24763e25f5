"""The command line: ``kpi``."""
