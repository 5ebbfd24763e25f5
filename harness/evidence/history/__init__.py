"""Looks back: every run's answers in a small database, any two runs held side by side."""
