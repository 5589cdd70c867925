"""The model: splicing kinetics, the variational auto-encoder, its training and its posterior.

This is the only room of the package that imports torch and scvi-tools.
"""
