"""The Evidence page's parts: the verdict, and each piece of it beside its null."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from velovi.errors import VeloviError
from velovi.plotting.group_flow import flow_graph, flow_graph_figure
from velovi.plotting.group_quantiles import group_quantiles_figure
from velovi.runs.evidence_summary import NUMBERS, EvidenceSummary, GroupFlow, Support, Verdict
from velovi.runs.known_directions import Direction, KnownDirections
from velovi.ui.cached_result import ResultView
from velovi.ui.cell_map import cell_map, maps_side_by_side
from velovi.ui.coloring import ColorBy
from velovi.ui.errors import escape_markdown, show_errors
from velovi.ui.formatting import format_number
from velovi.ui.labels import cell_column_title
from velovi.ui.panels import figure_panel, maps_header, spread_by_group
from velovi.ui.services import get_workspace

SUPPORT_WORDS: dict[Support, tuple[str, str, str]] = {
    "supported": ("supported", ":material/verified:", "green"),
    "weak": ("weakly supported", ":material/warning:", "orange"),
    "no evidence": ("without evidence", ":material/block:", "red"),
    "cannot tell": ("not decided: too little to tell", ":material/help:", "gray"),
}
"""Each word of the verdict as a page says it of velocities, with an icon and a colour."""
_FEW_GROUPS = 12
_BOXES = {
    "supported": st.success,
    "weak": st.warning,
    "no evidence": st.error,
    "cannot tell": st.info,
}
_RATE_TITLES = {
    "fit_alpha": "Transcription",
    "fit_beta": "Splicing",
    "fit_gamma": "Degradation, half-life",
    "fit_t_": "Switch time",
}
SECTIONS = {
    "counts": "The counts",
    "null": "Beside a null",
    "error": "Error of direction",
    "arrows": "Arrows",
    "flow": "Flow",
    "rates": "Rates",
    "model": "The model's own uncertainty",
    "runs": "Other runs",
}
"""Anchors of the Evidence page's parts, in their order, with what each is called in a line."""
_ARROWS = ("gene_half_agreement", "agreement_stochastic")
_NO_EVIDENCE_KEPT = (
    "This run is from before velocities were judged. Train again, or take the run's options with "
    "*Use these options*, to have its evidence weighed."
)


def known_directions(view: ResultView) -> list[Direction]:
    """What the reader has said of this run's groups."""
    return KnownDirections(get_workspace(), view.run_id).load()


def verdict_of(view: ResultView) -> Verdict | None:
    """The verdict on a result, with what the reader knows; None for results of before."""
    found = view.evidence
    return None if found is None else found.verdict(known_directions(view))


def title_with_verdict(title: str) -> DeltaGenerator:
    """A page's title, and the place beside it where :func:`verdict_line` will stand."""
    with st.container(
        horizontal=True, horizontal_alignment="distribute", vertical_alignment="bottom"
    ):
        st.title(title, width="content")
        return st.container(width="content")


def verdict_line(view: ResultView, beside: DeltaGenerator) -> None:
    """The verdict beside the title, with a link to its reasons."""
    found = verdict_of(view)
    if found is None:
        return
    words, icon, color = SUPPORT_WORDS[found.support]
    with beside.container(horizontal=True, vertical_alignment="center", key="verdict_line"):
        st.markdown(f"{icon} :{color}[**Velocities {words}**]", width="content")
        st.page_link("pages/evidence.py", label="Why", icon=":material/arrow_forward:")


def verdict_panel(found: Verdict) -> None:
    """The verdict on the run and on its groups, why, and what to do next."""
    words, icon, _ = SUPPORT_WORDS[found.support]
    reasons = "\n".join(f"- {escape_markdown(item)}" for item in found.reasons)
    next_ = " ".join(escape_markdown(item) for item in found.advice)
    _BOXES[found.support](
        f"**The velocities of this run are {words}.**\n\n{reasons}\n\n**Next:** {next_}", icon=icon
    )
    if found.groups.empty:
        st.caption("Without groups of cells the run is judged as a whole only.")
        return
    rows = found.groups
    st.markdown(
        "**Group by group**",
        help="The same rule on the cells of each group. Arrows over groups with weak support, or "
        "of which nothing can be told, are faded on the map; those over groups without evidence "
        "are not drawn unless you ask for them.",
    )
    shares = 100 * rows["share_above_null"].to_numpy(dtype=float)
    st.table(
        pd.DataFrame(
            {
                "Group": [escape_markdown(str(name)) for name in rows.index],
                "Velocities": rows["support"].to_numpy(),
                "Cells": [f"{n:,.0f}" for n in rows["n_cells"]],
                "Genes above chance (5 % without velocity)": [
                    format_number(share, ".0f") + (" %" if math.isfinite(share) else "")
                    for share in shares
                ],
                "Halves of the genes": [format_number(x, ".2f") for x in rows["gene_halves"]],
                "Steady state": [format_number(x, ".2f") for x in rows["steady_state"]],
                "Why": [escape_markdown(str(why)) for why in rows["reason"]],
            }
        ),
        border="horizontal",
        hide_index=True,
        height="content" if len(rows) <= _FEW_GROUPS else 460,
    )
    st.caption(
        "Halves of the genes and steady state: median cosines, -1 to 1, between arrows of two "
        "random halves of the genes, and with arrows of the steady-state model."
    )


