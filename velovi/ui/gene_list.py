"""Choosing a gene: by name, from the table of all genes, or from a list of one's own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st
from streamlit.errors import StreamlitAPIException

from velovi.runs.evidence_summary import rank_percent
from velovi.runs.gene_sets import GeneMatch, match_genes, rank_genes, split_names
from velovi.ui.cached_result import ResultView
from velovi.ui.errors import show_errors
from velovi.ui.gene_sets import list_popover, list_report, say_pending, wanted_names
from velovi.ui.panels import PERSIST
from velovi.ui.run_state import choose_gene, chosen_gene
from velovi.ui.table import Column, Order, in_order, on_row_opened, table

# names of the two parts of the Genes page that are drawn anew by themselves
LIST_FRAGMENT, GENE_FRAGMENT = "gene_list", "gene_view"
ONE, SEVERAL = "One gene", "Several genes"
SHOWN = "genes_shown"
_FIND, _KIND = "genes_find", "genes_table_kind"
_IN_MODEL, _LEFT_OUT = "In the model", "Left out"

_GENE = Column("", "Gene", "The gene's name in your file.", 92)
_RANK = (
    "Its rank among the genes of this run, from 0 (lowest) to 100. Not identified, unless this run "
    "has checked it (page Evidence): on simulated cells the rank of a fitted rate hardly follows "
    "that of the true one (Spearman 0.0 to 0.25)."
)
_COLUMNS = (
    Column(
        "fit_explained",
        "Explained",
        "Share of the gene's variation over cells, spliced and unspliced, that the fitted "
        "dynamics explain: 1 is all of it, 0 no better than a flat line.",
        74,
        "%.2f",
        bar=True,
    ),
    Column(
        "fit_likelihood",
        "Likelihood",
        "Mean log-likelihood of the gene's abundances under the model. It is also high for genes "
        "that are nearly silent, so read it together with the explained share.",
        80,
        "%.2f",
    ),
    Column(
        "velocity_r2",
        "R²",
        "How closely unspliced follows spliced RNA on the steady-state line, before training.",
        56,
        "%.2f",
    ),
    Column(
        "permutation_score",
        "Permutation score",
        "How much worse the model fits when cells are shuffled; high means real dynamics.",
        92,
        "%.2f",
    ),
    Column(
        "reliability_percentile",
        "Above null (%)",
        "Share of genes without velocity (spliced counts of the same cells, split at random) whose "
        "unspliced surplus repeats itself less between neighbouring cells than this gene's: 50 is "
        "chance, above 95 is more than chance.",
        86,
        "%.0f",
    ),
    Column(
        "velocity_coherence",
        "Coherent",
        "Share of cells in which the gene changes as its velocity says when the cell goes where "
        "all genes together lead: half is chance.",
        82,
        "%.2f",
    ),
    *(
        Column(name, label, f"{what} {_RANK}", width, "%.0f")
        for name, label, what, width in (
            ("fit_alpha", "Transcription (rank)", "Transcription rate.", 98),
            ("fit_beta", "Splicing (rank)", "Splicing rate.", 74),
            ("fit_gamma", "Degradation (rank)", "Degradation rate.", 92),
            ("half_life", "Half-life (rank)", "ln 2 / degradation rate.", 82),
            (
                "fit_t_",
                "Switch (rank)",
                "When transcription turns off, in the gene's own time.",
                66,
            ),
        )
    ),
)
RATE_COLUMNS = ("fit_alpha", "fit_beta", "fit_gamma", "half_life", "fit_t_")
"""Shown as ranks, because their values are not identified."""
RATE_OF_COLUMN = {name: name for name in RATE_COLUMNS} | {"half_life": "fit_gamma"}
"""The rate on which each of them depends."""
COLUMNS = {item.name: item for item in _COLUMNS}
_REASON, _SHARED = "Why it was left out", "Shared counts"
_LEFT_OUT_COLUMNS = (
    Column(_REASON, _REASON, "The first of the filters that the gene did not pass.", 250),
    Column(
        _SHARED,
        _SHARED,
        "Molecules in cells that hold spliced and unspliced RNA of the gene.",
        80,
        "%.0f",
    ),
    Column("R²", "R²", COLUMNS["velocity_r2"].note, 56, "%.2f"),
)
# what the table can be narrowed by
QUALITIES = (
    *("fit_explained", "fit_likelihood", "velocity_r2", "permutation_score"),
    *("reliability_percentile", "velocity_coherence"),
)


@dataclass(frozen=True)
class Listing:
    """What the table lists now: genes in the model, genes left out, and the list behind it."""

    in_model: pd.DataFrame
    left_out: pd.DataFrame
    match: GeneMatch | None = None

    @property
    def genes(self) -> list[str]:
        """Names of the listed genes that are in the model."""
        return [str(item) for item in self.in_model.index]


def gene_table(var: pd.DataFrame) -> pd.DataFrame:
    """One row for each gene of the model, the best explained first (genes, columns).

    Examples
    --------
    >>> import pandas as pd
    >>> rates = pd.DataFrame({"fit_gamma": [0.5, 2.0, 1.0]}, index=["Actb", "Ins1", "Sst"])
    >>> gene_table(rates)["half_life"].to_list()
    [100.0, 0.0, 50.0]
    """
    table = var[[name for name in COLUMNS if name in var]].astype(float)
    if "fit_gamma" in table:
        gamma = table["fit_gamma"].where(table["fit_gamma"] > 0)
        table["half_life"] = np.log(2) / gamma
    for name in RATE_COLUMNS:
        if name in table:
            table[name] = rank_percent(table[name])
    table = table[[name for name in COLUMNS if name in table]]
    for column in ("fit_explained", "fit_likelihood", "velocity_r2"):
        if column in table and table[column].notna().any():
            return table.sort_values(column, ascending=False, kind="stable")
    return table


def dropped_table(genes: pd.DataFrame) -> pd.DataFrame:
    """One row for each gene that preprocessing left out, and why."""
    dropped = genes[~genes["kept"].astype(bool)]
    names = {"reason": _REASON, "shared_counts": _SHARED, "r2": "R²"}
    return dropped[[name for name in names if name in dropped]].rename(columns=names)


def filtered_genes(
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


def matching_genes(find: str, genes: Sequence[str]) -> list[str] | None:
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
    return [str(item) for item in gene_tables(view)[0].index[:most]]


def left_out_reasons(view: ResultView) -> dict[str, str]:
    """Genes that are not in the model, and why."""
    dropped = gene_tables(view)[1]
    if _REASON not in dropped:
        return {str(gene): "" for gene in dropped.index}
    return {str(gene): str(why) for gene, why in dropped[_REASON].items()}


def gene_listing(view: ResultView) -> Listing:
    """What the reader's search, filter and list leave of the tables, as they are sorted."""
    in_model, left_out = gene_tables(view)
    # in both tables at once: near names are shown only when neither holds what was typed
    found = matching_genes(
        str(st.session_state.get(_FIND) or ""), [*in_model.index, *left_out.index]
    )
    match = None
    if wanted_names():
        match = match_genes(wanted_names(), view.store.genes, left_out_reasons(view))
    listed, unlisted = (None, None) if match is None else (match.found, match.left_out)
    in_model = filtered_genes(in_model, found=found, only=listed, least=_least(in_model))
    left_out = filtered_genes(left_out, found=found, only=unlisted)
    return Listing(
        in_order(in_model, _order(_IN_MODEL)), in_order(left_out, _order(_LEFT_OUT)), match
    )


