"""Measuring: fresh worker processes, steady state, what the machine was doing meanwhile."""
