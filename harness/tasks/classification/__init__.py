"""Classifiers: what is decided of each image, and how often rightly."""
