"""Models with one fault each, and what judges them."""
