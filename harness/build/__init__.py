"""Building many artifacts: several workloads at once, and ahead of the tests that ask for them."""
