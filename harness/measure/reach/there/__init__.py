"""What runs on a machine that is reached: sent as text first, so it needs the standard library alone."""
