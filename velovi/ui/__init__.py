"""The web pages' parts; the only package that imports Streamlit.

Pages may only read; the one thing that they create is a run's folder. Nothing here imports torch,
scvi, scanpy or umap.
"""
