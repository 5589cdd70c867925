"""Choosing a gene: by name, from the table of all genes, or from a list of one's own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st
from streamlit.errors import StreamlitAPIException

from velovi.runs.gene_sets import GeneMatch, match_genes, rank_genes, split_names
from velovi.ui.choice import choose_gene, chosen_gene
from velovi.ui.gene_sets import list_popover, list_report, say_pending, wanted_names
from velovi.ui.guard import plain_errors
from velovi.ui.panels import KEEP
from velovi.ui.view import ResultView

# names of the two parts of the Genes page that are drawn anew by themselves
LIST, VIEW = "gene_list", "gene_view"
ONE, SEVERAL = "One gene", "Several genes"
SHOWN = "genes_shown"
_NAME_WIDTH = 105  # pixels; most names of genes have room
_FIND, _KIND = "genes_find", "genes_table_kind"
_IN_MODEL, _LEFT_OUT = "In the model", "Left out"

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
    "permutation_score": (
        "Permutation score",
        "%.2f",
        "How much worse the model fits when cells are shuffled; high means real dynamics.",
    ),
    "fit_alpha": ("Transcription", "%.3f", "Transcription rate, per unit of scaled time."),
    "fit_beta": ("Splicing", "%.3f", "Splicing rate, per unit of scaled time."),
    "fit_gamma": ("Degradation", "%.3f", "Degradation rate, per unit of scaled time."),
    "half_life": ("Half-life", "%.2f", "ln 2 / degradation rate, in units of scaled time."),
    "fit_t_": ("Switch time", "%.2f", "When transcription turns off, on the axis from 0 to 20."),
}
# what the table can be narrowed by
QUALITIES = ("fit_explained", "fit_likelihood", "velocity_r2", "permutation_score")


@dataclass(frozen=True)
class Listing:
    """What the table lists now: genes in the model, genes left out, and the list behind it."""

    in_model: pd.DataFrame
    left_out: pd.DataFrame
    match: GeneMatch | None = None

    @property
    def genes(self) -> list[str]:
        """Names of the listed genes that are in the model."""
        return [str(one) for one in self.in_model.index]


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


def narrowed(
    table: pd.DataFrame,
    *,
    found: Iterable[str] | None = None,
    only: Iterable[str] | None = None,
    least: Mapping[str, float] | None = None,
) -> pd.DataFrame:
    """The rows of a table of genes that a reader asked for.

    Parameters
    ----------
    table
        One row for each gene.
    found
        Genes that a search found, in whose order the rows come.
    only
        A list of genes; without a search the rows come in its order.
    least
        Smallest value of a column; a gene without a value does not reach it.
    """
    for genes in (only, found):
        if genes is not None:
            table = table.loc[[gene for gene in genes if gene in table.index]]
    for column, smallest in (least or {}).items():
        if column in table:
            table = table[table[column] >= smallest]
    return table


def searched(find: str, genes: Sequence[str]) -> list[str] | None:
    """Genes that a search finds, the likeliest first; None when nothing is searched.

    Several names, with commas between them, find each.
    """
    if not find.strip():
        return None
    names = split_names(find) if "," in find or ";" in find else [find]
    return list(dict.fromkeys(gene for name in names for gene in rank_genes(name, genes)))


@st.cache_resource(show_spinner=False, max_entries=6)
def _tables(path: str, changed: float, _view: ResultView) -> tuple[pd.DataFrame, pd.DataFrame]:
    return gene_table(_view.store.var), dropped_table(_view.store.all_genes)


def gene_tables(view: ResultView) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Genes in the model and genes left out, worked out once for all readers: do not change."""
    return _tables(view.path, view.changed, view)


def best_genes(view: ResultView, most: int) -> list[str]:
    """The genes that the fit explains best."""
    return [str(one) for one in gene_tables(view)[0].index[:most]]


def left_out_reasons(view: ResultView) -> dict[str, str]:
    """Genes that are not in the model, and why."""
    dropped = gene_tables(view)[1]
    if "Why it was left out" not in dropped:
        return {str(gene): "" for gene in dropped.index}
    return {str(gene): str(why) for gene, why in dropped["Why it was left out"].items()}


def listing(view: ResultView) -> Listing:
    """What the reader's search, filter and list leave of the tables."""
    in_model, left_out = gene_tables(view)
    # in both tables at once: near names are shown only when neither holds what was typed
    found = searched(str(st.session_state.get(_FIND) or ""), [*in_model.index, *left_out.index])
    match = None
    if wanted_names():
        match = match_genes(wanted_names(), view.store.genes, left_out_reasons(view))
    listed, unlisted = (None, None) if match is None else (match.found, match.left_out)
    return Listing(
        narrowed(in_model, found=found, only=listed, least=_least(in_model)),
        narrowed(left_out, found=found, only=unlisted),
        match,
    )


def gene_select(view: ResultView, *, key: str, label: str = "Gene", tell: bool = True) -> str:
    """A searchable list of the genes in the model, the same on all pages.

    With ``tell``, a note says that the gene of a link is not in this model.
    """
    genes = view.store.genes
    best = str(gene_tables(view)[0].index[0])
    st.session_state[key] = chosen_gene(genes, best, tell=tell)
    return st.selectbox(
        label, genes, key=key, help="Type a few letters to search.",
        on_change=lambda: open_gene(st.session_state[key]),
    )  # fmt: skip


