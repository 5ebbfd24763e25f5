"""Views of the evidence: each turns the same JSON into something for people."""
