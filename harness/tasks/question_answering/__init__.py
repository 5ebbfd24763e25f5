"""Extractive question answering: a question and a passage in, a span of the passage out."""
