"""Scores of generated text against references, each with an identity that says exactly what was computed."""
