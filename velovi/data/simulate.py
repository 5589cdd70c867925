"""Simulated differentiation with known truth: a stem state, a trunk, and several fates."""

from __future__ import annotations

from dataclasses import dataclass
from string import ascii_uppercase
from typing import TYPE_CHECKING

import numpy as np

from velovi.errors import check_range
from velovi.kinetics import splicing_solution

if TYPE_CHECKING:
    import scipy.sparse as sp
    from anndata import AnnData

STEM_END, TRUNK_END, TIME_END = 2.0, 5.0, 11.0
"""When the stem state ends, when the fates part, and when the process ends, in units of time."""

PALETTE = (
    "#0072B2",
    "#56B4E9",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#F0E442",
    "#000000",
    "#332288",
    "#88CCEE",
    "#117733",
    "#999933",
    "#882255",
    "#44AA99",
    "#DDCC77",
    "#AA4499",
)
"""Colours that people with colour blindness can tell apart (Okabe and Ito; then Paul Tol)."""

KINDS = ("repressed", "trunk", "fate", "graded")
_CELL_BLOCK = 256


@dataclass(frozen=True)
class Programme:
    """How each gene is transcribed on the way to each fate, and its rates.

    Attributes
    ----------
    switches
        Times at which transcription changes, (fates, genes, 2), rising along the last axis.
    alpha
        Transcription rate before, between and after the switches, (fates, genes, 3),
        molecules per unit of time.
    beta, gamma
        Splicing and degradation rates, (genes,), per unit of time.
    kind
        Index into :data:`KINDS`, (genes,).
    fate
        The fate a gene belongs to, (genes,); -1 for genes of all fates.
    """

    switches: np.ndarray
    alpha: np.ndarray
    beta: np.ndarray
    gamma: np.ndarray
    kind: np.ndarray
    fate: np.ndarray

    def __post_init__(self) -> None:
        fates, genes, _ = self.alpha.shape
        if self.switches.shape != (fates, genes, 2) or self.beta.shape != (genes,):
            raise ValueError("shapes of switches, alpha and beta disagree")
        if (np.diff(self.switches, axis=-1) < 0).any():
            raise ValueError("switch times must rise")


def simulate(
    n_cells: int = 2000,
    n_genes: int = 60,
    n_fates: int = 3,
    seed: int = 0,
    *,
    capture: float = 0.3,
    library_sd: float = 0.3,
    keep_truth: bool = True,
) -> AnnData:
    """Simulate a branching differentiation.

    Each gene follows du/dt = alpha(t) - beta u and ds/dt = beta u - gamma s from its steady state,
    with a transcription rate alpha that switches twice at most on the way to each fate. Cells are
    drawn along the branches and their molecules counted with losses (Poisson).

    Parameters
    ----------
    n_cells, n_genes
        Size of the data.
    n_fates
        Number of fates, 1 to 14.
    seed
        The same seed gives the same data.
    capture
        Mean share of a cell's molecules that are counted, above 0, up to 1.
    library_sd
        Standard deviation of the log of a cell's capture, 0 or more.
    keep_truth
        Whether to store the dense layers of truth; leave them out to save memory.

    Returns
    -------
    AnnData
        Layers ``spliced`` and ``unspliced`` (counts, float32 CSR) and ``true_velocity`` (ds/dt,
        molecules per unit of time), ``true_spliced``, ``true_unspliced`` (molecules), all
        (cells, genes); obs ``clusters`` and ``true_time``; var ``true_alpha`` (highest rate),
        ``true_beta``, ``true_gamma``, ``true_kind`` and ``true_fate``.

    Examples
    --------
    >>> adata = simulate(n_cells=100, n_genes=20)
    >>> list(adata.obs["clusters"].cat.categories)
    ['Stem', 'Progenitor', 'Fate A', 'Fate B', 'Fate C']
    """
    _check(n_cells, n_genes, n_fates, capture, library_sd)
    rng = np.random.default_rng(seed)
    programme = draw_programme(n_genes, n_fates, rng)
    time, fate = _draw_cells(n_cells, n_fates, rng)
    efficiency = capture * rng.lognormal(-(library_sd**2) / 2, library_sd, n_cells)
    layers = _count(programme, time, fate, efficiency, rng, keep_truth)
    return _assemble(programme, time, fate, layers)


def _check(n_cells: int, n_genes: int, n_fates: int, capture: float, library_sd: float) -> None:
    check_range("n_cells", n_cells, 1, whole=True)
    check_range("n_genes", n_genes, 1, whole=True)
    check_range("n_fates", n_fates, 1, len(PALETTE) - 2, whole=True)
    check_range("capture", capture, 0, 1, above_low=True)
    check_range("library_sd", library_sd, 0)


