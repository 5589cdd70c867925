"""Choosing a gene, by name or from the table of all genes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from velovi.ui.choice import choose_gene, chosen_gene
from velovi.ui.view import ResultView

COLUMNS: dict[str, tuple[str, str, str]] = {
    "fit_explained": (
        "Explained",
        "%.2f",
        "Share of the gene's variation over cells, spliced and unspliced, that the fitted "
        "dynamics explain: 1 is all of it, 0 no better than a flat line.",
    ),
    "fit_likelihood": (
        "Likelihood",
        "%.2f",
        "Mean log-likelihood of the gene's abundances under the model. It is also high for genes "
        "that are nearly silent, so read it together with the explained share.",
    ),
    "velocity_r2": (
        "R²",
        "%.2f",
        "How closely unspliced follows spliced RNA on the steady-state line, before training.",
    ),
    "fit_alpha": ("Transcription", "%.3f", "Transcription rate, per unit of scaled time."),
    "fit_beta": ("Splicing", "%.3f", "Splicing rate, per unit of scaled time."),
    "fit_gamma": ("Degradation", "%.3f", "Degradation rate, per unit of scaled time."),
    "half_life": ("Half-life", "%.2f", "ln 2 / degradation rate, in units of scaled time."),
    "fit_t_": ("Switch time", "%.2f", "When transcription turns off, on the axis from 0 to 20."),
    "permutation_score": (
        "Permutation score",
        "%.2f",
        "How much worse the model fits when cells are shuffled; high means real dynamics.",
    ),
}


def gene_table(var: pd.DataFrame) -> pd.DataFrame:
    """One row for each gene of the model, the best explained first (genes, columns).

    Examples
    --------
    >>> import pandas as pd
    >>> gene_table(pd.DataFrame({"fit_gamma": [0.5]}, index=["Actb"])).round(3).iloc[0].to_list()
    [0.5, 1.386]
    """
    table = var[[name for name in COLUMNS if name in var]].astype(float)
    if "fit_gamma" in table:
        gamma = table["fit_gamma"].where(table["fit_gamma"] > 0)
        table["half_life"] = np.log(2) / gamma
    table = table[[name for name in COLUMNS if name in table]]
    for column in ("fit_explained", "fit_likelihood", "velocity_r2"):
        if column in table and table[column].notna().any():
            return table.sort_values(column, ascending=False, kind="stable")
    return table


def dropped_table(genes: pd.DataFrame) -> pd.DataFrame:
    """One row for each gene that preprocessing left out, and why."""
    dropped = genes[~genes["kept"].astype(bool)]
    names = {"reason": "Why it was left out", "shared_counts": "Shared counts", "r2": "R²"}
    return dropped[[name for name in names if name in dropped]].rename(columns=names)


def gene_select(view: ResultView, *, key: str, label: str = "Gene") -> str:
    """A searchable list of the genes in the model, the same on all pages."""
    genes = view.store.genes
    best = str(gene_table(view.store.var).index[0])
    st.session_state[key] = chosen_gene(genes, best)
    return st.selectbox(
        label, genes, key=key, help="Type a few letters to search.",
        on_change=lambda: choose_gene(st.session_state[key]),
    )  # fmt: skip


def table_picker(view: ResultView, *, height: int) -> None:
    """The sortable table of genes; a click on a row chooses the gene."""
    table = gene_table(view.store.var)
    names = [str(one) for one in table.index]
    key = f"gene_table_{view.run_id}"

    def chosen() -> None:
        cells = st.session_state[key]["selection"]["cells"]
        if cells and cells[0][0] < len(names):
            choose_gene(names[cells[0][0]])

    config: dict[str, Any] = {
        column: st.column_config.NumberColumn(label, format=form, help=note)
        for column, (label, form, note) in COLUMNS.items()
    }
    config["gene"] = st.column_config.TextColumn("Gene", pinned=True)
    st.dataframe(
        table.rename_axis("gene").reset_index(), key=key, height=height, column_config=config,
        hide_index=True, on_select=chosen, selection_mode="single-cell",
        alt="Genes in the model",
    )  # fmt: skip


def dropped_view(view: ResultView, *, height: int) -> None:
    """The table of genes that are not in the model."""
    dropped = dropped_table(view.store.all_genes)
    if dropped.empty:
        st.info("Every gene of the file is in the model.")
        return
    config = {"gene": st.column_config.TextColumn("Gene", pinned=True)}
    st.dataframe(
        dropped.rename_axis("gene").reset_index(), height=height, column_config=config,
        hide_index=True, alt="Genes that were left out",
    )  # fmt: skip
