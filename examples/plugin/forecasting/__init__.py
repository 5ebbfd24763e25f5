"""Forecasting: the past of a series in, its next value out."""

from harness import Task

TASKS = (Task("forecasting", hub="time-series-forecasting"),)
