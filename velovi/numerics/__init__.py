"""Numerical plumbing that knows nothing of cells: threads, compiling, random bits, big matrices."""
