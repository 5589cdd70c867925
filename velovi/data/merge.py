"""Several samples become one, and velocity counts find their cells in an annotated object.

``python -m velovi.data.merge JOB`` does :func:`merge_files` with the arguments in a JSON text, and
prints what it returns, or what is wrong, as JSON.
"""

from __future__ import annotations

import json
import re
import sys
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
import scipy.sparse as sp

from velovi.data import guess_layers
from velovi.data.check import limit_process
from velovi.data.clean import unique_names
from velovi.data.h5ad import CONVERTED
from velovi.data.inspect import BATCHES
from velovi.data.storable import storable_name
from velovi.errors import DataError, VeloviError

if TYPE_CHECKING:
    from anndata import AnnData

SAMPLE = "sample"
"""Column of ``obs`` that says which file a cell came from."""
LEAST_MATCHED = 0.5
"""Share of an annotated sample's cells whose barcodes must be found, unless fewer are allowed."""
_BARCODE = re.compile(r"[ACGTN]{8,}")
_GENE_IDS = ("gene_ids", "gene_id", "Accession", "ensembl_id", "ensembl", "feature_id", "gene_name")
_MOST_GROUPS = 200
_NEARLY_ALL = 0.8  # of the cells of a further sample that a file is said to hold
_MOST_TOLD = 3
_SECONDS, _SECONDS_PER_BYTE = 120.0, 4e-6
_MEMORY, _MEMORY_PER_BYTE = 2**31, 60
_FEWEST_SHARED = 0.5  # of the genes of the sample that has fewest


def barcode_of(name: str) -> str:
    """The barcode in a cell's name: all stretches of bases; the name itself without one.

    Examples
    --------
    >>> [barcode_of(name) for name in ("E15:AAACCTGAGAGGGATAx", "AAACCTGAGAGGGATA-1-0", "cell_7")]
    ['AAACCTGAGAGGGATA', 'AAACCTGAGAGGGATA', 'cell_7']
    """
    return "_".join(_BARCODE.findall(name)) or name


@dataclass(frozen=True)
class Match:
    """How the cells of a file of counts were found in an annotated object.

    Attributes
    ----------
    table
        Row for each file: ``group`` of the annotated cells that it belongs to, their number
        ``n_cells``, how many were ``found``, and their ``share``.
    rows
        For each file, positions of the found cells in the annotated object and in the file,
        (found,) each.
    told_apart_by
        What told the samples apart: a column, the parts of names around the barcodes, or nothing.
    """

    table: pd.DataFrame
    rows: Mapping[str, tuple[np.ndarray, np.ndarray]]
    told_apart_by: str

    def require(self, least: float = LEAST_MATCHED) -> None:
        """Raise DataError when a file finds too few of its cells."""
        poor = self.table[~(self.table["share"] >= least)]
        if len(poor):
            told = ", ".join(
                f"{name}: {row['found']:,.0f} of {row['n_cells']:,.0f}"
                for name, row in poor.iterrows()
            )
            raise DataError(
                "too few cells of the annotated object are in the counts",
                expected=f"at least {least:.0%} of each sample",
                found=told,
                remedy="Check that the files belong together, or allow fewer",
            )


def match_cells(
    annotated: Sequence[str], obs: pd.DataFrame, counts: Mapping[str, Sequence[str]]
) -> Match:
    """Find the cells of files of counts among annotated cells, by their barcodes.

    Programs change the names around a barcode: ``sample:BARCODEx``, ``BARCODE-1``,
    ``BARCODE-1-sample``. What tells the samples of the annotated object apart is whatever makes
    most cells findable: a column of ``obs`` that is named like one (batch, sample, donor, ...), or
    what stands around the barcodes.

    Parameters
    ----------
    annotated
        Names of the annotated cells.
    obs
        Their annotations.
    counts
        Names of the cells of each file.

    Returns
    -------
    Match

    Examples
    --------
    >>> names = ["AAACCTGAGAGGGATA-1", "AAACCTGAGCCTTGAT-1"]
    >>> found = match_cells(names, pd.DataFrame(index=names), {"E15": ["E15:AAACCTGAGCCTTGATx"]})
    >>> int(found.table.loc["E15", "found"])
    1
    """
    holders = Counter(name for cells in counts.values() for name in cells)
    n_exact = sum(holders[name] == 1 for name in annotated)
    exact = n_exact > 0 and n_exact >= _NEARLY_ALL * len(annotated)
    key = str if exact else barcode_of  # names that are the same need no barcodes
    barcodes = np.array([key(name) for name in annotated], dtype=object)
    files = {name: _places([key(cell) for cell in cells]) for name, cells in counts.items()}
    together, *apart = (
        (_matched(title, groups, barcodes, files), len(np.unique(groups)) == len(files))
        for title, groups in _partitions(list(annotated), barcodes, obs)
    )
    # where something tells samples apart, a barcode of one says nothing of a cell of another
    told = [item for item in apart if (item[0].table["share"] >= LEAST_MATCHED).all()]
    return max(
        [*told, *([] if told else [together])],
        key=lambda item: (item[0].table["found"].sum(), item[1]),
    )[0]