def draw_programme(n_genes: int, n_fates: int, rng: np.random.Generator) -> Programme:
    """Rates and switch times of random genes.

    Four kinds of genes, one after the other: repressed early on; a pulse in the trunk; switched
    on in one fate; and switched on in the trunk, then kept at a level of its own in each fate.
    """
    kind = np.arange(n_genes) % len(KINDS)
    fate = np.where(kind == KINDS.index("fate"), np.arange(n_genes) // len(KINDS) % n_fates, -1)
    # beta about three times gamma leaves about a quarter of the molecules unspliced
    beta = rng.lognormal(np.log(2.4), 0.25, n_genes)
    gamma = rng.lognormal(np.log(0.75), 0.25, n_genes)
    peak = gamma * rng.lognormal(np.log(25.0), 0.6, n_genes)
    basal = peak * rng.uniform(0.02, 0.1, n_genes)
    early = rng.uniform(0.3, STEM_END + 1.0, n_genes)
    middle = early + rng.uniform(1.5, 3.0, n_genes)
    late = rng.uniform(TRUNK_END, TRUNK_END + 2.0, n_genes)
    # the same in every fate at first; (fates, genes, before | between | after)
    levels = {0: (peak, basal, basal), 1: (basal, peak, basal), 2: (basal, basal, basal)}
    levels[3] = (basal, peak, peak)
    times = {0: (early, middle), 1: (early, middle), 2: (late, late + 2.5), 3: (early, late)}
    alpha = np.choose(kind[:, None], [np.stack(levels[index], axis=-1) for index in range(4)])
    switches = np.choose(kind[:, None], [np.stack(times[index], axis=-1) for index in range(4)])
    alpha, switches = np.stack([alpha] * n_fates), np.stack([switches] * n_fates)
    # what differs between fates may only begin after they have parted
    own = (kind == 2) & (np.arange(n_fates)[:, None] == fate)  # (fates, genes)
    alpha[..., 1:] = np.where(own[..., None], peak[:, None], alpha[..., 1:])
    ending = own & (rng.uniform(size=n_genes) < 0.25)  # a quarter is switched off again
    alpha[..., 2] = np.where(ending, basal, alpha[..., 2])
    share = rng.uniform(0.1, 2.0, (n_fates, n_genes))
    alpha[..., 2] = np.where(kind == 3, peak * share, alpha[..., 2])
    return Programme(switches, alpha, beta, gamma, kind, fate)


def abundances(
    programme: Programme, time: np.ndarray, fate: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Unspliced and spliced molecules and ds/dt of cells at ``time`` (cells,) toward ``fate``.

    Within a stretch of constant alpha that starts at (u0, s0) and has lasted d:

    ``u = u0 e^(-beta d) + alpha / beta (1 - e^(-beta d))``

    ``s = s0 e^(-gamma d) + alpha / gamma (1 - e^(-gamma d))
    + (alpha - beta u0) (e^(-gamma d) - e^(-beta d)) / (gamma - beta)``

    Returns
    -------
    tuple of numpy.ndarray
        u, s and ds/dt, each (cells, genes).
    """
    beta, gamma = programme.beta, programme.gamma
    alpha, switches = programme.alpha[fate], programme.switches[fate]  # (cells, genes, 3 | 2)
    u, s = alpha[..., 0] / beta, alpha[..., 0] / gamma  # in steady state until the first switch
    ends = (switches[..., 1], np.inf)
    for stretch, end in enumerate(ends):
        start = switches[..., stretch]
        lasted = np.clip(np.minimum(time[:, None], end) - start, 0.0, None)
        u, s = splicing_solution(u, s, alpha[..., stretch + 1], beta, gamma, lasted)
    return u, s, beta * u - gamma * s


def _draw_cells(
    n_cells: int, n_fates: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Time and fate of each cell, (cells,); before the fates part the fate has no effect."""
    edges = np.array([0.0, STEM_END, TRUNK_END, TIME_END])
    stage = rng.choice(3, size=n_cells, p=[0.15, 0.25, 0.6])
    time = rng.uniform(edges[stage], edges[stage + 1])
    return time, rng.integers(n_fates, size=n_cells)


def _count(
    programme: Programme,
    time: np.ndarray,
    fate: np.ndarray,
    efficiency: np.ndarray,
    rng: np.random.Generator,
    keep_truth: bool,
) -> dict[str, np.ndarray | sp.csr_matrix]:
    """Counts and truth, some cells at a time so that memory stays small."""
    import scipy.sparse as sp

    names = ("true_unspliced", "true_spliced", "true_velocity")
    size = (len(time) if keep_truth else 0, len(programme.beta))
    truth = {name: np.empty(size, dtype=np.float32) for name in names}
    parts: dict[str, list[sp.csr_matrix]] = {"unspliced": [], "spliced": []}
    for start in range(0, len(time), _CELL_BLOCK):
        block = slice(start, start + _CELL_BLOCK)
        values = abundances(programme, time[block], fate[block])
        for name, mean in zip(parts, values, strict=False):
            counts = rng.poisson(mean * efficiency[block, None])  # (cells, genes)
            parts[name].append(sp.csr_matrix(counts.astype(np.float32)))
        if keep_truth:
            for name, value in zip(names, values, strict=True):
                truth[name][block] = value
    counted = {name: sp.vstack(part, format="csr") for name, part in parts.items()}
    return {**counted, **(truth if keep_truth else {})}


def _assemble(
    programme: Programme,
    time: np.ndarray,
    fate: np.ndarray,
    layers: dict[str, np.ndarray | sp.csr_matrix],
) -> AnnData:
    import pandas as pd
    from anndata import AnnData

    fates = [f"Fate {ascii_uppercase[index]}" for index in range(programme.alpha.shape[0])]
    names = ["Stem", "Progenitor", *fates]
    code = np.select([time < STEM_END, time < TRUNK_END], [0, 1], default=2 + fate)
    obs = pd.DataFrame(
        {
            "clusters": pd.Categorical.from_codes(code, categories=pd.Index(names)),
            "true_time": time,
        },
        index=[f"cell_{index}" for index in range(len(time))],
    )
    var = pd.DataFrame(
        {
            "true_alpha": programme.alpha.max(axis=(0, 2)),
            "true_beta": programme.beta,
            "true_gamma": programme.gamma,
            "true_kind": np.array(KINDS)[programme.kind],
            "true_fate": [fates[item] if item >= 0 else "" for item in programme.fate],
        },
        index=[f"gene_{index}" for index in range(len(programme.beta))],
    )
    adata = AnnData(layers["spliced"].copy(), obs=obs, var=var, layers=layers)
    adata.uns["clusters_colors"] = np.array(PALETTE[: len(names)], dtype=object)
    return adata
