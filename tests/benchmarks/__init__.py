"""Measurements behind `docs/evidence.md`; slow, and so no tests."""