def on_this_page() -> None:
    """Links to the parts of the page, which is long."""
    links = " · ".join(f"[{title}](#{anchor})" for anchor, title in SECTIONS.items())
    st.caption(f"On this page: {links}")


def numbers_panel(summary: EvidenceSummary) -> None:
    """Every number of the run beside that of the same cells without velocity."""
    st.subheader("Beside the same cells without velocity", anchor="null")
    null = summary.null
    if null is None:
        why = summary.why_no_null or "Switch *Check against a null* on when you train."
        st.caption(
            "This run was not checked against a null: nothing says what these numbers would be "
            f"without velocity. {escape_markdown(why) if summary.why_no_null else why}"
        )
    else:
        st.caption(
            f"Spliced counts of {null.n_cells:,} of the cells were split at random in two, which "
            f"takes all velocity away, and went the same way: {null.n_genes:,} genes, fewer "
            "epochs. A number that is the same in both columns says nothing of velocity."
        )
    rows = []
    for name, number in NUMBERS.items():
        value = summary.numbers[name]
        without = float("nan") if null is None else null.numbers[name]
        if math.isfinite(value) or math.isfinite(without):
            told = (format_number(value, number.form), format_number(without, number.form))
            rows.append((number.title, *told, number.meaning))
    table = pd.DataFrame(rows, columns=["Number", "This run", "Without velocity", "What it is"])
    if null is None:
        table = table.drop(columns="Without velocity")
    st.table(table, border="horizontal", hide_index=True)


def null_map(view: ResultView) -> None:
    """The map of the run beside the one that the same method draws without velocity."""
    null = view.null
    if null is None or not null.store.embeddings or not view.store.embeddings:
        return
    st.markdown(
        "**What the same method draws without velocity**",
        help="Left: this run. Right: some of its cells, at the same places, with their spliced "
        "counts split at random in two. All lines are drawn, whatever supports them.",
    )
    maps_side_by_side([(view, "This run"), (null, "Without velocity")], key="beside")


def arrows_panel(view: ResultView) -> None:
    """Where arrows of other genes and of another method point the same way."""
    st.subheader("Do other genes and another method say the same?", anchor="arrows")
    st.caption(
        "Left: each cell's arrow from one random half of the genes beside that from the other, "
        "mean of eight divisions. Right: veloVI's arrow beside that of the steady-state model, "
        "which fits no curve. Blue agrees, orange points the other way."
    )
    found = [ColorBy(column=name) for name in _ARROWS if name in view.store.obs]
    if not found:
        return
    if view.store.embeddings:
        maps_header(
            view,
            "On the map",
            "Cosines from -1 to 1. Both can agree and be wrong together where they share a bias; "
            "beside the null above you see how far they agree without velocity.",
            "agreement of arrows",
            found,
            key="agreement",
        )
    cell_map(view, found, key="agreement", height=340)


def _error_words(view: ResultView) -> str:
    """What the two angles are of this run, in sentences."""
    evidence = view.evidence
    own = None if evidence is None else evidence.verdict()
    if own is not None and own.support in ("no evidence", "cannot tell"):
        first = (
            "Nothing supports the directions of this run."
            if own.support == "no evidence"
            else "There is too little to tell whether anything supports these directions."
        )
        return (
            f"{first} The angles are those of cells whose "
            "velocity was taken away and whose halves of the genes agree as these do: half of them "
            "were off by less than the first, 95 % by less than the second."
        )
    flow = None if evidence is None else evidence.flow
    supposed = (
        "Because ways join, it supposes that the whole map is reversed, and gives no bound."
        if flow is not None and flow.branching == "joins"
        else "It supposes that the map as a whole is not reversed."
    )
    return (
        "The angle between a cell's velocity over all genes and the true one, as simulated cells "
        "with known velocities had it whose speed, steady-state velocity and halves of the genes "
        "looked like these: half of such cells stay below the first number and 95 % below the "
        f"second. It holds on the average of data sets, not on each. {supposed}"
    )


