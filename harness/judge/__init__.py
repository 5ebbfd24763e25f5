"""From measurements to verdicts: metrics, intervals, decisions."""
