"""Damaged files of every kind: is each read or refused in a sentence, and the same by both ways?

``python -m tests.evidence.files [--files 2000] [--seed 0] [--jobs 1]``

Each file is checked in a process of its own (``velovi.data.check``) and read in another, as a run
does it. Counted are signals, hangs over ten seconds, exceptions that are not the package's own,
and files that the check calls ready and the reader refuses.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import scipy.sparse as sp

LIMIT = 10.0
_READ = """
import json, sys, time
from pathlib import Path
from velovi.data.inspect import inspect_file
from velovi.data.read import read
from velovi.data.validate import validate
from velovi.errors import DataError, VeloviError
for line in sys.stdin:
    path = line.strip()
    found = {"path": path, "seconds": []}
    began = time.monotonic()
    try:
        summary = inspect_file(path)
        found["seconds"].append(time.monotonic() - began)
        found["ready"] = summary.ready
        json.dumps(summary.to_dict(), allow_nan=False)
        layers = summary.spliced_layer or "spliced", summary.unspliced_layer or "unspliced"
        read(path)  # as a notebook does it; what it says is looked at below
    except VeloviError as error:
        pass
    found["seconds"].append(time.monotonic() - began)
    try:
        if not summary.ready:
            raise DataError("not ready")
        adata = read(path, layers=layers)
        validate(adata, *layers)
        found["read"] = "read"
    except VeloviError as error:
        found["read"] = "refused"
        found["why"] = str(error)[:200]
    except BaseException as error:
        found["read"] = "foreign"
        found["why"] = f"{type(error).__name__}: {error}"[:200]
    found["seconds"].append(time.monotonic() - began)
    print(json.dumps(found), flush=True)
"""


def cells(seed: int = 0) -> bytes:
    """A small file with a column, an embedding or a layer of every kind."""
    from velovi.data.simulate import simulate

    adata = simulate(60, 12, seed=seed)
    rng = np.random.default_rng(seed)
    adata.obs["batch"] = pd.Categorical(rng.choice(["a", "b"], 60))
    adata.obs["number"] = rng.normal(size=60)
    adata.obs["maybe"] = pd.array([1, None, 2] * 20, dtype="Int64")
    adata.obs["flag"] = rng.random(60) < 0.5
    adata.var["text"] = [f"t{place}" for place in range(12)]
    adata.obsm["X_umap"] = rng.normal(size=(60, 2)).astype(np.float32)
    adata.obsm["frame"] = pd.DataFrame({"a": np.zeros(60), "b": 1.0}, index=adata.obs_names)
    adata.layers["dense"] = adata.layers["spliced"].toarray()
    adata.layers["spliced"] = sp.csc_matrix(adata.layers["spliced"])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cells.h5ad"
        adata.write_h5ad(path, compression="gzip" if seed % 2 else None)
        return path.read_bytes()


def truncated(content: bytes) -> Iterator[tuple[str, bytes]]:
    """The file cut at each percent of its length."""
    for percent in range(1, 100):
        yield f"cut_{percent}", content[: len(content) * percent // 100]


def flipped(content: bytes, n: int, rng: np.random.Generator) -> Iterator[tuple[str, bytes]]:
    """Random bytes at random places, few or many, and whole pages of them."""
    for number in range(n):
        broken = np.frombuffer(content, dtype=np.uint8).copy()
        count = int(rng.choice([1, 3, 10, 40, 200]))
        if number % 5 == 4:
            start = int(rng.integers(len(broken) - 512))
            broken[start : start + 512] = rng.integers(256, size=512)
        else:
            broken[rng.integers(len(broken), size=count)] = rng.integers(256, size=count)
        yield f"flip_{number}", broken.tobytes()


def _datasets(file: h5py.File) -> list[str]:
    names: list[str] = []
    file.visititems(lambda name, node: names.append(name))
    return names


def _craft(path: Path, rng: np.random.Generator) -> str:
    """One thing of the file made to be what it should not be."""
    with h5py.File(path, "a") as file:
        name = str(rng.choice(_datasets(file)))
        node = file[name]
        how = str(
            rng.choice(
                [
                    "delete",
                    "shape",
                    "kind",
                    "values",
                    "huge",
                    "attribute",
                    "link",
                    "empty",
                    "swap",
                    "names",
                    "codes",
                    "extra",
                ]
            )
        )
        if how == "attribute" or not isinstance(node, h5py.Dataset):
            keys = list(node.attrs) or ["encoding-type"]
            values = ["later-matrix", b"\xff\xfe", np.inf, -1, "", np.float64("nan")]
            values += [np.array([1, 2]), np.array([-5, 2**40])]
            value = values[int(rng.integers(len(values)))]
            node.attrs[str(rng.choice(keys))] = value
            return f"{name} attribute"
        old, attributes = node[()], dict(node.attrs)
        del file[name]
        if how == "delete":
            return f"{name} deleted"
        makers: dict[str, Callable[[], object]] = {
            "shape": lambda: np.resize(old, (max(1, np.size(old) // 2 + 1),)),
            "kind": lambda: np.resize(np.array([b"x", b"yy"]), np.shape(old) or (1,)),
            "values": lambda: np.resize(
                np.array([np.nan, -1, np.inf, 2**31 - 1, 1e300]), np.shape(old) or (1,)
            ),
            "empty": lambda: h5py.Empty("f4"),
            "codes": lambda: np.resize(np.array([2**40, -(2**40)]), np.shape(old) or (1,)),
            "swap": lambda: (
                np.asarray(old).astype(">f8")
                if np.asarray(old).dtype.kind in "iuf"
                else np.asarray(old)
            ),
        }
        if how == "huge":
            file.create_dataset(name, shape=(10**9,), dtype="f4", chunks=(10**6,))
        elif how == "link":
            file[name] = h5py.SoftLink(str(rng.choice(["/nowhere", "/obs", f"/{name}"])))
            return f"{name} link"
        elif how == "names":
            file[f"{name}/with/slash" if rng.random() < 0.5 else name + "\u2603" * 200] = old
        elif how == "extra":
            file[name] = old
            file[f"{name.rpartition('/')[0]}/extra_{rng.integers(9)}"] = np.dtype("i1")
        else:
            file[name] = makers[how]()
        if name in file and isinstance(file[name], h5py.Dataset):
            for key, value in attributes.items():
                file[name].attrs[key] = value
        return f"{name} {how}"


def crafted(content: bytes, n: int, rng: np.random.Generator) -> Iterator[tuple[str, bytes]]:
    """Valid HDF5 whose contents cannot be true."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "crafted.h5ad"
        for number in range(n):
            path.write_bytes(content)
            try:
                what = _craft(path, rng)
            except (ValueError, TypeError, OSError, RuntimeError, KeyError):
                continue
            yield f"craft_{number}_{what.replace('/', '.')[:60]}", path.read_bytes()