def open_gene(gene: str) -> None:
    """Show a gene by itself, here and on all pages."""
    choose_gene(gene)
    st.session_state[SHOWN] = ONE


def _narrowing() -> None:
    # phase portraits side by side are those of the listed genes
    if st.session_state.get(SHOWN) == SEVERAL:
        _draw_anew(LIST, VIEW)


def _draw_anew(*parts: str) -> None:
    """Draw parts of the page anew, from a callback."""
    try:
        st.rerun(parts)
    except StreamlitAPIException:
        # the reader was faster than the page: a part was not yet there
        st.rerun()


@st.fragment(key=LIST)
def gene_list(view: ResultView, *, height: int) -> None:
    """Search, filter and list of one's own above the table of genes."""
    with plain_errors():
        say_pending()
        st.text_input(
            "Find genes", key=_FIND, type="search", live="200ms", icon=":material/search:",
            placeholder="Name, or part of it", on_change=_narrowing,
            help="Capitals, dashes and dots do not matter. When no gene holds what you typed, "
            "the nearest names are shown.", **KEEP,
        )  # fmt: skip
        listed = listing(view)
        left, right = st.columns(2, gap="small")
        with left:
            _filter_popover(gene_tables(view)[0])
        with right:
            list_popover(listed.genes, _narrowing)
        if listed.match is not None:
            list_report(listed.match, _narrowing)
        _table(view, listed, height)


def _table(view: ResultView, listed: Listing, height: int) -> None:
    st.session_state.setdefault(_KIND, _IN_MODEL)
    kind = st.segmented_control(
        "Table of genes", [_IN_MODEL, _LEFT_OUT], required=True, key=_KIND, width="stretch",
        label_visibility="collapsed", **KEEP,
    )  # fmt: skip
    tables = {_IN_MODEL: listed.in_model, _LEFT_OUT: listed.left_out}
    totals = dict(zip(tables, map(len, gene_tables(view)), strict=True))
    if tables[str(kind)].empty:
        _nothing_listed(str(kind), {name: len(table) for name, table in tables.items()})
        return
    if kind == _IN_MODEL:
        _model_table(view, listed.in_model, height)
        hint = "Click a row to look at the gene, a heading to sort."
    else:
        _left_out_table(listed.left_out, height)
        hint = "They are in the file but not in the model, so they have no fit to show."
    shown, total = len(tables[str(kind)]), totals[str(kind)]
    st.caption(f"{shown:,} genes. {hint}" if shown == total else f"{shown:,} of {total:,}. {hint}")


def _nothing_listed(kind: str, counts: Mapping[str, int]) -> None:
    other = next(name for name in counts if name != kind)
    where = "in the model" if kind == _IN_MODEL else "left out"
    hint = f" Look under **{other}**: {counts[other]:,} there fit." if counts[other] else ""
    st.info(f"No gene that is {where} fits.{hint}")


def _model_table(view: ResultView, table: pd.DataFrame, height: int) -> None:
    names = [str(one) for one in table.index]
    key = f"gene_table_{view.run_id}"

    def chosen() -> None:
        cells = st.session_state[key]["selection"]["cells"]
        if cells and cells[0][0] < len(names):
            open_gene(names[cells[0][0]])
            _draw_anew(VIEW)

    config: dict[str, Any] = {
        column: st.column_config.NumberColumn(label, format=form, help=note)
        for column, (label, form, note) in COLUMNS.items()
    }
    config["gene"] = st.column_config.TextColumn("Gene", pinned=True, width=_NAME_WIDTH)
    st.dataframe(
        table.rename_axis("gene").reset_index(), key=key, height=height, column_config=config,
        hide_index=True, on_select=chosen, selection_mode="single-cell", placeholder="–",
        alt="Genes in the model",
    )  # fmt: skip


def _left_out_table(dropped: pd.DataFrame, height: int) -> None:
    config = {"gene": st.column_config.TextColumn("Gene", pinned=True, width=_NAME_WIDTH)}
    st.dataframe(
        dropped.rename_axis("gene").reset_index(), height=height, column_config=config,
        hide_index=True, placeholder="–", alt="Genes that were left out",
    )  # fmt: skip


def _filter_key(column: str) -> str:
    return f"genes_least_{column}"


def _least(table: pd.DataFrame) -> dict[str, float]:
    values = {name: st.session_state.get(_filter_key(name)) for name in QUALITIES if name in table}
    return {name: float(value) for name, value in values.items() if value is not None}


def _filter_popover(table: pd.DataFrame) -> None:
    """Smallest explained share, likelihood and so on of the genes that the table lists."""

    def no_filter() -> None:
        for column in QUALITIES:
            st.session_state[_filter_key(column)] = None
        _narrowing()

    active = len(_least(table))
    label = f"Filter ({active})" if active else "Filter"
    with st.popover(label, key="genes_filter", width="stretch"):
        for column in (name for name in QUALITIES if name in table):
            title, form, note = COLUMNS[column]
            known = table[column].dropna()
            between = f"{form % known.min()} to {form % known.max()}" if len(known) else "no values"
            st.number_input(
                f"{title}, at least", value=None, step=0.05, key=_filter_key(column),
                placeholder=between, help=note, on_change=_narrowing, **KEEP,
            )  # fmt: skip
        st.button("No filter", key="genes_no_filter", on_click=no_filter, disabled=not active)