def _order(kind: str) -> Order | None:
    return st.session_state.get(f"genes_order_{kind}")


def current_gene(view: ResultView, *, tell: bool = False) -> str:
    """The chosen gene, else the one that the fit explains best; ``tell`` as in gene_select."""
    return chosen_gene(view.store.genes, best_genes(view, 1)[0], tell=tell)


def gene_select(
    view: ResultView, *, key: str, label: str = "Gene", tell: bool = True, parts: Sequence[str] = ()
) -> str:
    """A searchable list of the genes in the model, the same on all pages.

    With ``tell``, a note says that the gene of a link is not in this model. ``parts`` of the page
    are drawn anew when another gene is chosen, else what holds the list is.
    """
    st.session_state[key] = current_gene(view, tell=tell)
    return st.selectbox(
        label,
        view.store.genes,
        key=key,
        help="Type a few letters to search.",
        on_change=lambda: open_gene(st.session_state[key], *parts),
    )


def open_gene(gene: str, *parts: str) -> None:
    """Show a gene by itself, here and on all pages; from a callback, in these parts of the page."""
    choose_gene(gene)
    st.session_state[SHOWN] = ONE
    if parts:
        _draw_anew(*parts)


def _narrowing() -> None:
    # phase portraits side by side are those of the listed genes
    if st.session_state.get(SHOWN) == SEVERAL:
        _draw_anew(LIST_FRAGMENT, GENE_FRAGMENT)


