"""Command line: the same stages as the app, on a laptop or a server without a screen.

``python -m velovi run FILE --out DIR`` does everything; ``export`` writes h5ad and tables;
``demo`` makes the demo run that comes with the app; ``serve`` starts the app.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from velovi import __version__
from velovi.config import Options, RunOptions
from velovi.errors import DataError, StoreError, VeloviError
from velovi.runs.files import make_folder, store_error, write_bytes

if TYPE_CHECKING:
    from velovi.runs.folder import RunFolder

POLL_SECONDS = 0.5


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    given = _parser().parse_args(arguments)
    try:
        return int(given.command(given))
    except VeloviError as error:
        return _say(str(error))
    except KeyboardInterrupt:
        return _say("interrupted", 130)
    except BrokenPipeError:  # whoever read what is printed has gone
        sys.stderr.close()
        return 1
    except MemoryError:
        return _say("the machine ran out of memory. Use fewer cells, or a larger machine.")
    except OSError as error:
        where = Path(str(error.filename or given.command.__name__.strip("_")))
        return _say(str(store_error(error, where)))
    except Exception as error:
        if os.environ.get("VELOVI_DEBUG"):
            raise
        kind, text = type(error).__name__, str(error)[:300]
        return _say(
            f"something unexpected went wrong ({kind}: {text}). VELOVI_DEBUG=1 shows where."
        )


def _say(text: str, status: int = 1) -> int:
    print(f"velovi: {text}", file=sys.stderr)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("velovi", description=__doc__.splitlines()[0])
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="train on a file and write a run folder")
    run.add_argument(
        "file", type=Path, metavar="FILE", help="h5ad, loom, zarr, zip or folder of counts"
    )
    run.add_argument("--out", type=Path, required=True, metavar="DIR", help="new run folder")
    run.add_argument("--seed", type=int, help="one seed for all stages")
    run.add_argument("--detach", action="store_true", help="return at once; the run goes on")
    _add_options(run)
    run.set_defaults(command=_run)

    resume = commands.add_parser("resume", help="go on with a run that was interrupted")
    resume.add_argument("run", type=Path, metavar="RUN", help="the run's folder")
    resume.add_argument("--detach", action="store_true", help="return at once; the run goes on")
    resume.set_defaults(command=_resume)

    check = commands.add_parser("check", help="say what a file holds and what is wrong with it")
    check.add_argument("file", type=Path, metavar="FILE", help="a file or folder of counts")
    check.add_argument("--json", action="store_true", help="all of it, for programs")
    check.set_defaults(command=_check)

    merge = commands.add_parser(
        "merge", help="put samples together, or their counts into an annotated file"
    )
    merge.add_argument("counts", type=Path, nargs="+", metavar="COUNTS", help="one for each sample")
    merge.add_argument("--out", type=Path, required=True, metavar="FILE", help="new h5ad")
    merge.add_argument("--into", type=Path, metavar="FILE", help="annotated cells: clusters, UMAP")
    merge.add_argument("--all-genes", action="store_true", help="not only those that all hold")
    merge.add_argument("--allow-few", action="store_true", help="even if few cells are found")
    merge.set_defaults(command=_merge)

    export = commands.add_parser("export", help="write a result as h5ad and tables")
    export.add_argument("run", type=Path, metavar="RUN", help="a finished run's folder")
    export.add_argument("--h5ad", type=Path, metavar="FILE", help="the whole result")
    export.add_argument("--csv", type=Path, metavar="DIR", help="tables of cells and genes")
    export.set_defaults(command=_export)

    demo = commands.add_parser("demo", help="simulate and train the demo run of the app")
    demo.add_argument("--out", type=Path, help="another folder than the app's own")
    demo.set_defaults(command=_demo)

    serve = commands.add_parser("serve", help="start the app")
    serve.add_argument("--port", type=int, default=8501)
    serve.add_argument("--workspace", type=Path, help="where files and runs are kept")
    serve.set_defaults(command=_serve)
    return parser


def _add_options(parser: argparse.ArgumentParser) -> None:
    """One flag for each option of each stage; a name that is unique needs no stage before it."""
    counts = Counter(name for kind in RunOptions.stages().values() for name in kind.info())
    for stage, kind in RunOptions.stages().items():
        group = parser.add_argument_group(stage)
        for name, info in kind.info().items():
            flags = [f"--{stage}-{name}".replace("_", "-")]
            if counts[name] == 1:
                flags.insert(0, f"--{name}".replace("_", "-"))
            default = kind.default(name)
            shown = " ".join(default) if isinstance(default, tuple) else default
            text = f"{info.help} [{shown}]".replace("%", "%%")
            target = f"{stage}.{name}"
            if isinstance(default, bool):
                group.add_argument(
                    *flags, dest=target, action=argparse.BooleanOptionalAction, help=text
                )
            elif isinstance(default, tuple):
                group.add_argument(*flags, dest=target, nargs="*", help=text)
            else:
                choices = tuple(info.choices) or None
                group.add_argument(
                    *flags, dest=target, type=type(default), choices=choices, help=text
                )


def _print_verdict(folder: RunFolder) -> None:
    from velovi.runs.evidence_summary import EvidenceSummary
    from velovi.runs.results import ResultStore

    kept = EvidenceSummary.from_details(ResultStore(folder.result_path).details)
    if kept is None:
        return
    found = kept.verdict()
    print(f"velocities: {found.support}")
    for sentence in (*found.reasons, *found.advice):
        print(f"  - {sentence}")


def options_from(given: argparse.Namespace) -> RunOptions:
    """The run's options from parsed flags; what was not given keeps its default."""
    values: dict[str, Options] = {}
    for stage, kind in RunOptions.stages().items():
        chosen = {
            name: getattr(given, f"{stage}.{name}")
            for name in kind.info()
            if getattr(given, f"{stage}.{name}") is not None
        }
        if given.seed is not None and "seed" in kind.info():
            chosen.setdefault("seed", given.seed)
        if chosen.get("saved_model"):
            chosen["saved_model"] = str(Path(chosen["saved_model"]).resolve())
        values[stage] = kind.from_dict(chosen)
    return RunOptions(**values)  # type: ignore[arg-type]