def _places(barcodes: Sequence[str]) -> dict[str, int]:
    """Where each barcode of a file stands; one that repeats names no cell."""
    times = Counter(barcodes)
    return {barcode: at for at, barcode in enumerate(barcodes) if times[barcode] == 1}


def _partitions(
    names: list[str], barcodes: np.ndarray, obs: pd.DataFrame
) -> list[tuple[str, np.ndarray]]:
    """Ways in which annotated cells may fall into samples, the plainest first."""
    around = np.array(
        [name.replace(barcode, "*", 1) for name, barcode in zip(names, barcodes, strict=True)]
    )
    found = [("nothing: all cells together", np.full(len(names), "all"))]
    if 1 < len(np.unique(around)) <= _MOST_GROUPS:
        found.append(("what stands around the barcodes", around))
    for column in obs:
        if not any(word in str(column).lower() for word in BATCHES):
            continue  # a small cluster would match any file
        values = obs[column]
        if isinstance(values.dtype, pd.CategoricalDtype) or values.dtype == object:
            text = values.astype(str).to_numpy(dtype=str)
            if 1 < len(np.unique(text)) <= _MOST_GROUPS:
                found.append((f"'{column}'", text))
    return found


def _matched(
    title: str, groups: np.ndarray, barcodes: np.ndarray, files: Mapping[str, Mapping[str, int]]
) -> Match:
    """Give every file the group in which most of its barcodes are, the best fitting first."""
    labels = np.unique(groups)
    inside = {label: np.flatnonzero(groups == label) for label in labels}
    shares = {
        (name, label): sum(barcodes[at] in places for at in rows)
        for name, places in files.items()
        for label, rows in inside.items()
    }
    alone = len(labels) == 1 and len(files) > 1
    taken: dict[str, list[str]] = {name: [] for name in files}
    for (name, label), n_found in sorted(shares.items(), key=lambda item: -item[1]):
        free = alone or not any(label in groups for groups in taken.values())
        # a file may hold several samples, whose cells are then nearly all in it
        if n_found and free and (not taken[name] or n_found >= _NEARLY_ALL * len(inside[label])):
            taken[name].append(label)
    # a barcode that several files or several cells of a sample have names none of them
    holders = Counter(barcode for places in files.values() for barcode in places)
    table: dict[str, tuple[str, int, int, float]] = {}
    rows: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for name, places in files.items():
        own = np.concatenate([np.empty(0, np.intp), *(inside[label] for label in taken[name])])
        times = Counter(barcodes[own])
        hits = [
            (at, places[barcodes[at]])
            for at in own
            if barcodes[at] in places
            and times[barcodes[at]] == 1
            and not (alone and holders[barcodes[at]] > 1)
        ]
        pairs = np.array(hits, dtype=np.intp).reshape(-1, 2)
        rows[name] = pairs[:, 0], pairs[:, 1]
        groups_told = ", ".join(map(str, taken[name][:_MOST_TOLD]))
        more = len(taken[name]) - _MOST_TOLD
        groups_told += f" and {more} more" if more > 0 else ""
        table[name] = groups_told, len(own), len(hits), len(hits) / max(len(own), 1)
    columns = ["group", "n_cells", "found", "share"]
    told = pd.DataFrame.from_dict(table, orient="index", columns=columns)
    if alone:  # which cells belong to which file is not known, only how many belong to any
        told["share"] = told["found"].sum() / len(barcodes)
    return Match(told, rows, title)


