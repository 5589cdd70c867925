"""A run at work and after: steps, time left, loss curve, and what can be done next."""

from __future__ import annotations

import time

import streamlit as st

from velovi.plotting.training import leaves_out, training_data, training_figure
from velovi.runs.folder import Progress, RunFolder, RunState
from velovi.runs.progress import STAGES
from velovi.ui.convergence import run_warnings, training_convergence
from velovi.ui.download_figure import download_figure
from velovi.ui.errors import escape_markdown, show_error, show_errors
from velovi.ui.formatting import format_age, format_duration
from velovi.ui.labels import RUN_STATES, device_name
from velovi.ui.run_state import RunEntry, choose_run
from velovi.ui.services import advance_queue, get_launcher, get_workspace
from velovi.ui.theme import current_theme, draw

LOG_TAIL, LOG_LINES, LOG_HEIGHT = 20_000, 14, 320


def run_progress_panel(choice: RunEntry) -> None:
    """The panel of one run, whatever its state."""
    with st.container(border=True, key="run_panel"):
        text, color, icon = RUN_STATES[choice.state]
        with st.container(horizontal=True, vertical_alignment="center"):
            st.subheader(escape_markdown(choice.name), width="content")
            if not choice.state.active:
                st.badge(text, icon=icon, color=color)  # type: ignore[arg-type]
        if choice.state.active:
            live_panel(choice.run)
        else:
            _ended(choice)


@st.fragment(run_every=1)
def live_panel(run: RunFolder) -> None:
    """Look at the run once a second; when it has ended, let the whole page know."""
    advance_queue()
    with show_errors():
        state = run.state()
        # a folder that was deleted in another tab would read as one that waits
        if not state.active or not run.path.exists():
            st.rerun(scope="app")
        progress = run.progress()
        _headline(state, progress)
        _steps(progress, state)
        _buttons(run, state, progress)
        loss_curve(run)


def _headline(state: RunState, progress: Progress) -> None:
    text, color, icon = RUN_STATES[state]
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
            said.append(f"for {format_duration(time.time() - progress.started)}")
        if progress.eta is not None:
            said.append(f"about {format_duration(progress.eta)} left")
        if progress.device:
            said.append(f"trains on: {device_name(progress.device)}")
        st.caption(" · ".join(said))


def _steps(progress: Progress, state: RunState) -> None:
    at = _stage_number(progress)
    parts = []
    for i, (title, _) in enumerate(STAGES.values()):
        if i < at:
            parts.append(f":green[:material/check_circle: {title}]")
        elif i == at:
            parts.append(f":primary[**:material/arrow_forward: {title}**]")
        else:
            parts.append(f":gray[:material/circle: {title}]")
    st.markdown("  →  ".join(parts))
    if state == RunState.QUEUED:
        return
    count = f" · {_count(progress)}" if progress.of else ""
    st.progress(progress.fraction, text=f"{progress.message or 'Starting'}{count}")


def _stage_number(progress: Progress) -> int:
    """How many stages are done; -1 when none has begun."""
    names = list(STAGES)
    return names.index(progress.stage) if progress.stage in names else -1


def _buttons(run: RunFolder, state: RunState, progress: Progress) -> None:
    trained = _stage_number(progress) > list(STAGES).index("train")
    busy = state in (RunState.CANCELLING, RunState.STOPPING)
    with st.container(horizontal=True):
        stop = st.button(
            "Stop and keep",
            icon=":material/flag:",
            key="stop_run",
            disabled=busy or trained or state == RunState.QUEUED,
            help="Training has ended; the model is asked for its answer."
            if trained
            else "End training now and use the model as it is.",
        )
        cancel = _cancel_button(run, state)
    if stop:
        get_launcher().stop(run)
    if cancel:
        get_launcher().cancel(run)
    if stop or cancel:
        st.rerun(scope="app")