def _run(given: argparse.Namespace) -> int:
    from velovi.data.formats import title_of
    from velovi.runs.folder import RunFolder, RunSpec
    from velovi.runs.workspace import versions

    options = options_from(given)
    _need_file(given.file)
    if (given.out / "spec.json").exists():
        raise StoreError(
            "this folder holds a run already", where=str(given.out), remedy="Choose a new folder"
        )
    make_folder(given.out)
    folder = RunFolder(given.out.resolve())
    source = str(given.file.resolve())
    folder.write_spec(
        RunSpec(folder.run_id, title_of(given.file), "", source, options, time.time(), versions())
    )
    return _start(folder, detach=given.detach)


def _start(folder: RunFolder, *, detach: bool) -> int:
    folder.start()
    if detach:
        print(folder.path)
        return 0
    return _follow(folder.path)


def _resume(given: argparse.Namespace) -> int:
    from velovi.runs.folder import RunFolder, RunState

    folder = RunFolder(given.run.resolve())
    folder.spec()
    state = folder.state()
    if state not in (RunState.LOST, RunState.FAILED):
        raise StoreError(
            "this run was not interrupted",
            where=folder.run_id,
            found=f"it is {state}",
            remedy="Start a new run with: python -m velovi run FILE --out DIR",
        )
    folder.reopen()
    return _start(folder, detach=given.detach)


def _need_file(path: Path) -> None:
    if not path.exists():
        raise DataError("there is no such file", where=str(path), remedy="Check the path")


def _follow(path: Path) -> int:
    """Print progress until the run ends. The first Ctrl-C stops and keeps, the second cancels."""
    from velovi.runs.folder import RunFolder, RunState
    from velovi.runs.results import WARNING, ResultStore

    folder, said = RunFolder(path), ""
    while (state := folder.state()).active:
        said = _say_progress(folder, said)
        try:
            time.sleep(POLL_SECONDS)
        except KeyboardInterrupt:
            if folder.stop_requested:
                folder.request_cancel()
                print("cancelling: nothing will be kept")
            else:
                folder.request_stop()
                print("stopping: the model so far is kept; press Ctrl-C again to cancel")
    if state is RunState.DONE:
        history = folder.history()
        seconds = time.time() - folder.progress().started
        last = (
            f", held-out loss {history[-1]['elbo_validation']:.1f}"
            if history and ("elbo_validation" in history[-1])
            else ""
        )
        for note in ResultStore(folder.result_path).details.get("notes", ()):
            print(f"note: {str(note).removeprefix(WARNING)}")
        _print_verdict(folder)
        print(f"done in {seconds:.0f} s, {len(history)} epochs{last}: {folder.result_path}")
        return 0
    error = folder.progress().error
    text = str(VeloviError(**error)) if error else ""  # type: ignore[arg-type]
    print(f"{state}: {text or f'see {folder.log_path}'}", file=sys.stderr)
    return 1


