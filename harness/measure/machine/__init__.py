"""The machine: what it is, what it may use, what happens on it while something is measured."""
