"""The result in small, written before training: what cannot be stored is found out then."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from velovi.errors import StoreError, VeloviError
from velovi.runs.export import export_h5ad
from velovi.runs.files import remove
from velovi.runs.results import MANIFEST_NAME, RESULT_VERSION, write_result

if TYPE_CHECKING:
    from anndata import AnnData

_ROWS = 4
_FOLDER = ".rehearsal.part"


def check_storable(adata: AnnData, folder: Path) -> list[str]:
    """Write what comes from the file into a store and an h5ad, in small, and leave out the rest.

    Parameters
    ----------
    adata
        Prepared data. Columns, embeddings and colours that no store takes are removed from it.
    folder
        Where to try; nothing stays there.

    Returns
    -------
    A sentence for each part that was left out.

    Raises
    ------
    StoreError
        The disk is full or cannot be written to, or what the run itself makes cannot be stored.
    """
    place = folder / _FOLDER
    try:
        if _try(_small(adata), place) is None:
            return []
        notes = [note for part in _parts(adata) if (note := _leave_out(adata, part, place))]
        trouble = _try(_small(adata), place)
        if trouble is not None:
            raise StoreError(
                "this file's annotations cannot be stored",
                found=trouble,
                remedy="Keep fewer columns in obs, var, obsm and uns of the file",
            )
        return notes
    finally:
        remove(place)


Part = tuple[str, str]


def _parts(adata: AnnData) -> list[Part]:
    places = {"obs": adata.obs, "var": adata.var, "obsm": adata.obsm, "uns": adata.uns}
    return [(place, str(name)) for place, names in places.items() for name in names]


def _leave_out(adata: AnnData, part: Part, place: Path) -> str | None:
    """Remove one part when it cannot be stored by itself; the sentence that says so."""
    container, name = part
    trouble = _try(_small(adata, only=part), place)
    if trouble is None:
        return None
    values = getattr(adata, container)
    if container in ("obs", "var"):
        setattr(adata, container, values.drop(columns=[name]))
    else:
        del values[name]
    return f"{name!r} of {container} was left out, because it cannot be stored: {trouble}."


def _small(adata: AnnData, only: Part | None = None) -> AnnData:
    """A few cells and genes with the annotations, or with one of them."""
    from anndata import AnnData

    obs, var = adata.obs.iloc[:_ROWS], adata.var.iloc[:_ROWS]
    obsm = {name: values[:_ROWS] for name, values in adata.obsm.items()}
    uns: dict[str, Any] = dict(adata.uns)
    if only is not None:
        container, name = only
        obs = obs[[name]] if container == "obs" else obs.iloc[:, :0]
        var = var[[name]] if container == "var" else var.iloc[:, :0]
        obsm = {name: obsm[name]} if container == "obsm" else {}
        uns = {name: uns[name]} if container == "uns" else {}
    uns["velovi"] = {"result_version": RESULT_VERSION}
    layers = {"Ms": np.zeros((len(obs), len(var)), dtype=np.float32)}
    return AnnData(obs=obs.copy(), var=var.copy(), obsm=obsm, uns=uns, layers=layers)


def _try(adata: AnnData, place: Path) -> str | None:
    """What goes wrong when this is written and exported; None when nothing does."""
    place.mkdir(exist_ok=True)
    try:
        write_result(adata, place / "result.zarr")
        export_h5ad(place / "result.zarr", place / "result.h5ad")
    except VeloviError:
        raise
    except OSError as error:
        if error.errno is not None:
            raise
        return str(error)[:200]
    except Exception as error:  # noqa: BLE001 - anndata, zarr and HDF5 raise every kind
        return next(iter(str(error).strip().splitlines()), type(error).__name__)[:200]
    finally:
        for name in ("result.zarr", "result.h5ad", MANIFEST_NAME):
            remove(place / name)
    return None