def add_counts(
    annotated: AnnData, counts: Mapping[str, AnnData], *, least: float = LEAST_MATCHED
) -> tuple[AnnData, Match]:
    """Bring velocity counts into an annotated object: its cells, the genes of the counts.

    Parameters
    ----------
    annotated
        Clusters, maps and other annotations of cells, (cells, any genes).
    counts
        A file of counts for each sample, by name, with spliced and unspliced layers.
    least
        Share of each sample's cells that must be found.

    Returns
    -------
    adata
        The found cells in the order of the annotated object, with its ``obs``, ``obsm``, ``obsp``
        and ``uns``; genes that all files hold, with layers ``spliced`` and ``unspliced`` and what
        the annotated object says of those of the same name.
    match
        Sample by sample.

    Raises
    ------
    DataError
        Too few cells are found, or a file has no velocity counts.

    Examples
    --------
    >>> from velovi import simulate
    >>> counts = simulate(60, 20)
    >>> annotated = counts[::2].copy()
    >>> del annotated.layers["spliced"], annotated.layers["unspliced"]
    >>> add_counts(annotated, {"a": counts})[0].shape
    (30, 20)
    """
    match = match_cells(
        list(annotated.obs_names),
        annotated.obs,
        {name: list(item.obs_names) for name, item in counts.items()},
    )
    match.require(least)
    parts = {name: item[match.rows[name][1]] for name, item in counts.items()}
    joined = combine_samples({name: part for name, part in parts.items() if part.n_obs})
    rows = np.concatenate([match.rows[name][0] for name, part in parts.items() if part.n_obs])
    order = np.argsort(rows, kind="stable")
    made, kept = joined[order].copy(), annotated[rows[order]]
    sample = made.obs[SAMPLE]
    made.obs = annotated.obs.iloc[rows[order]].copy()  # with all categories, which have colours
    if len(counts) > 1:
        made.obs[storable_name(SAMPLE, made.obs.columns)] = sample.to_numpy()
    for part in ("obsm", "obsp"):
        for key, value in getattr(kept, part).items():
            getattr(made, part)[key] = value
    made.uns.update(annotated.uns)
    same = _same_genes(annotated, made)
    if same is not None:
        extra = annotated.var.reindex(annotated.var_names[~annotated.var_names.duplicated()])
        extra = extra.reindex(same)
        for column in extra:
            name = storable_name(str(column), made.var.columns)
            made.var[name] = _with_gaps(annotated.var[column], extra[column]).to_numpy()
    return made, match


def _with_gaps(before: pd.Series, after: pd.Series) -> pd.Series:
    """A column that lacks some rows, in a form that a file can hold."""
    if before.dtype == bool:
        return after.where(after.notna(), False).astype(bool)
    if before.dtype.kind in "iuf":
        return after.astype(float)
    return after.astype(object).where(after.notna(), "").astype(str)


def combine_samples(
    samples: Mapping[str, AnnData], *, genes: Literal["shared", "all"] = "shared"
) -> AnnData:
    """Put samples below each other, with a column that tells them apart.

    Parameters
    ----------
    samples
        With spliced and unspliced layers, by name.
    genes
        Those that all hold, or all of any (0 where a sample has not counted one).

    Returns
    -------
    AnnData
        Layers ``spliced``, ``unspliced`` and, where all have it, ``ambiguous``; ``obs["sample"]``;
        names of cells with that of their sample where they would repeat. Annotations and maps that
        all samples have are kept.

    Raises
    ------
    DataError
        A sample has no velocity counts, or they share no genes.
    """
    import anndata

    parts = {name: _velocity_counts(name, item) for name, item in samples.items()}
    names = [set(part.var_names) for part in parts.values()]
    shared = len(set.intersection(*names))
    if shared < _FEWEST_SHARED * min(map(len, names)) or not shared:
        raise DataError(
            "the samples have too few genes in common",
            expected=f"at least {_FEWEST_SHARED:.0%} of those of each",
            found=f"{shared:,}; "
            + ", ".join(f"{name}: {', '.join(part.var_names[:2])}" for name, part in parts.items()),
            remedy="Count them all with the same reference, and name genes alike",
        )
    for part in ("layers", "obsm"):
        everywhere = set.intersection(*(set(getattr(item, part)) for item in parts.values()))
        for item in parts.values():
            for key in [key for key in getattr(item, part) if key not in everywhere]:
                del getattr(item, part)[key]
    for name, part in parts.items():
        if SAMPLE in part.obs:  # of the file itself
            free = storable_name(f"{SAMPLE}_from_file", part.obs.columns)
            part.obs = part.obs.rename(columns={SAMPLE: free})
        part.obs[SAMPLE] = pd.Categorical([name] * part.n_obs, categories=list(parts))
    cells = [name for part in parts.values() for name in part.obs_names]
    if len(set(cells)) < len(cells):
        for name, part in parts.items():
            part.obs_names = [f"{name}:{cell}" for cell in part.obs_names]
    with warnings.catch_warnings(action="ignore"):
        made = anndata.concat(
            list(parts.values()),
            join="inner" if genes == "shared" else "outer",
            merge="same",
            uns_merge="same",
            fill_value=0,
        )
    made.obs[SAMPLE] = pd.Categorical(made.obs[SAMPLE], categories=list(parts))
    return made


