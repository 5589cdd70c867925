"""A run at work and after: steps, time left, loss curve, and what can be done next."""

from __future__ import annotations

import time

import streamlit as st

from velovi.errors import VeloviError
from velovi.figures.training import training_data, training_figure
from velovi.runs.folder import Progress, RunFolder, RunState
from velovi.ui.choice import Choice, choose_run
from velovi.ui.guard import plain, plain_errors, show_error
from velovi.ui.services import get_launcher, get_workspace
from velovi.ui.theme import current_theme, draw
from velovi.ui.verdict import training_verdict
from velovi.ui.words import STAGES, STATES, duration

LOG_TAIL = 20_000


def show_run(choice: Choice) -> None:
    """The panel of one run, whatever its state."""
    with st.container(border=True, key="run_panel"):
        text, color, icon = STATES[choice.state]
        with st.container(horizontal=True, vertical_alignment="center"):
            st.subheader(plain(choice.name), width="content")
            if not choice.state.active:
                st.badge(text, icon=icon, color=color)  # type: ignore[arg-type]
        if choice.state.active:
            live_panel(choice.run)
        else:
            _ended(choice)


@st.fragment(run_every=1)
def live_panel(run: RunFolder) -> None:
    """Look at the run once a second; when it has ended, let the whole page know."""
    with plain_errors():
        get_launcher().advance()
        state = run.state()
        if not state.active:
            st.rerun(scope="app")
        progress = run.progress()
        _headline(state, progress)
        _steps(progress, state)
        _buttons(run, state)
        loss_curve(run)


def _headline(state: RunState, progress: Progress) -> None:
    text, color, icon = STATES[state]
    with st.container(horizontal=True, vertical_alignment="center"):
        st.badge(text, icon=icon, color=color)  # type: ignore[arg-type]
        if state == RunState.QUEUED:
            st.caption("Waiting for its turn; it starts by itself.")
            return
        said = []
        if state == RunState.CANCELLING:
            said.append("ending after the present step; nothing is kept")
        if state == RunState.STOPPING:
            said.append("training ends now; the model is kept and asked for its answer")
        if progress.started:
            said.append(f"for {duration(time.time() - progress.started)}")
        if progress.eta is not None:
            said.append(f"about {duration(progress.eta)} left")
        if progress.device:
            said.append(f"on {progress.device}")
        st.caption(" · ".join(said))


def _steps(progress: Progress, state: RunState) -> None:
    names = list(STAGES)
    at = names.index(progress.stage) if progress.stage in names else -1
    parts = []
    for i, title in enumerate(STAGES.values()):
        if i < at:
            parts.append(f":green[:material/check_circle: {title}]")
        elif i == at:
            parts.append(f":primary[**:material/arrow_forward: {title}**]")
        else:
            parts.append(f":gray[:material/circle: {title}]")
    st.markdown("  →  ".join(parts))
    if state == RunState.QUEUED:
        return
    count = f" · {progress.step:,} of {progress.of:,}" if progress.of else ""
    st.progress(progress.fraction, text=f"{progress.message or 'Starting'}{count}")


def _buttons(run: RunFolder, state: RunState) -> None:
    busy = state in (RunState.CANCELLING, RunState.STOPPING)
    with st.container(horizontal=True):
        stop = st.button(
            "Stop and keep", icon=":material/flag:", key="stop_run",
            disabled=busy or state == RunState.QUEUED,
            help="End training now and use the model as it is.",
        )  # fmt: skip
        cancel = st.button(
            "Cancel", icon=":material/cancel:", key="cancel_run",
            disabled=state == RunState.CANCELLING, help="End the run and throw its work away.",
        )  # fmt: skip
    if stop:
        get_launcher().stop(run)
    if cancel:
        get_launcher().cancel(run)
    if stop or cancel:
        st.rerun(scope="app")


