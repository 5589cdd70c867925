"""Names, labels and matrices as the rest of the package expects them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from velovi.data.colors import group_colors
from velovi.errors import UnknownNameError, first_named
from velovi.keys import UNLABELLED

if TYPE_CHECKING:
    import pandas as pd
    import scipy.sparse as sp
    from anndata import AnnData


def dense(matrix: Any) -> np.ndarray:
    """A plain array of a dense or sparse matrix."""
    return np.asarray(matrix.toarray() if hasattr(matrix, "toarray") else matrix)


def gene_mask(names: pd.Index, wanted: tuple[str, ...]) -> np.ndarray:
    """Where ``names`` (genes,) are among ``wanted``, all of which have to be there."""
    unknown = [item for item in wanted if item not in names]
    if unknown:
        raise UnknownNameError(
            f"no gene is called {first_named(map(repr, unknown))}",
            where="genes_to_keep",
            expected="names of genes in the file, such as " + ", ".join(names[:3]),
            remedy="Check spelling and capitals, or remove them from the list",
        )
    return names.isin(wanted)


def as_counts(layer: Any) -> sp.csr_matrix:
    """Any matrix as CSR float32, (cells, genes); shares memory with it where that is possible."""
    import scipy.sparse as sp

    matrix = sp.csr_matrix(layer, dtype=np.float32)
    if not matrix.has_canonical_format:  # repeated entries; the sum must not be written in place
        matrix = matrix.copy()
        matrix.sum_duplicates()
    return matrix


def unique_names(names: pd.Index) -> pd.Index:
    """Names with -1, -2, ... added to repetitions."""
    import pandas as pd
    from anndata.utils import make_index_unique

    names = pd.Index(names.astype(str))
    return names if names.is_unique else make_index_unique(names)


def without_missing_labels(obs: pd.DataFrame) -> pd.DataFrame:
    """A copy whose text columns are categories, 'unlabelled' where a value is missing."""
    import pandas as pd

    obs = obs.copy()
    for name in obs.columns:
        column = obs[name]
        if isinstance(column.dtype, pd.CategoricalDtype):
            if column.notna().all():
                continue
            names = list(dict.fromkeys([*column.cat.categories.astype(str), UNLABELLED]))
        elif pd.api.types.is_numeric_dtype(column) or column.dtype.kind in "bmM":
            continue
        else:
            names = sorted(set(column.dropna().astype(str)) - {UNLABELLED})
            names += [] if column.notna().all() else [UNLABELLED]
        text = column.astype(object).where(column.notna(), UNLABELLED).astype(str)
        obs[name] = pd.Categorical(text, categories=names)
    return obs


def label_colors(adata: AnnData, obs: pd.DataFrame) -> tuple[dict[str, np.ndarray], list[str]]:
    """Colours that ``adata.uns`` holds for columns of a cleaned ``obs``.

    Parameters
    ----------
    adata
        The data as it came.
    obs
        Its annotations after :func:`without_missing_labels`.

    Returns
    -------
    colors, notes
        ``{column_colors: hexadecimal colours}`` ready for ``uns``, and a sentence for each column
        whose colours could not be used as they are.
    """
    found, notes = {}, []
    for name in obs.columns:
        given = adata.uns.get(f"{name}_colors")
        if given is None or not hasattr(obs[name], "cat"):
            continue
        groups = [str(category) for category in obs[name].cat.categories]
        added = UNLABELLED if adata.obs[name].isna().any() else None
        colors, note = group_colors(given, groups, unlabelled=added)
        if colors is not None:
            found[f"{name}_colors"] = np.array(colors, dtype=object)
        if note:
            used = "" if colors else "; other colours are used"
            notes.append(f"Colours of '{name}' in the file: {note}{used}.")
    return found, notes
