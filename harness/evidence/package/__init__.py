"""A release package: an artifact with what was proven of it, in one folder or archive that can be checked later."""