def _draw_anew(*parts: str) -> None:
    """Draw parts of the page anew, from a callback."""
    try:
        st.rerun(parts)
    except StreamlitAPIException:
        # the reader was faster than the page: a part was not yet there
        st.rerun()


@st.fragment(key=LIST_FRAGMENT)
def gene_list_section(view: ResultView, *, height: int) -> None:
    """Search, filter and list of one's own above the table of genes."""
    with show_errors():
        say_pending()
        st.text_input(
            "Find genes",
            key=_FIND,
            type="search",
            live="200ms",
            icon=":material/search:",
            placeholder="Name, or part of it",
            on_change=_narrowing,
            help="Capitals, dashes and dots do not matter. When no gene holds what you typed, "
            "the nearest names are shown.",
            **PERSIST,
        )
        listed = gene_listing(view)
        left, right = st.columns(2, gap="small")
        with left:
            _filter_popover(gene_tables(view)[0])
        with right:
            list_popover(listed.genes, _narrowing)
        if listed.match is not None:
            list_report(listed.match, _narrowing)
        _tables_panel(view, listed, height)


def _tables_panel(view: ResultView, listed: Listing, height: int) -> None:
    st.session_state.setdefault(_KIND, _IN_MODEL)
    kind = st.segmented_control(
        "Table of genes",
        [_IN_MODEL, _LEFT_OUT],
        required=True,
        key=_KIND,
        width="stretch",
        label_visibility="collapsed",
        **PERSIST,
    )
    tables = {_IN_MODEL: listed.in_model, _LEFT_OUT: listed.left_out}
    totals = dict(zip(tables, map(len, gene_tables(view)), strict=True))
    if tables[str(kind)].empty:
        _nothing_listed(str(kind), {name: len(table) for name, table in tables.items()})
        return
    if kind == _IN_MODEL:
        hint = (
            "Click a row, or walk with the arrow keys, to look at a gene; click a heading to sort."
        )
    else:
        hint = "They are in the file but not in the model, so they have no fit to show."
    _table_of(view, str(kind), tables[str(kind)], height)
    shown, total = len(tables[str(kind)]), totals[str(kind)]
    st.caption(f"{shown:,} genes. {hint}" if shown == total else f"{shown:,} of {total:,}. {hint}")


def _nothing_listed(kind: str, counts: Mapping[str, int]) -> None:
    other = next(name for name in counts if name != kind)
    where = "in the model" if kind == _IN_MODEL else "left out"
    hint = f" Look under **{other}**: {counts[other]:,} there fit." if counts[other] else ""
    st.info(f"No gene that is {where} fits.{hint}")


def _table_of(view: ResultView, kind: str, frame: pd.DataFrame, height: int) -> None:
    def ordered(order: Order | None) -> None:
        st.session_state[f"genes_order_{kind}"] = order
        _narrowing()

    in_model = kind == _IN_MODEL
    columns = _COLUMNS if in_model else _LEFT_OUT_COLUMNS
    table(
        frame,
        [_GENE, *(column for column in columns if column.name in frame)],
        key=_table_key(kind),
        height=height,
        alt=f"Genes: {kind.lower()}",
        order=_order(kind),
        on_order=ordered,
        current=current_gene(view) if in_model else None,
        opens=in_model,
    )


def listen_for_opened_row(view: ResultView, shown: str) -> None:
    """Show, in this part of the page, the gene whose row is opened in the table."""

    def opened(gene: str) -> None:
        if gene in view.store.genes:
            open_gene(gene)

    on_row_opened(_table_key(_IN_MODEL), shown, opened)


def _table_key(kind: str) -> str:
    return f"genes_table_{kind}"


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
            title, form, note = COLUMNS[column].label, COLUMNS[column].form, COLUMNS[column].note
            known = table[column].dropna()
            between = f"{form % known.min()} to {form % known.max()}" if len(known) else "no values"
            st.number_input(
                f"{title}, at least",
                value=None,
                step=0.05,
                key=_filter_key(column),
                placeholder=between,
                help=note,
                on_change=_narrowing,
                **PERSIST,
            )
        st.button("No filter", key="genes_no_filter", on_click=no_filter, disabled=not active)
