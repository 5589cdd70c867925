"""Reading, checking and simulating data.

Here live only the results that stages hand on, as plain dataclasses: the web process reads them,
so this module imports nothing heavier than the standard library.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Self

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from anndata import AnnData

Level = Literal["error", "warning", "note"]
Kind = Literal["categorical", "numeric", "text"]

MIN_CELLS = 30
"""Fewest cells with which neighbourhoods, and so velocities, mean anything."""

MOST_GROUPS = 120
"""Groups of cells that are shown apart; more cannot be told apart, and drawing them takes long."""

UNSPLICED_ALIASES: tuple[str, ...] = (
    "unspliced",
    "nascent",
    "nuclear",
    "nuc",
    "nucleus",
    "intronic",
    "u",
    "mu",
)
SPLICED_ALIASES: tuple[str, ...] = (
    "spliced",
    "mature",
    "cytoplasmic",
    "cyto",
    "cytoplasm",
    "exonic",
    "s",
    "ms",
)
"""Layer names that quantifiers and authors use; those at one position belong together."""


# names under which people keep their cell types, the likeliest first
_USUAL_LABELS = (
    "clusters",
    "cluster",
    "cell_type",
    "celltype",
    "cell_types",
    "celltypes",
    "cell type",
    "cell.type",
    "annotation",
    "leiden",
    "louvain",
    "seurat_clusters",
)


def usual_labels(columns: Iterable[object]) -> list[str]:
    """Those of the annotations that by their names hold groups of cells, the likeliest first.

    Examples
    --------
    >>> usual_labels(["batch", "leiden", "Cell_Type"])
    ['Cell_Type', 'leiden']
    """
    by_name = {str(name).lower(): str(name) for name in columns}
    return [by_name[name] for name in _USUAL_LABELS if name in by_name]


@dataclass(frozen=True)
class Problem:
    """One thing to know about a file; an ``error`` means that it cannot be used as it is."""

    level: Level
    what: str
    remedy: str = ""


@dataclass(frozen=True)
class LayerInfo:
    """One matrix of cells by genes; ``integer`` is None when its values could not be read."""

    name: str
    sparse: bool
    dtype: str
    integer: bool | None
    total: float | None


@dataclass(frozen=True)
class ColumnInfo:
    """One column of the cell table; ``n_missing`` counts cells without a value."""

    name: str
    kind: Kind
    n_unique: int
    n_missing: int = 0


@dataclass(frozen=True)
class EmbeddingInfo:
    """One embedding of the cells, such as a UMAP, with its number of dimensions."""

    name: str
    n_dims: int


@dataclass(frozen=True)
class DatasetSummary:
    """What a file holds and whether a run can start from it.

    Attributes
    ----------
    n_cells, n_genes
        0 when unknown.
    spliced_layer, unspliced_layer
        Best guess of the names, None when no layer looks like it.
    label_column
        Suggested column to colour cells by, None when there is none.
    unspliced_fraction
        Unspliced counts over all counts, 0 to 1; None when unknown.
    unspliced_fraction_by_label
        The same for each category of ``label_column``.
    given_up
        The check took too long, perhaps because the machine was busy; nothing is known.
    """

    n_cells: int = 0
    n_genes: int = 0
    layers: tuple[LayerInfo, ...] = ()
    spliced_layer: str | None = None
    unspliced_layer: str | None = None
    columns: tuple[ColumnInfo, ...] = ()
    label_column: str | None = None
    embeddings: tuple[EmbeddingInfo, ...] = ()
    unspliced_fraction: float | None = None
    unspliced_fraction_by_label: dict[str, float] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    given_up: bool = False

    @property
    def ready(self) -> bool:
        """Whether a run can start from this file."""
        return not self.errors

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The problems that keep a run from starting."""
        return tuple(problem for problem in self.problems if problem.level == "error")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The summary that :meth:`to_dict` wrote, also after a way through JSON."""
        parts: dict[str, type[Any]] = {
            "layers": LayerInfo,
            "columns": ColumnInfo,
            "embeddings": EmbeddingInfo,
            "problems": Problem,
        }
        rebuilt = {
            name: tuple(kind(**value) for value in values[name])
            for name, kind in parts.items()
            if name in values
        }
        summary = cls(**{**values, **rebuilt})
        summary._check_kinds()
        return summary

    def _check_kinds(self) -> None:
        """Raise TypeError where a damaged file says something of another kind."""
        texts = [self.spliced_layer, self.unspliced_layer, self.label_column]
        texts += [layer.name for layer in self.layers] + [column.name for column in self.columns]
        texts += [embedding.name for embedding in self.embeddings]
        texts += [text for problem in self.problems for text in (problem.what, problem.remedy)]
        numbers = [self.unspliced_fraction, *(layer.total for layer in self.layers)]
        numbers += list(self.unspliced_fraction_by_label.values())
        counts = [self.n_cells, self.n_genes, *(embedding.n_dims for embedding in self.embeddings)]
        counts += [n for column in self.columns for n in (column.n_unique, column.n_missing)]
        right = (
            all(item is None or isinstance(item, str) for item in texts)
            and all(number is None or type(number) in (int, float) for number in numbers)
            and all(type(count) is int for count in counts)
            and all(problem.level in ("error", "warning", "note") for problem in self.problems)
            and all(column.kind in ("categorical", "numeric", "text") for column in self.columns)
        )
        if not right:
            raise TypeError("this is no summary of a file")


@dataclass(frozen=True)
class PreprocessReport:
    """What preprocessing kept and why it dropped the rest.

    Attributes
    ----------
    genes
        One row for each input gene: ``kept`` (bool), ``reason`` ('' when kept), ``shared_counts``
        (counts), ``r2`` and ``gamma`` (NaN for genes dropped before the steady-state line).
    unspliced_fraction
        Unspliced counts over all counts of the input, 0 to 1; NaN without any counts.
    notes
        Plain sentences for the user.
    used_fallback
        Fewer than two genes passed the R2 filter, so its threshold was lowered.
    """

    genes: pd.DataFrame
    n_cells: int
    n_genes_in: int
    n_genes_kept: int
    unspliced_fraction: float
    notes: tuple[str, ...] = ()
    used_fallback: bool = False

    def __post_init__(self) -> None:
        wanted = ["kept", "reason", "shared_counts", "r2", "gamma"]
        if list(self.genes.columns) != wanted or len(self.genes) != self.n_genes_in:
            raise ValueError(f"genes needs the columns {wanted} and a row for each input gene")
        if int(self.genes["kept"].sum()) != self.n_genes_kept:
            raise ValueError("n_genes_kept disagrees with the table of genes")
        if (self.genes["kept"] != (self.genes["reason"] == "")).any():
            raise ValueError("each dropped gene needs a reason and no kept gene has one")


@dataclass(frozen=True)
class Preprocessed:
    """Data for the model and report for the user, from :func:`velovi.preprocessing.preprocess`.

    ``size_factors`` holds what the counts of each cell were multiplied by, (cells,), for
    ``spliced`` and ``unspliced``; a layer that was left as it was is missing.
    """

    adata: AnnData
    report: PreprocessReport
    size_factors: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        kept = self.report.genes.index[self.report.genes["kept"]]
        if self.adata.n_obs != self.report.n_cells or not kept.equals(self.adata.var_names):
            raise ValueError("cells or genes of the data and of the report disagree")
        import numpy as np

        missing = {"spliced", "unspliced", "Ms", "Mu"} - set(self.adata.layers)
        if missing:
            raise ValueError(f"layers are missing: {sorted(missing)}")
        for name in ("Ms", "Mu"):
            if not np.isfinite(self.adata.layers[name]).all():
                raise ValueError(f"layer {name} has values that are not finite")


def guess_layers(names: list[str]) -> tuple[str | None, str | None]:
    """Names of the spliced and the unspliced layer among ``names``.

    Exact names win over other spellings, and a known pair wins over two halves of
    different pairs.

    Examples
    --------
    >>> guess_layers(["counts", "Nascent", "Mature"])
    ('Mature', 'Nascent')
    """
    if "spliced" in names and "unspliced" in names:
        return "spliced", "unspliced"
    lower: dict[str, str] = {}
    for name in names:
        lower.setdefault(name.lower(), name)
    for spliced, unspliced in _pairs():
        if spliced in lower and unspliced in lower:
            return lower[spliced], lower[unspliced]
    # two equally ordered passes, then longer names such as "counts_unspliced"
    unspliced_hit = next((lower[alias] for alias in UNSPLICED_ALIASES if alias in lower), None)
    spliced_hit = next((lower[alias] for alias in SPLICED_ALIASES if alias in lower), None)
    if unspliced_hit is None:
        unspliced_hit = next((lower[item] for item in lower if "unspliced" in item), None)
    if spliced_hit is None:
        spliced_hit = next(
            (lower[item] for item in lower if "spliced" in item and "unspliced" not in item), None
        )
    return spliced_hit, unspliced_hit


def _pairs() -> list[tuple[str, str]]:
    pairs = list(zip(SPLICED_ALIASES, UNSPLICED_ALIASES, strict=True))
    # authors mix "cyto" with "nuclear" and the like
    cytoplasm, nucleus = SPLICED_ALIASES[2:5], UNSPLICED_ALIASES[2:5]
    pairs[5:5] = [(item, other) for item in cytoplasm for other in nucleus]
    return pairs
