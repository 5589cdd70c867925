"""Runs: what was asked for, who does the work, and where the answer lies.

Everything that the web process imports from here (``folder``, ``workspace``, ``results``,
``launch``) is free of torch, scvi-tools and scanpy; only ``pipeline`` and ``worker`` import them,
in a process of their own.
"""
