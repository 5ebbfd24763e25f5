"""Looks for a recipe that meets all targets of a KPI at once: ``kpi search``."""
