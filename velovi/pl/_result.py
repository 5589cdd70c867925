"""What the plots take: a model, an AnnData with its results, or a run's folder, read one way."""

from __future__ import annotations

from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd

from velovi.errors import DataError, UnknownNameError
from velovi.keys import ANGLE_COLUMNS

if TYPE_CHECKING:
    from anndata import AnnData

Result = Any
"""An AnnData of :meth:`velovi.VELOVI.to_scvelo` or of a run, a trained model, or a run's folder."""


class ResultReader(Protocol):
    """One column at a time, whatever the result is kept in."""

    @property
    def obs(self) -> pd.DataFrame: ...
    @property
    def var(self) -> pd.DataFrame: ...
    @property
    def genes(self) -> list[str]: ...
    @property
    def layers(self) -> list[str]: ...
    @property
    def embeddings(self) -> list[str]: ...
    @property
    def label_columns(self) -> list[str]: ...
    def gene(self, layer: str, gene: str) -> np.ndarray: ...
    def labels(self, column: str) -> pd.Series: ...
    def colors(self, label: str) -> dict[str, str] | None: ...
    def embedding(self, name: str) -> np.ndarray: ...
    def embedded_velocity(self, name: str) -> np.ndarray: ...
    def grid(self, name: str) -> dict[str, np.ndarray]: ...


def read_result(result: Result) -> ResultReader:
    """A reader of whatever holds the result.

    Parameters
    ----------
    result
        An AnnData or its h5ad file, a trained model, or the folder of a run or its ``result.zarr``.

    Raises
    ------
    DataError
        It is none of these.
    StoreError
        The folder holds no readable result.
    """
    if isinstance(result, str | PathLike):
        return _of_folder(Path(result))
    if hasattr(result, "to_scvelo"):
        return AnnDataReader(result.to_scvelo())
    if hasattr(result, "obsm") and hasattr(result, "layers"):
        return AnnDataReader(result)
    path = getattr(result, "result_path", None)
    if path is not None:
        return _of_folder(Path(path))
    raise DataError(
        "there is nothing to plot here",
        where="result",
        expected="an AnnData with results, a trained VELOVI, or the folder of a run",
        found=type(result).__name__,
        remedy="Give model.to_scvelo(), the model, or the path of a run",
    )


def training_history(result: Result) -> list[dict[str, float]]:
    """Records of a training, one an epoch."""
    if hasattr(result, "history"):
        history = result.history() if callable(result.history) else result.history
        if isinstance(history, list):
            return history
        columns = {
            name: np.asarray(values, dtype=float).ravel()
            for name, values in (history or {}).items()
        }
        longest = max(map(len, columns.values()), default=0)
        return [
            {name: values[at] for name, values in columns.items() if at < len(values)}
            | {"epoch": at}
            for at in range(longest)
        ]
    reader = read_result(result)
    if isinstance(reader, AnnDataReader):
        details = reader.adata.uns.get("velovi", {})
    else:
        details = getattr(reader, "details", {})
    if "history" not in details:
        raise DataError(
            "nothing is known of the training",
            where="result",
            remedy="Give the trained model or the folder of its run",
        )
    return [
        {str(name): float(value) for name, value in record.items()}
        for record in pd.DataFrame(details["history"]).to_dict("records")
    ]


def _of_folder(path: Path) -> ResultReader:
    from velovi.runs.results import ResultStore

    if path.suffix == ".h5ad":
        from anndata import read_h5ad

        return AnnDataReader(read_h5ad(path))

    return ResultStore(path if path.suffix == ".zarr" else path / "result.zarr")