def error_panel(view: ResultView) -> None:
    """How far a cell's direction is off, in degrees."""
    column, upper = "direction_error", "direction_error_upper"
    if not {column, upper} <= set(view.store.obs):
        return
    st.subheader("How far may a direction be off?", anchor="error")
    values = view.store.obs[column].to_numpy(dtype=float)
    bound = view.store.obs[upper].to_numpy(dtype=float)
    st.caption(
        f"{_error_words(view)} Medians of the cells: **{np.nanmedian(values):.0f}°** and "
        f"**{np.nanmedian(bound):.0f}°**; 90° is no better than chance."
    )
    if view.store.embeddings:
        cell_map(view, [ColorBy(column=column), ColorBy(column=upper)], key="direction", height=300)
    labels = view.labels()
    if labels is None or np.nanmin(values) == np.nanmax(values):
        return  # no group differs from another
    data = spread_by_group(
        view,
        cell_column_title(column)[0] + " (degrees)",
        column,
        values.astype(np.float32),
        labels,
        None,
    )
    figure_panel(
        "Error of direction by group",
        "For each group the median (point), the middle half (bar) and 90 % (line) of its cells; "
        "the surest group is lowest.",
        lambda theme: group_quantiles_figure(data, theme),
        data,
        key="direction_error_by_group",
    )


def rates_panel(view: ResultView) -> None:
    """Which of the fitted rates are found again in cells simulated from the fit."""
    st.subheader("Which rates can be known?", anchor="rates")
    found = view.rate_recovery
    if found is None:
        st.caption(
            "This run was not asked: switch *Check which rates can be known* on when you train. On "
            "all simulated cells that were tried no rate was found again, so rates are shown as "
            "ranks and stand as not identified."
        )
        return
    st.caption(
        "Cells were simulated from the fit, as if it were the truth, and fitted again. Shown is "
        "how well the order of the genes by each rate was found: 1 is the same order, 0 chance. "
        "A rate that is not found here is not known; real cells, which follow no model, can "
        "only do worse."
    )
    table = pd.DataFrame(
        {
            "Rate": [_RATE_TITLES.get(str(name), str(name)) for name in found.index],
            "Rank correlation": [
                f"{row.spearman:.2f} ({row.low:.2f} to {row.high:.2f})"
                for row in found.itertuples()
            ],
            "Nine of ten genes within": [
                f"± {row.rank_error:.0f} of 100 ranks" for row in found.itertuples()
            ],
            "": np.where(found["identified"].astype(bool), "identified", "not identified"),
        }
    )
    st.dataframe(
        table,
        hide_index=True,
        height="content",
        key="rate_recovery",
        column_config={
            "Rank correlation": st.column_config.TextColumn(
                help="Spearman over genes with its 95 % interval; identified from 0.5 at its lower "
                "end."
            ),
            "Nine of ten genes within": st.column_config.TextColumn(
                help="± 68 where the order is lost."
            ),
        },
    )


def flow_panel(view: ResultView, summary: EvidenceSummary) -> None:
    """Which way cells go between groups that touch, and what the reader knows of it."""
    st.subheader("Flow between groups", anchor="flow")
    flow = summary.flow_beyond_null
    if flow is None or flow.pairs.empty:
        st.caption("No two groups of cells touch, or the cells have no groups.")
        return
    labels = view.labels(summary.label_column) if summary.label_column else None
    picture, known = st.columns([1.6, 1], gap="large")
    if labels is not None and view.store.embeddings:
        data = flow_graph(
            view.store.embedding(view.store.embeddings[0]),
            labels,
            flow.pairs,
            colors=view.colors(str(labels.name)),
        )
        with picture:
            figure_panel(
                "Clear directions",
                "Arrows: the group's border cells point to the other group, and those of the other "
                "group point away from it, both beyond two standard errors, and the first beyond "
                "what is found without velocity. Wider: the clearer. "
                "Dotted: the groups touch, and no direction is clear.",
                lambda theme: flow_graph_figure(data, theme),
                data,
                key="group_flow",
            )
    with known:
        directions_editor(view, flow)
    _flow_table(summary, flow)