def _cancel_button(run: RunFolder, state: RunState) -> bool:
    """A button that asks before it throws work away; one that waits has none to lose."""
    off = state == RunState.CANCELLING
    if state == RunState.QUEUED:
        return st.button(
            "Cancel",
            icon=":material/cancel:",
            key="cancel_run",
            disabled=off,
            help="Take the run out of the queue.",
        )
    with st.popover(
        "Cancel",
        icon=":material/cancel:",
        key=f"cancel_{run.run_id}_box",
        disabled=off,
        help="End the run and throw its work away.",
    ):
        st.write(
            "End this run and throw its work away? *Stop and keep* ends training and keeps it."
        )
        return st.button("Cancel this run", type="primary", key="cancel_run")


def _count(progress: Progress) -> str:
    """How far a stage is; preprocessing counts nothing that the reader knows."""
    if progress.stage == "preprocess":
        return f"{progress.step} %"
    return f"{progress.step:,} of {progress.of:,}"


def loss_curve(run: RunFolder) -> None:
    """Loss by epoch, once there is any."""
    data = training_data(run.history())
    if not len(data.epochs):
        return
    with st.container(
        horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"
    ):
        st.markdown(
            "**Held-out loss (negative ELBO), lower is better**",
            help="Cells that the model does not train on judge how well it fits. Training ends "
            "when this curve stops falling.",
            width="content",
        )
        if not run.state().active:
            download_figure("loss", lambda: data, key="loss_curve")
    draw(
        training_figure(data, current_theme(), height=260),
        "loss_curve",
        alt="Loss by epoch",
        toolbar=False,
    )
    if data.best is not None:
        st.caption(
            f"{len(data.epochs):,} epochs; best held-out loss {data.best[1]:,.1f} at epoch "
            f"{data.best[0]:,}."
            + (" The steep first epochs lie above the picture." if leaves_out(data) else "")
        )


def _ended(choice: RunEntry) -> None:
    run = choice.run
    show_outcome(choice)
    if choice.state == RunState.DONE:
        explore_button(choice)
        loss_curve(run)
        return
    with st.container(horizontal=True):
        go_on = choice.state in (RunState.LOST, RunState.FAILED) and run.can_go_on
        if go_on and st.button(
            "Go on",
            type="primary",
            icon=":material/resume:",
            key="go_on",
            help="The same run goes on from what it has kept; nothing is trained twice.",
        ):
            continue_run(run)
        if st.button(
            "Start again",
            type="secondary" if go_on else "primary",
            icon=":material/replay:",
            key="start_again",
            help="The same file with the same options, as a new run.",
        ):
            start_again(run)
    show_log(run)


def show_outcome(choice: RunEntry) -> None:
    """What came of a run that has ended, in one box."""
    if choice.state == RunState.DONE:
        verdict = training_convergence(choice.run)
        told = run_warnings(choice.run)
        said = f" {verdict.sentence}" if verdict else ""
        if told or (verdict is not None and not verdict.settled):
            listed = "".join(f"\n- {escape_markdown(item)}" for item in told)
            st.warning(f"The answer is ready.{said}{listed}", icon=":material/flag:")
        else:
            st.success(f"The answer is ready.{said}", icon=":material/check_circle:")
    elif choice.state == RunState.FAILED:
        show_error(choice.run.progress().error or {"what": "The run failed without saying why"})
    elif choice.state == RunState.LOST:
        epochs = len(choice.run.history())
        kept = (
            f"What it has learnt in {epochs:,} epochs is kept: **Go on** takes it up there."
            if choice.run.can_go_on
            else "It had not kept anything yet: start it again."
        )
        st.error(
            "**The worker ended without a word.** Often the machine ran out of memory or was "
            f"restarted. {kept} If it happens again, choose fewer variable genes.",
            icon=":material/help:",
        )
    elif choice.state == RunState.CANCELLED:
        st.info("This run was cancelled; nothing of it was kept.", icon=":material/cancel:")


def explore_button(choice: RunEntry, label: str = "Explore the result") -> None:
    """A button that shows a finished run on the map."""
    if st.button(
        label,
        type="primary",
        icon=":material/map:",
        key="explore_result",
        help="Opens the Map page with this run.",
    ):
        choose_run(choice.run_id)
        st.switch_page("pages/map.py", query_params={"run": choice.run_id})


