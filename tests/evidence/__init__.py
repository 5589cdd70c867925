"""Slow evidence: each module is a command that prints what it found and fails when it should."""