def directions_editor(view: ResultView, flow: GroupFlow) -> None:
    """Widgets with which the reader says which directions are known."""
    st.markdown(
        "**Directions that you know**",
        help="From markers, time points or the literature. Two that are found support the run; "
        "one that is contradicted speaks against it. They are kept with the run.",
    )
    store = KnownDirections(get_workspace(), view.run_id)
    kept = [pair for pair in store.load() if set(pair) <= set(flow.labels)]
    for number, (pair, word) in enumerate(zip(kept, flow.agreement(kept), strict=True)):
        told = {
            "agrees": ":green[:material/check: found]",
            "contradicts": ":red[:material/close: contradicted]",
            "unclear": ":gray[unclear]",
            "apart": ":gray[they do not touch]",
        }[word]
        with st.container(horizontal=True, vertical_alignment="center"):
            names = " → ".join(escape_markdown(name) for name in pair)
            st.markdown(f"{names}: {told}", width="content")
            st.button(
                "",
                icon=":material/delete:",
                key=f"forget_{number}",
                help="Take this direction away",
                type="tertiary",
                on_click=_forget,
                args=(store, pair),
            )
    source = st.selectbox("From", flow.labels, index=None, key="known_source")
    others = [name for name in flow.labels if name != source]
    target = st.selectbox("To", others, index=None, key="known_target")
    if st.button(
        "Add", icon=":material/add:", key="known_add", disabled=source is None or target is None
    ):
        with show_errors():
            store.save([*kept, (str(source), str(target))])
            st.rerun()


def _forget(store: KnownDirections, pair: Direction) -> None:
    try:
        store.save([item for item in store.load() if item != pair])
    except VeloviError as error:
        st.toast(str(error), icon=":material/error:")


def _flow_table(summary: EvidenceSummary, flow: GroupFlow) -> None:
    pairs = flow.pairs.sort_values("clear", ascending=False, kind="stable")
    null = None if summary.null is None else summary.null.flow
    without = {}
    if null is not None:
        without["Without velocity"] = [
            _null_cbdir(null, str(s), str(t))
            for s, t in zip(pairs["source"], pairs["target"], strict=True)
        ]
    columns = {
        "From": pairs["source"],
        "To": pairs["target"],
        "Direction": np.where(pairs["clear"].astype(bool), "clear", "not clear"),
        "There": [
            _with_error(value, error)
            for value, error in zip(pairs["cbdir"], pairs["cbdir_se"], strict=True)
        ],
        **without,
        "Back": [
            _with_error(value, error)
            for value, error in zip(pairs["cbdir_back"], pairs["cbdir_back_se"], strict=True)
        ],
        "Net flow": pairs["net_flow"],
        "Steady state": pairs["consensus"],
        "Cells at the border": [
            f"{a:,.0f} + {b:,.0f}"
            for a, b in zip(pairs["n_source"], pairs["n_target"], strict=True)
        ],
    }
    cosine = "Mean cosine between arrows of border cells and the ways to their neighbours across: "
    st.dataframe(
        pd.DataFrame(columns),
        hide_index=True,
        height="content" if len(pairs) <= 12 else 460,
        key="flow_pairs",
        placeholder="–",
        column_config={
            "There": st.column_config.TextColumn(
                help=f"{cosine}1 straight across. With a standard error over cells and genes."
            ),
            "Without velocity": st.column_config.TextColumn(
                help="There, in the same cells without velocity."
            ),
            "Back": st.column_config.TextColumn(
                help=f"{cosine}of the other group's cells; below 0 they point away."
            ),
            "Net flow": st.column_config.NumberColumn(
                format="%.2f", help="Steps across: 1 all one way, 0 as many either way."
            ),
            "Steady state": st.column_config.NumberColumn(
                format="%.2f", help="Mean cosine with arrows of the steady-state model."
            ),
        },
    )


def _with_error(value: float, error: float) -> str:
    return f"{value:.2f} ± {error:.2f}" if math.isfinite(value) else "–"


def _null_cbdir(null: GroupFlow, source: str, target: str) -> str:
    """CBDir of the null from one group to another, whichever way it goes itself."""
    pairs = null.pairs
    for ends, score in ((("source", "target"), "cbdir"), (("target", "source"), "cbdir_back")):
        row = pairs[(pairs[ends[0]] == source) & (pairs[ends[1]] == target)]
        if len(row):
            return _with_error(float(row[score].iloc[0]), float(row[f"{score}_se"].iloc[0]))
    return "–"


def no_evidence_kept() -> None:
    """What to say of a result of before."""
    st.info(_NO_EVIDENCE_KEPT)
