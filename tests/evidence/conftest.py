"""A project that released its first model, for the tests of releases."""

from __future__ import annotations

from tests.support.releasing import copy, released

__all__ = ["copy", "released"]