def judged(paths: list[Path]) -> Iterator[dict[str, object]]:
    """What the check and the reader say of each file, from one process that is started anew."""
    waiting = list(paths)
    while waiting:
        process = subprocess.Popen(
            [sys.executable, "-c", _READ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            stderr=subprocess.DEVNULL,
            bufsize=1,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        while waiting:
            path = waiting.pop(0)
            began = time.monotonic()
            process.stdin.write(f"{path}\n")
            process.stdin.flush()
            line = _line(process, LIMIT + 20)
            if line is None:
                process.kill()
                code = process.wait()
                kind = "hang" if time.monotonic() - began > LIMIT else "signal"
                yield {"path": str(path), "ready": None, "read": kind, "why": str(code)}
                break
            found = json.loads(line)
            if time.monotonic() - began > LIMIT:
                found["read"] = "hang"
            yield found
        else:
            process.stdin.close()
            process.wait()


def _line(process: subprocess.Popen[str], seconds: float) -> str | None:
    import select

    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], seconds)
    return (process.stdout.readline() or None) if ready else None


def main() -> int:
    """Make the files, judge them, print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--poison", type=Path, help="a folder of further files")
    given = parser.parse_args()
    rng = np.random.default_rng(given.seed)
    contents = [cells(given.seed), cells(given.seed + 1)]
    counts: Counter[str] = Counter()
    bad: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        rest = max(0, given.files - 99 * len(contents)) // (2 * len(contents))
        for content in contents:
            for kind in (
                truncated(content),
                flipped(content, rest, rng),
                crafted(content, rest, rng),
            ):
                for name, damaged in kind:
                    paths.append(Path(folder) / f"{len(paths)}_{name}.h5ad")
                    paths[-1].write_bytes(damaged)
        if given.poison:
            paths += sorted(given.poison.glob("*.h5ad"))
        for found in judged(paths):
            disagree = bool(found.get("ready")) and found["read"] != "read"
            verdict = "ready but refused" if disagree else str(found["read"])
            counts[verdict] += 1
            if verdict not in ("read", "refused"):
                bad.append({**found, "verdict": verdict})
    print(json.dumps({"files": len(paths), **counts}, indent=1))
    for found in bad[:40]:
        print(json.dumps(found))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