def _velocity_counts(name: str, adata: AnnData) -> AnnData:
    """A copy with the usual names of layers and sparse counts; genes that repeat get numbers."""
    from anndata import AnnData

    spliced, unspliced = guess_layers(list(adata.layers))
    if spliced is None or unspliced is None:
        raise DataError(
            "a file has no spliced and unspliced counts",
            where=name,
            found=", ".join(adata.layers) or "no layers",
            remedy="Give each sample's velocity counts, such as velocyto's loom",
        )
    chosen = {"spliced": spliced, "unspliced": unspliced}
    if "ambiguous" in adata.layers:
        chosen["ambiguous"] = "ambiguous"
    layers = {
        title: sp.csr_matrix(adata.layers[layer], dtype=np.float32)
        for title, layer in chosen.items()
    }
    var = adata.var.copy()
    var.index = unique_names(adata.var_names)
    return AnnData(
        layers["spliced"].copy(),
        obs=adata.obs.copy(),
        var=var,
        layers=layers,
        obsm=dict(adata.obsm),
    )


def _same_genes(annotated: AnnData, made: AnnData) -> pd.Index | None:
    """Names that the genes of the counts have in the annotated object, (genes,); None for few."""
    known = set(annotated.var_names)
    candidates = [pd.Series(made.var_names, dtype=object)]
    candidates += [made.var[column].astype(str) for column in _GENE_IDS if column in made.var]
    best = max(candidates, key=lambda names: names.isin(known).sum())
    return pd.Index(best) if best.isin(known).any() else None


def merge_files(
    counts: Mapping[str, Path],
    out: Path | None = None,
    *,
    into: Path | None = None,
    least: float = LEAST_MATCHED,
    genes: Literal["shared", "all"] = "shared",
) -> dict[str, Any]:
    """Put files together; see :func:`add_counts` and :func:`combine_samples`.

    Parameters
    ----------
    counts
        A file of each sample, by name.
    out
        The h5ad to write; None only looks how the cells match.
    into
        Annotated cells that the counts are brought to; None puts the samples below each other.
    least, genes
        As there.

    Returns
    -------
    As JSON can hold it: ``told_apart_by`` and ``samples`` (the rows of :attr:`Match.table`) where
    there are annotated cells, ``n_cells`` and ``n_genes`` where something was written.

    Raises
    ------
    DataError
        A file cannot be read, or too few cells are found.
    """
    from velovi.data.read import READING, read

    parts = {name: read(path) for name, path in counts.items()}
    told: dict[str, Any] = {}
    if into is None:
        made = combine_samples(parts, genes=genes)
    else:
        annotated = read(into)
        if out is None:
            names = {name: list(part.obs_names) for name, part in parts.items()}
            return _match_told(match_cells(list(annotated.obs_names), annotated.obs, names))
        made, match = add_counts(annotated, parts, least=least)
        told = _match_told(match)
    made.uns.pop(READING, None)
    notes = [str(note) for part in parts.values() for note in part.uns[READING]["notes"]]
    made.uns[CONVERTED] = json.dumps({"title": "files put together", "notes": _once(notes)})
    if out is not None:
        beside = out.with_name(f".{out.name}.part")
        try:
            with warnings.catch_warnings(action="ignore"):
                made.write_h5ad(beside, compression="lzf")
            beside.replace(out)
        finally:
            beside.unlink(missing_ok=True)
    return {**told, "n_cells": made.n_obs, "n_genes": made.n_vars}


def _once(notes: list[str]) -> list[str]:
    return list(dict.fromkeys(notes))


def _match_told(match: Match) -> dict[str, Any]:
    rows = match.table.rename_axis("sample").reset_index().to_dict("records")
    plain = [
        {
            "sample": str(row["sample"]),
            "group": str(row["group"]),
            "n_cells": int(row["n_cells"]),
            "found": int(row["found"]),
            "share": float(row["share"]),
        }
        for row in rows
    ]
    return {"told_apart_by": match.told_apart_by, "samples": plain}


def merge_seconds(size: int) -> float:
    """Seconds of work that putting together files of so many bytes may take."""
    return _SECONDS + _SECONDS_PER_BYTE * size


def main() -> int:
    """Entry point of the process."""
    job = json.loads(sys.argv[1])
    job["counts"] = {name: Path(path) for name, path in job["counts"].items()}
    for name in ("out", "into"):
        job[name] = Path(job[name]) if job.get(name) else None
    paths = [*job["counts"].values(), *([job["into"]] if job["into"] else [])]
    size = sum(path.stat().st_size for path in paths)
    limit_process(merge_seconds(size), _MEMORY + _MEMORY_PER_BYTE * size)
    try:
        answer = merge_files(**job)
    except VeloviError as error:
        answer = error.to_dict()
    except MemoryError:
        answer = {"what": "the files are too large to be put together on this machine"}
    json.dump(answer, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