def continue_run(run: RunFolder) -> None:
    """Queue an interrupted run; it goes on from its checkpoint or its saved model."""
    with show_errors():
        get_workspace().require_room()
        run.reopen()
        get_launcher().start_waiting_runs()
        st.rerun()


def start_again(run: RunFolder) -> None:
    """Queue the same run anew and show it."""
    with show_errors():
        anew = get_workspace().run_again(run)
        get_launcher().start_waiting_runs()
        choose_run(anew.run_id)
        st.rerun()


def show_log(run: RunFolder) -> None:
    """The end of a run's log, and the whole of it to take away."""
    text = run.log_tail(LOG_TAIL)
    if text is None:
        return
    with st.expander("Log", icon=":material/description:"):
        if not text.strip():
            st.caption("The log is empty: nothing was out of the ordinary.")
            return
        long = text.count("\n") > LOG_LINES or len(text) > 100 * LOG_LINES
        height = LOG_HEIGHT if long else "content"
        st.code(text, language=None, height=height, wrap_lines=True)  # type: ignore[arg-type]
        st.download_button(
            "Download the log",
            run.log_path.read_bytes,
            f"{run.run_id}_log.txt",
            "text/plain",
            on_click="ignore",
            icon=":material/download:",
            key=f"log_{run.run_id}",
            help="All of it; above is its end. Send it along when you report a problem.",
        )


def queue_panel(choices: list[RunEntry], shown: str | None) -> None:
    """The runs at work and those that wait, in the order in which they come.

    Parameters
    ----------
    choices
        All runs, the newest first.
    shown
        Id of the run that the page shows already.
    """
    active = [choice for choice in reversed(choices) if choice.state.active]
    active.sort(key=lambda item: item.state == RunState.QUEUED)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.subheader(
            "Queue",
            width="content",
            help="Runs take turns by themselves, the oldest first; also when this page is closed.",
        )
        st.page_link("pages/runs.py", label="All runs", icon=":material/history:")
    if not active:
        st.caption("Nothing is running and nothing waits.")
        return
    _places(active, shown)
    watch_states(tuple((item.run, item.state) for item in active))


@st.fragment(run_every=3)
def _places(active: list[RunEntry], shown: str | None) -> None:
    """A row for each run; looked at again every few seconds, to see how far it has come."""
    ahead = sum(item.state != RunState.QUEUED for item in active)
    for place, choice in enumerate(active):
        _queued(choice, place - ahead + 1, shown=choice.run_id == shown)


def _stage_title(progress: Progress) -> str:
    stage = STAGES.get(progress.stage)
    return stage.title if stage else "starting"


def _queued(choice: RunEntry, place: int, *, shown: bool) -> None:
    text, color, icon = RUN_STATES[choice.state]
    name, state, where, show = st.columns([3, 1.2, 2.4, 1], vertical_alignment="center")
    name.markdown(f"**{escape_markdown(choice.name)}**")
    state.badge(text, icon=icon, color=color)  # type: ignore[arg-type]
    if choice.state == RunState.QUEUED:
        said = "next in line" if place == 1 else f"number {place} in line"
    else:
        progress = choice.run.progress()
        count = f", {_count(progress)}" if progress.of else ""
        said = f"{_stage_title(progress).lower()}{count}"
    where.caption(f"{said} · asked for {format_age(choice.created)}")
    if show.button(
        "Shown" if shown else "Show",
        key=f"show_{choice.run_id}",
        width="stretch",
        disabled=shown,
        help="Watch this run above, stop it or cancel it.",
    ):
        choose_run(choice.run_id)
        st.query_params.pop("dataset", None)
        st.rerun()


@st.fragment(run_every=3)
def watch_states(known: tuple[tuple[RunFolder, RunState], ...]) -> None:
    """Draw the whole page again once a run is no longer in the state that was drawn."""
    advance_queue()
    if any(not run.path.exists() or run.state() != state for run, state in known):
        st.rerun(scope="app")
