"""The Time page's parts: which time, where it begins, genes along it, and the velocity's word."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import streamlit as st

from velovi.errors import VeloviError
from velovi.keys import GENE_LAYERS
from velovi.plotting.group_quantiles import group_quantiles_figure
from velovi.plotting.time_heatmap import (
    Agreement,
    GeneTimeBand,
    TimeHeatmap,
    gene_time,
    gene_time_figure,
    time_agreement,
    time_heatmap,
    time_heatmap_figure,
)
from velovi.runs.custom_root_time import (
    CustomRootTime,
    custom_root_time,
    delete_time,
    request_time,
    times,
)
from velovi.ui.cached_result import ResultView
from velovi.ui.cell_map import cell_map
from velovi.ui.coloring import ColorBy
from velovi.ui.errors import escape_markdown, show_error, show_errors
from velovi.ui.formatting import distinct_labels
from velovi.ui.gene_list import best_genes, gene_select
from velovi.ui.labels import cell_column_title
from velovi.ui.panels import (
    PERSIST,
    cell_values,
    cells_key,
    figure_panel,
    in_group,
    label_choice,
    maps_header,
    spread_by_group,
)
from velovi.ui.selection import selected
from velovi.ui.services import get_workspace
from velovi.ui.url_state import set_url_param, url_param

OWN = "data"
_ASKED, _TURN = "time_asked_for", "times_asked_for"
_QUANTITIES = ("Ms", "Mu", "velocity")
_COUNTS = (20, 40, 80)
_CHANCE = 0.5  # of cells move to later times when arrows and time have nothing in common


def times_folder(view: ResultView) -> Path:
    """Where the times that readers asked for are kept."""
    return get_workspace().of_run("times", view.run_id)


def time_choice(view: ResultView) -> tuple[str, np.ndarray] | None:
    """The time that the page is about: the run's own, or one from a chosen root.

    Returns
    -------
    Its name in the address, and the time of each cell (cells,); None when there is none.
    """
    own = cell_values(view, "latent_time")
    done = {time.time_id: time for time in times(times_folder(view)) if time.state == "done"}
    _show_when_ready(done)
    options = ([OWN] if own is not None else []) + list(done)
    if not options:
        return None
    st.session_state["time_choice"] = url_param("time", options, options[0], what="latent time")
    chosen = st.selectbox(
        "Time",
        options,
        key="time_choice",
        format_func=distinct_labels(
            {OWN: "From the data"} | {item: done[item].name for item in done}
        ),
        on_change=lambda: set_url_param("time", st.session_state["time_choice"]),
        help="Where time begins is found from the velocities, or chosen by you.",
    )
    if chosen == OWN:
        assert own is not None
        return chosen, own
    try:
        return chosen, custom_root_time(times_folder(view), chosen, n_cells=view.store.n_cells)
    except VeloviError as error:
        show_error(error)
        return None if own is None else (OWN, own)


def _show_when_ready(done: Mapping[str, CustomRootTime]) -> None:
    """Turn to the time that the reader asked for, as soon as it is there."""
    asked = st.session_state.get(_ASKED)
    if asked is not None and asked in done:
        del st.session_state[_ASKED]
        set_url_param("time", asked)
        st.toast(f"This is time **{escape_markdown(done[asked].name)}**.", icon=":material/flag:")


def root_controls(view: ResultView) -> None:
    """Ask for a time that begins at a group of cells, or at the selected ones."""
    asked = times(times_folder(view))
    # a popover of another name is closed: so it is after a time was asked for
    turn = st.session_state.setdefault(_TURN, 0)
    with (
        st.popover("Choose where time begins", icon=":material/flag:", key=f"choose_root_{turn}"),
        show_errors(),
    ):
        root, name = _root(view)
        title = st.text_input("Name", value=name, max_chars=60, key=f"root_name_{name}")
        pressed = st.button(
            "Work out time from here",
            type="primary",
            key="request_time",
            disabled=root is None or not title.strip(),
        )
        if pressed and root is not None:
            st.session_state[_ASKED] = request_time(
                Path(view.path), times_folder(view), title, np.flatnonzero(root)
            )
            st.session_state[_TURN] = turn + 1
            st.rerun()
        for item in (time for time in asked if time.state == "done"):
            with st.container(
                horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"
            ):
                st.markdown(escape_markdown(item.name), width="content")
                if st.button("Delete", key=f"delete_{item.time_id}", icon=":material/delete:"):
                    delete_time(times_folder(view), item.time_id)
                    st.rerun()
    waiting = [item for item in asked if item.state != "done"]
    if any(item.state == "working" for item in waiting):
        _waiting(view)
    for item in waiting:
        if item.state != "working":
            _ended_badly(view, item)


def _root(view: ResultView) -> tuple[np.ndarray | None, str]:
    mask, labels = selected(view), view.labels()
    groups = [] if labels is None else [str(category) for category in labels.cat.categories]
    chosen = ["The selected cells"] if mask is not None else []
    options = chosen + groups
    if not options:
        st.write("Select cells on the map below; time can begin at them.")
        return None, "my root"
    # a list that becomes another one needs a name of its own, or the old choice stays behind it
    root = st.selectbox("Time begins at", options, key=f"root_group_{bool(chosen)}")
    if chosen and root == chosen[0]:
        assert mask is not None
        return mask, f"from {int(mask.sum()):,} selected cells"
    assert labels is not None
    return in_group(labels, root), f"from {root}"


@st.fragment(run_every=1)
def _waiting(view: ResultView) -> None:
    working = [time for time in times(times_folder(view)) if time.state == "working"]
    if not working:
        st.rerun(scope="app")
    for item in working:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(
                f":material/progress_activity: Working out time **{escape_markdown(item.name)}** …"
            )
            if st.button("Cancel", key=f"cancel_{item.time_id}"):
                delete_time(times_folder(view), item.time_id)
                st.rerun(scope="app")


def _ended_badly(view: ResultView, one: CustomRootTime) -> None:
    show_error(one.error or {"what": f"Working out time {one.name} ended without a word"})
    if st.button("Dismiss", key=f"dismiss_{one.time_id}"):
        delete_time(times_folder(view), one.time_id)
        st.rerun()


def time_map(view: ResultView, time: np.ndarray) -> None:
    """Cells by time, and by group beside it."""
    maps = [
        ColorBy(
            title="Latent time", note=cell_column_title("latent_time")[1], values=time, scale="time"
        )
    ]
    if view.store.embeddings:
        note = "Saves the map of the time; groups can be saved on the Map page."
        maps_header(view, "On the map", note, "latent time", maps[:1], key="time")
    if view.store.label_columns:
        maps.append(ColorBy(column=view.store.label_columns[0]))
    cell_map(view, maps, key="time", height=360)


def time_by_group(
    view: ResultView, time_id: str, time: np.ndarray, only: np.ndarray | None
) -> None:
    """Where the groups stand on the way."""
    labels = label_choice(view, "time_groups")
    data = spread_by_group(view, "Latent time", time_id, time, labels, only)
    figure_panel(
        "Where the groups stand",
        "For each group the median (point), the middle half (bar) and 90 % (line) of its cells' "
        "latent time; the earliest group is lowest.",
        lambda theme: group_quantiles_figure(data, theme),
        data,
        key="time_by_group",
    )


@st.cache_data(show_spinner=False, max_entries=20)
def _agreement(
    path: str,
    changed: float,
    time_id: str,
    embedding: str,
    label: str,
    _view: ResultView,
    _time: np.ndarray,
) -> Agreement:
    store = _view.store
    labels = None if not label else store.labels(label)
    return time_agreement(
        store.embedding(embedding), store.embedded_velocity(embedding), _time, labels
    )


def agreement_panel(view: ResultView, time_id: str, time: np.ndarray) -> None:
    """How far the time agrees with the velocity."""
    if not view.store.embeddings:
        return
    label = view.store.label_columns[0] if view.store.label_columns else ""
    embedding = view.store.embeddings[0]
    data = _agreement(view.path, view.changed, time_id, embedding, label, view, time)
    st.markdown(
        "**Does the velocity agree?**",
        help="The map is cut into squares. In each, the mean velocity is compared with the "
        "direction in which latent time rises between neighbouring squares. 100 %: all cells move "
        "to later times; 50 % is chance. Time comes from the same model, so this says that the "
        "picture is consistent, not that it is right.",
    )
    if not len(data.groups):
        st.caption("Too few cells lie close together to tell.")
        return
    share, judged = float(data.share[0]), int(data.cells[0])
    st.metric("Cells that move to later times", f"{100 * share:.0f} %")
    st.caption(
        f"Of the {judged:,} of {view.store.n_cells:,} cells that lie close enough to others to be "
        "judged; 50 % is chance."
    )
    if share < _CHANCE:
        st.error(
            f"This time contradicts the arrows: {100 * (1 - share):.0f} % of these cells move to "
            "earlier times. Choose another place where it begins, or doubt the arrows.",
            icon=":material/error:",
        )
    if len(data.groups) > 1:
        frame = data.to_frame().iloc[1:].round({"to later times": 2})
        st.dataframe(
            frame,
            hide_index=True,
            height=min(38 * (len(frame) + 1), 330),
            key="agreement",
            column_config={
                "to later times": st.column_config.ProgressColumn(
                    "To later times", min_value=0, max_value=1, format="percent"
                ),
                "cosine": st.column_config.NumberColumn(
                    "Cosine",
                    format="%.2f",
                    help="Mean cosine between velocity and rise of time: 1 same, -1 opposite.",
                ),
            },
            alt="Agreement of time with velocity by group",
        )


@st.cache_data(show_spinner="Reading genes …", max_entries=20)
def _courses(
    path: str,
    changed: float,
    time_id: str,
    layer: str,
    genes: tuple[str, ...],
    cells: int,
    _view: ResultView,
    _time: np.ndarray,
    _only: np.ndarray | None,
) -> TimeHeatmap:
    columns = {gene: _view.gene(layer, gene) for gene in genes}
    return time_heatmap(GENE_LAYERS[layer][0], _time, columns, only=_only)


def courses_panel(
    view: ResultView, time_id: str, time: np.ndarray, only: np.ndarray | None
) -> None:
    """Genes along time, the earliest peak first."""
    layers = [name for name in _QUANTITIES if name in view.store.layers]
    if not layers or not view.store.genes:
        st.info("This result holds no abundances to follow along time.")
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        layer = st.segmented_control(
            "Quantity",
            layers,
            default=layers[0],
            required=True,
            key="courses_layer",
            format_func=lambda name: GENE_LAYERS[name][0],
            **PERSIST,
        )
        most = st.segmented_control(
            "Genes",
            _COUNTS,
            default=_COUNTS[1],
            required=True,
            key="courses_most",
            help="So many of the genes that the fit explains best.",
            **PERSIST,
        )
    genes = tuple(best_genes(view, int(most)))
    data = _courses(
        view.path, view.changed, time_id, str(layer), genes, cells_key(only), view, time, only
    )
    figure_panel(
        "Genes along time, ordered by their peak",
        "Each row is a gene: its mean in bins of latent time, from its lowest (0) to its highest "
        "(1). Read it from the upper left, genes of the start, to the lower right.",
        lambda theme: time_heatmap_figure(data, theme),
        data,
        key="genes_along_time",
    )


@st.cache_data(show_spinner=False, max_entries=40)
def _gene_time(
    path: str, changed: float, time_id: str, gene: str, _view: ResultView, _time: np.ndarray
) -> GeneTimeBand:
    return gene_time(gene, _time, _view.gene_time(gene))


def gene_time_panel(view: ResultView, time_id: str, time: np.ndarray) -> None:
    """One gene's own time against the shared one."""
    if "fit_t" not in view.store.layers or not view.store.genes:
        return
    gene = gene_select(view, key="time_gene")
    data = _gene_time(view.path, view.changed, time_id, gene, view, time)
    rank = data.correlation
    figure_panel(
        f"{escape_markdown(gene)}'s own time",
        "Each gene has a latent time of its own, from 0 to 20. Line: its median where the shared "
        "time is known; shade: 80 % of the cells. Cells in which the gene is off have no time "
        "of it and are left out.",
        lambda theme: gene_time_figure(data, theme),
        data,
        key="gene_time",
        note="Rank correlation with the shared time: "
        + (f"{rank:.2f} (1: the same order, 0: none)." if np.isfinite(rank) else "not defined."),
    )
