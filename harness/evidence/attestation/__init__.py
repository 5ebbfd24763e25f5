"""Verdicts as signed statements, which everybody can check and only the signer can make."""