def _say_progress(folder: RunFolder, said: str) -> str:
    """Print a line when there is news; returns what was said last."""
    progress = folder.progress()
    if not progress.stage:
        return said
    line = f"{progress.stage}: {progress.message}"
    # on training, a line for every tenth epoch is enough
    step = progress.step // 10 * 10 if progress.stage == "train" else 0
    news = f"train {step}" if step else line
    if news == said:
        return said
    if step:
        history = folder.history()
        loss = history[-1].get("elbo_validation") if history else None
        line += f", epoch {step} of at most {progress.of}"
        line += f", held-out loss {loss:.1f}" if loss is not None else ""
    print(line, flush=True)
    return news


def _check(given: argparse.Namespace) -> int:
    from velovi.data.inspect import inspect_file

    _need_file(given.file)
    summary = inspect_file(given.file)
    if given.json:
        print(json.dumps({"ready": summary.ready, **summary.to_dict()}, indent=1))
        return 0 if summary.ready else 1
    print(f"{summary.n_cells} cells, {summary.n_genes} genes")
    print(f"spliced: {summary.spliced_layer}, unspliced: {summary.unspliced_layer}")
    for problem in summary.problems:
        print(f"{problem.level}: {problem.what} {problem.remedy}".rstrip())
    print("ready to train on" if summary.ready else "not ready: see the errors above")
    return 0 if summary.ready else 1


def _merge(given: argparse.Namespace) -> int:
    import pandas as pd

    from velovi.data.clean import unique_names
    from velovi.data.formats import title_of
    from velovi.data.merge import LEAST_MATCHED, merge_files

    for path in [*given.counts, *([given.into] if given.into else [])]:
        _need_file(path)
    if given.out.exists():
        raise StoreError(
            "there already is such a file", where=str(given.out), remedy="Name another"
        )
    names = unique_names(pd.Index([title_of(path) for path in given.counts]))
    make_folder(given.out.resolve().parent)
    told = merge_files(
        dict(zip(names, given.counts, strict=True)),
        given.out,
        into=given.into,
        least=0.0 if given.allow_few else LEAST_MATCHED,
        genes="all" if given.all_genes else "shared",
    )
    if "samples" in told:
        print(f"samples told apart by {told['told_apart_by']}")
        for row in told["samples"]:
            share = f"{100 * row['share']:.0f} %"
            print(f"{row['sample']}: {row['found']:,} of {row['n_cells']:,} cells ({share})")
    print(f"{told['n_cells']:,} cells, {told['n_genes']:,} genes")
    print(given.out)
    return 0


def _export(given: argparse.Namespace) -> int:
    from velovi.runs.export import cell_table, export_h5ad, gene_table
    from velovi.runs.folder import RunFolder
    from velovi.runs.results import ResultStore, verify_result
    from velovi.runs.tables import csv_bytes

    folder = RunFolder(given.run.resolve())
    store = ResultStore(folder.result_path)
    if given.h5ad:
        print(export_h5ad(folder.result_path, given.h5ad))
    if given.csv:
        if not given.h5ad:
            verify_result(folder.result_path)
        make_folder(given.csv)
        for name, table in (("cells", cell_table(store)), ("genes", gene_table(store))):
            write_bytes(given.csv / f"{name}.csv", csv_bytes(table))
            print(given.csv / f"{name}.csv")
    return 0


def _demo(given: argparse.Namespace) -> int:
    from velovi.runs.demo import make_demo
    from velovi.runs.workspace import DEMO_FOLDER

    return make_demo(given.out or DEMO_FOLDER)


def _serve(given: argparse.Namespace) -> int:
    if find_spec("streamlit") is None:
        raise StoreError(
            "the app needs Streamlit, which is not installed",
            where="serve",
            remedy='Install it with: pip install "velovi-explorer[app]"',
        )
    package = Path(__file__).resolve().parent
    app = package.parent / "app.py"
    if not app.exists():
        app = package / "site" / "app.py"  # in a wheel
    environment = dict(os.environ)
    workspace = given.workspace or Path(environment.get("VELOVI_WORKSPACE") or "workspace")
    environment["VELOVI_WORKSPACE"] = str(workspace.resolve())
    if environment.get("VELOVI_DATA"):
        folders = environment["VELOVI_DATA"].split(os.pathsep)
        environment["VELOVI_DATA"] = os.pathsep.join(
            str(Path(folder).resolve()) for folder in folders
        )
    os.chdir(app.parent)  # where Streamlit finds its settings
    command = [sys.executable, "-m", "velovi.ui.serve", "run", str(app)]
    command += ["--server.port", str(given.port)]
    if os.name != "nt":
        # in place of this process, so that whoever ends it ends the server
        os.execve(command[0], command, environment)
    return subprocess.call(command, env=environment)


if __name__ == "__main__":
    sys.exit(main())
