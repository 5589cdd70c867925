"""Data registered with a model, as scvi-tools keeps it: what is where, under which name."""

from __future__ import annotations

from typing import Any

import numpy as np
import rich
from anndata import AnnData
from rich.console import Console
from rich.pretty import pprint
from rich.table import Table
from scvi.data import AnnDataManager
from scvi.data._constants import (
    _DATA_REGISTRY_KEY,
    _DR_ATTR_KEY,
    _DR_ATTR_NAME,
    _FIELD_REGISTRIES_KEY,
    _MODEL_NAME_KEY,
    _SCVI_UUID_KEY,
    _SCVI_VERSION_KEY,
    _SETUP_ARGS_KEY,
    _STATE_REGISTRY_KEY,
    _SUMMARY_STATS_KEY,
)
from scvi.utils import attrdict

from velovi.errors import DataError, UnknownNameError
from velovi.model.base import ModelBase, gene_columns
from velovi.model.checkpoint import read_saved, setup_layers


class RegistrationMixin(ModelBase):
    """The model's data and what is registered of it, where scvi-tools' own members fall short.

    Members that serve as they are (``device``, ``history``, ``is_trained``, ``train_indices``,
    ``to_device``, ...) are inherited.
    """

    @property
    def adata(self) -> AnnData | None:
        """The data that the model works on; None for a model loaded without data.

        Setting it registers the new data with the layers the model was made with. Data with the
        genes in another order, or with more genes, is copied in the model's order.

        Raises
        ------
        DataError
            The new data lacks genes of the model or a layer, or its values are not abundances.
        """
        return self._adata

    @adata.setter
    def adata(self, adata: AnnData) -> None:
        if adata is None:
            raise DataError(
                "the model's data cannot be taken away",
                where="adata",
                expected="an AnnData",
                found="None",
                remedy="Load the model with adata=False for one without data",
            )
        if adata.is_view or gene_columns(self._genes, adata) is not None:
            adata = adata[:, self._genes].copy()
        self.setup_anndata(adata, **setup_layers(self.registry_))
        self._adata = adata
        manager = self._registration(adata)
        self._register_manager_for_instance(manager)
        self._adata_manager = manager
        self.registry_, self.summary_stats = manager.registry, manager.summary_stats

    def __repr__(self) -> str:
        return self.summary_string

    def deregister_manager(self, adata: AnnData | None = None) -> None:
        """Forget registrations, and with them the data that they keep in memory.

        Parameters
        ----------
        adata
            The data to forget; when left out, all but the model's own.

        Raises
        ------
        DataError
            The data was never set up.
        """
        mine = self._per_instance_manager_store.get(self.id, {})
        stores = (self._setup_adata_manager_store, mine)
        if adata is not None:
            identity = adata.uns.get(_SCVI_UUID_KEY)
            managers = [store[identity] for store in stores if identity in store]
            if not any(manager.adata is adata for manager in managers):
                raise DataError(
                    "the data was never set up",
                    where="adata",
                    expected="data given to setup_anndata or transfer_fields",
                    found="other data",
                    remedy="There is nothing to forget",
                )
            forgotten = {identity}
        else:
            kept = self._adata_manager.adata_uuid if self._adata_manager else None
            forgotten = {key for store in stores for key in store} - {kept}
        for store in stores:
            for key in forgotten & store.keys():
                del store[key]

    def get_anndata_manager(self, adata: AnnData, required: bool = False) -> AnnDataManager | None:
        """Registration of some data with this model.

        Parameters
        ----------
        adata
            The data.
        required
            Raise an error instead of returning None when there is none.

        Raises
        ------
        DataError
            There is none and it is required.
        """
        if required:
            return self._own_registration(adata)
        return super().get_anndata_manager(adata, required=False)

    def data_registry(self, registry_key: str) -> np.ndarray:
        """One of the model's matrices.

        Parameters
        ----------
        registry_key
            ``"X"`` for spliced or ``"U"`` for unspliced abundance.

        Returns
        -------
        numpy.ndarray or scipy.sparse matrix
            ``(cells, genes)`` of :attr:`adata`.

        Raises
        ------
        DataError
            The model has no data.
        UnknownNameError
            There is no such key.
        """
        return self.get_from_registry(self._require_data(), registry_key)

    def get_from_registry(self, adata: AnnData, registry_key: str) -> np.ndarray:
        """One of the matrices of data that is registered with this model.

        Parameters
        ----------
        adata
            The data.
        registry_key
            ``"X"`` for spliced or ``"U"`` for unspliced abundance.

        Returns
        -------
        numpy.ndarray or scipy.sparse matrix
            ``(cells, genes)``.

        Raises
        ------
        DataError
            The data is not registered with this model.
        UnknownNameError
            There is no such key.
        """
        self._field(registry_key)
        return self._own_registration(adata).get_from_registry(registry_key)

    def get_state_registry(self, registry_key: str) -> attrdict:
        """Size and gene names of one of the registered matrices.

        Parameters
        ----------
        registry_key
            ``"X"`` for spliced or ``"U"`` for unspliced abundance.

        Returns
        -------
        attrdict
            ``n_obs``, ``n_vars`` and ``column_names``.

        Raises
        ------
        UnknownNameError
            There is no such key.
        """
        return attrdict(self._field(registry_key)[_STATE_REGISTRY_KEY])

    def get_setup_arg(self, setup_arg: str) -> str:
        """An argument that :meth:`setup_anndata` was called with.

        Parameters
        ----------
        setup_arg
            ``"spliced_layer"`` or ``"unspliced_layer"``.

        Raises
        ------
        UnknownNameError
            There is no such argument.
        """
        return _entry(self.registry_[_SETUP_ARGS_KEY], setup_arg, "setup_arg")

    def get_var_names(self, legacy_mudata_format: bool = False) -> np.ndarray:
        """Names of the model's genes.

        Parameters
        ----------
        legacy_mudata_format
            Kept for compatibility; this model has one kind of variables.

        Returns
        -------
        numpy.ndarray
            ``(genes,)``, in the model's order.
        """
        return self._genes.to_numpy()

    def transfer_fields(self, adata: AnnData, **kwargs: Any) -> AnnDataManager:
        """Register other data with this model, with the same layers.

        Posterior methods do not need it: they take any data with the model's genes.

        Parameters
        ----------
        adata
            Data with the model's genes in its order.
        **kwargs
            Arguments of scvi-tools' ``AnnDataManager.register_fields``.

        Returns
        -------
        AnnDataManager
            The new registration.

        Raises
        ------
        DataError
            The model has no data, or the genes are others.
        """
        own = self._own_registration(self._require_data())
        if gene_columns(self._genes, adata) is not None:
            raise DataError(
                "the genes are in another order",
                where="adata",
                expected="the model's genes in its order",
                found="the same genes and perhaps more, in another order",
                remedy="Give adata[:, model.get_var_names()].copy()",
            )
        manager = own.transfer_fields(adata, **kwargs)
        self._register_manager_for_instance(manager)
        return manager

    def update_setup_method_args(self, setup_method_args: dict[str, Any]) -> None:
        """Change the arguments of :meth:`setup_anndata` that are kept and saved with the model.

        Parameters
        ----------
        setup_method_args
            New values by argument name, such as a layer that was renamed.
        """
        self.registry_[_SETUP_ARGS_KEY].update(setup_method_args)

    def view_anndata_setup(
        self, adata: AnnData | None = None, hide_state_registries: bool = False
    ) -> None:
        """Print how some data is registered.

        Parameters
        ----------
        adata
            Registered data; the model's own when left out.
        hide_state_registries
            Leave out the details of each matrix.

        Raises
        ------
        DataError
            The data is not registered with this model.
        """
        manager = self._own_registration(self._source(adata))
        _print_registry(manager.registry, hide_state_registries)

    def view_registry(self, hide_state_registries: bool = False) -> None:
        """Print what the model was made with.

        Parameters
        ----------
        hide_state_registries
            Leave out the details of each matrix.
        """
        _print_registry(self.registry_, hide_state_registries)

    @staticmethod
    def view_setup_args(dir_path: str, prefix: str | None = None) -> None:
        """Print the arguments of ``setup_anndata`` of a saved model.

        Parameters
        ----------
        dir_path
            Folder of the saved model.
        prefix
            What its file names begin with.

        Raises
        ------
        StoreError
            There is no such model.
        """
        _print_setup_arguments(read_saved(dir_path, prefix).registry)

    def _own_registration(self, adata: AnnData) -> AnnDataManager:
        manager = super().get_anndata_manager(adata, required=False)
        if manager is None:
            raise DataError(
                "the data is not registered with this model",
                where="adata",
                expected="the model's own data, or data given to transfer_fields",
                found="other data",
                remedy="Call model.transfer_fields(adata), or set model.adata",
            )
        return manager

    def _field(self, key: str) -> dict[str, Any]:
        return _entry(self.registry_[_FIELD_REGISTRIES_KEY], key, "registry_key")