class AnnDataReader:
    """Results in an AnnData.

    Parameters
    ----------
    adata
        With layers ``Ms``, ``Mu``, ``velocity``, ...; see :meth:`velovi.VELOVI.to_scvelo`. It is
        not changed.
    """

    def __init__(self, adata: AnnData) -> None:
        self.adata = adata

    @cached_property
    def obs(self) -> pd.DataFrame:
        """Annotations of the cells, with the typical angles of directions in degrees."""
        from velovi.runs.results import typical_angle

        obs = self.adata.obs.copy()
        for column, cosine in ANGLE_COLUMNS.items():
            if cosine in obs and column not in obs:
                obs[column] = typical_angle(obs[cosine].to_numpy(dtype=np.float32))
        return obs

    @property
    def var(self) -> pd.DataFrame:
        """Rates and quality of the genes."""
        return self.adata.var

    @property
    def genes(self) -> list[str]:
        """Names of the genes."""
        return list(self.adata.var_names)

    @property
    def layers(self) -> list[str]:
        """Names of the layers."""
        # a later anndata counts X among the layers, under None
        return sorted(str(name) for name in self.adata.layers if name is not None)

    @property
    def embeddings(self) -> list[str]:
        """Embeddings of two dimensions and more, UMAP first."""
        names = [
            name
            for name, values in self.adata.obsm.items()
            if not name.startswith("velocity_")
            and np.ndim(values) == 2
            and np.shape(values)[1] >= 2
        ]
        return sorted(names, key=lambda name: (name != "X_umap", name != "X_tsne", name))

    @property
    def label_columns(self) -> list[str]:
        """Annotations that hold groups of cells, those with a usual cluster name first."""
        from velovi.data import usual_labels

        names = [
            str(name) for name in self.obs if isinstance(self.obs[name].dtype, pd.CategoricalDtype)
        ]
        first = usual_labels(names)
        return first + [name for name in names if name not in first]

    def gene(self, layer: str, gene: str) -> np.ndarray:
        """One layer's column for one gene, float32 (cells,)."""
        if layer not in self.adata.layers:
            raise UnknownNameError(
                f"there is no layer {layer!r}", where="layer", expected=", ".join(self.layers)
            )
        if gene not in self.adata.var_names:
            raise UnknownNameError(f"there is no gene {gene!r} in this result", where="gene")
        values = self.adata.layers[layer][:, self.adata.var_names.get_loc(gene)]
        values = values.toarray() if hasattr(values, "toarray") else values
        return np.asarray(values, dtype=np.float32).ravel()

    def labels(self, column: str) -> pd.Series:
        """Groups of the cells."""
        return self.obs[column].astype("category")

    def colors(self, label: str) -> dict[str, str] | None:
        """The file's own colour for each category, where it brought one for each."""
        given = self.adata.uns.get(f"{label}_colors")
        categories = list(self.labels(label).cat.categories)
        if given is None or len(given) != len(categories):
            return None
        return {str(name): str(color) for name, color in zip(categories, given, strict=True)}

    def embedding(self, name: str) -> np.ndarray:
        """First two dimensions of an embedding, float32 (cells, 2)."""
        if name not in self.adata.obsm:
            raise UnknownNameError(
                f"there is no embedding {name!r}",
                where="basis",
                expected=", ".join(self.embeddings) or "none in this result",
            )
        return np.asarray(self.adata.obsm[name], dtype=np.float32)[:, :2]

    def embedded_velocity(self, name: str) -> np.ndarray:
        """Velocity projected on an embedding, float32 (cells, 2); worked out when not there."""
        from velovi import dynamics
        from velovi.runs.results import velocity_key

        key = velocity_key(name)
        if key in self.adata.obsm:
            return np.asarray(self.adata.obsm[key], dtype=np.float32)[:, :2]
        return dynamics.project(self._transition, self.embedding(name))

    def grid(self, name: str) -> dict[str, np.ndarray]:
        """The velocity field on a grid: ``x`` (nx,), ``y`` (ny,), ``u`` and ``v`` (ny, nx)."""
        from velovi import dynamics

        kept = self.adata.uns.get("velovi", {}).get("grids", {})
        if name in kept:
            return dict(kept[name])
        field = dynamics.grid_field(self.embedding(name), self.embedded_velocity(name))
        return {key: getattr(field, key) for key in ("x", "y", "u", "v")}

    @cached_property
    def _transition(self) -> Any:
        from velovi import dynamics

        if "distances" not in self.adata.obsp:
            raise DataError(
                "there is no neighbour graph to follow the velocity on",
                where="obsp",
                expected="obsp['distances']",
                remedy="Run scanpy.pp.neighbors or velovi.preprocess",
            )
        graph = dynamics.velocity_graph(
            np.ascontiguousarray(self.adata.layers["velocity"]),
            self.adata.layers["Ms"],
            self.adata.obsp["distances"],
        )
        return dynamics.transition_matrix(graph)
