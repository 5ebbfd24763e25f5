"""Spans of a passage: windows over it, the best span, SQuAD's scores."""