def _entry(values: dict[str, Any], key: str, where: str) -> Any:
    if key not in values:
        raise UnknownNameError(
            f"there is no {key!r}",
            where=where,
            expected="one of " + ", ".join(map(str, values)),
            found=repr(key),
            remedy="Check the spelling",
        )
    return values[key]


def _print_setup_arguments(registry: dict[str, Any]) -> None:
    rich.print(f"Setup via `{registry[_MODEL_NAME_KEY]}.setup_anndata` with arguments:")
    pprint(registry[_SETUP_ARGS_KEY])
    rich.print()


def _print_registry(registry: dict[str, Any], hide_state_registries: bool) -> None:
    rich.print(f"Anndata setup with scvi-tools version {registry[_SCVI_VERSION_KEY]}.\n")
    _print_setup_arguments(registry)
    fields = registry[_FIELD_REGISTRIES_KEY]
    statistics = {
        name: value
        for field in fields.values()
        for name, value in field[_SUMMARY_STATS_KEY].items()
    }
    places = {
        key: "adata.{}['{}']".format(
            *(field[_DATA_REGISTRY_KEY][part] for part in (_DR_ATTR_NAME, _DR_ATTR_KEY))
        )
        for key, field in fields.items()
    }
    console = Console()
    console.print(_table("Summary Statistics", ("Summary Stat Key", "Value"), statistics))
    console.print(_table("Data Registry", ("Registry Key", "scvi-tools Location"), places))
    if hide_state_registries:
        return
    for key, field in fields.items():
        state = {k: v for k, v in field[_STATE_REGISTRY_KEY].items() if k != "column_names"}
        console.print(_table(f"{key} State Registry", ("Key", "Value"), state))


def _table(title: str, heads: tuple[str, str], rows: dict[str, Any]) -> Table:
    table = Table(title=title)
    for head in heads:
        table.add_column(head, justify="center", no_wrap=True, overflow="fold")
    for key, value in rows.items():
        table.add_row(str(key), str(value))
    return table
