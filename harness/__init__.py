"""The gate's own code: reads the promises, builds, measures, judges, keeps the evidence."""

__version__ = "0.1.0"