def loss_curve(run: RunFolder) -> None:
    """Loss by epoch, once there is any."""
    data = training_data(run.history())
    if not len(data.epochs):
        return
    st.markdown(
        "**Held-out loss (negative ELBO), lower is better**",
        help="Cells that the model does not train on judge how well it fits. Training ends when "
        "this curve stops falling.",
    )
    draw(training_figure(data, current_theme(), height=260), "loss_curve", alt="Loss by epoch",
         toolbar=False)  # fmt: skip
    if data.best is not None:
        st.caption(
            f"{len(data.epochs):,} epochs; best held-out loss {data.best[1]:,.1f} at epoch "
            f"{data.best[0]:,}."
        )


def _ended(choice: Choice) -> None:
    run, progress = choice.run, choice.run.progress()
    if choice.state == RunState.DONE:
        verdict = training_verdict(run)
        if verdict is None or verdict.settled:
            said = f" {verdict.sentence}" if verdict else ""
            st.success(f"The answer is ready.{said}", icon=":material/check_circle:")
        else:
            st.warning(f"The answer is ready. {verdict.sentence}", icon=":material/flag:")
        if st.button(
            "Explore the result", type="primary", icon=":material/map:", key="explore_result"
        ):
            choose_run(choice.run_id)
            st.switch_page("pages/map.py", query_params={"run": choice.run_id})
        loss_curve(run)
        return
    if choice.state == RunState.FAILED:
        show_error(progress.error or {"what": "The run failed without saying why"})
    elif choice.state == RunState.LOST:
        st.error(
            "**The worker ended without a word.** Often the machine ran out of memory or was "
            "restarted. Start the run again; if it happens again, choose fewer variable genes.",
            icon=":material/help:",
        )
    else:
        st.info("This run was cancelled; nothing of it was kept.", icon=":material/cancel:")
    if st.button("Start again", type="primary", icon=":material/replay:", key="start_again"):
        start_again(run)
    _log(run)


def start_again(run: RunFolder) -> None:
    """Queue the same run anew and show it."""
    with plain_errors():
        anew = get_workspace().run_again(run)
        get_launcher().submit(anew)
        choose_run(anew.run_id)
        st.rerun()


def _log(run: RunFolder) -> None:
    try:
        text = run.log_path.read_text(errors="replace")[-LOG_TAIL:]
    except OSError:
        return
    with st.expander("Log", icon=":material/description:"):
        st.code(text or "The log is empty.", language=None)


def runs_table(choices: list[Choice]) -> None:
    """All runs of the workspace with their state, and a way to open or delete each."""
    for choice in choices:
        text, color, icon = STATES[choice.state]
        name, state, when, view, delete = st.columns(
            [3, 1.2, 1.6, 0.9, 0.9], vertical_alignment="center"
        )
        name.markdown(f"**{plain(choice.name)}**")
        state.badge(text, icon=icon, color=color)  # type: ignore[arg-type]
        when.caption(f"{_when(choice)} · {_size(choice)}")
        if view.button("Show", key=f"show_{choice.run_id}", width="stretch"):
            choose_run(choice.run_id)
            st.query_params.pop("dataset", None)
            st.rerun()
        with delete.popover("Delete", disabled=choice.state.active, width="stretch"):
            st.write(
                f"Delete **{plain(choice.name)}**, started {_when(choice)} ({_size(choice)}), and "
                "its result?"
            )
            if st.button("Delete this run", type="primary", key=f"delete_{choice.run_id}"):
                _delete(choice)


def _when(choice: Choice) -> str:
    from velovi.ui.words import ago

    return ago(choice.run.spec().created)


def _size(choice: Choice) -> str:
    epochs = len(choice.run.history())
    return f"{epochs:,} epoch{'s' * (epochs != 1)}"


def _delete(choice: Choice) -> None:
    try:
        get_workspace().delete_run(choice.run_id)
    except VeloviError as error:
        show_error(error)
        return
    if st.query_params.get("run") == choice.run_id:
        choose_run(None)
    st.rerun()
