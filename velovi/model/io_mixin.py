"""Saving and loading models, in files that ``scvi.external.VELOVI`` opens and writes too."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, Self

import anndata
import pandas as pd
import torch
from anndata import AnnData
from lightning import LightningDataModule
from scvi.data._constants import _MODEL_NAME_KEY
from scvi.model._utils import parse_device_args
from scvi.model.base._constants import SAVE_KEYS

from velovi.data.read import read
from velovi.errors import OptionError, StoreError
from velovi.model.base import ModelBase, SavedSetup, gene_columns
from velovi.model.checkpoint import SavedModel, read_saved, setup_layers
from velovi.model.training import require_accelerator

_NOT_ATTRIBUTES = ("registry_", "init_params_")


class IOMixin(ModelBase):
    """Models as folders."""

    def save(
        self,
        dir_path: str,
        prefix: str | None = None,
        overwrite: bool = False,
        save_anndata: bool = False,
        save_kwargs: dict[str, Any] | None = None,
        legacy_mudata_format: bool = False,
        datamodule: LightningDataModule | None = None,
        **anndata_write_kwargs: Any,
    ) -> None:
        """Save the model in a folder; ``scvi.external.VELOVI.load`` opens it as well.

        Parameters
        ----------
        dir_path
            The folder; made when it is not there.
        prefix
            What its file names begin with.
        overwrite
            Write into a folder that is already there.
        save_anndata
            Save the data too, as ``adata.h5ad``.
        save_kwargs
            Arguments of ``torch.save``.
        legacy_mudata_format
            Kept for compatibility; this model has one kind of variables.
        datamodule
            Not used by this model.
        **anndata_write_kwargs
            Arguments of ``AnnData.write_h5ad``.

        Raises
        ------
        OptionError
            The folder is there and ``overwrite`` is not set.
        DataError
            The data is to be saved and the model has none.
        """
        folder = Path(dir_path)
        _require_new("dir_path", folder, overwrite)
        if save_anndata:
            self._require_data()
        super().save(
            str(folder),
            prefix=prefix,
            overwrite=overwrite,
            save_anndata=save_anndata,
            save_kwargs=save_kwargs,
            legacy_mudata_format=legacy_mudata_format,
            **anndata_write_kwargs,
        )

    @classmethod
    def load(
        cls,
        dir_path: str,
        adata: AnnData | bool | None = None,
        accelerator: str = "auto",
        device: int | str = "auto",
        prefix: str | None = None,
        backup_url: str | None = None,
        datamodule: LightningDataModule | None = None,
        allowed_classes_names_list: list[str] | None = None,
    ) -> Self:
        """Load a model that this class or ``scvi.external.VELOVI`` saved.

        The file may run code of whoever made it: load models of others with
        :meth:`load_untrusted`.

        Parameters
        ----------
        dir_path
            The folder.
        adata
            Data with the model's genes and layers, registered on the way; data with the genes in
            another order is copied in the model's order. When left out, the data saved with the
            model, if there is any. ``False`` loads the model without data: posterior methods then
            want ``adata``.
        accelerator, device
            Hardware, as Lightning names it.
        prefix
            What the file names begin with.
        backup_url
            Where to download ``model.pt`` from when the folder does not have it.
        datamodule
            Not used by this model.
        allowed_classes_names_list
            Names of other classes whose files may be loaded.

        Returns
        -------
        VELOVI
            The model, in evaluation mode.

        Raises
        ------
        StoreError
            There is no saved model in the folder, or it is damaged.
        OptionError
            The model is of another class.
        DataError
            Genes of the model are missing from the data; the first ten are named.
        """
        target = _device(accelerator, device)
        saved = read_saved(dir_path, prefix, device=target, backup_url=backup_url)
        if adata is None:
            adata = _saved_data(dir_path, prefix, anndata.read_h5ad)
        return cls._restore(saved, adata, target, allowed_classes_names_list)

    @classmethod
    def load_untrusted(
        cls,
        dir_path: str,
        adata: AnnData | bool | None = None,
        accelerator: str = "auto",
        device: int | str = "auto",
        prefix: str | None = None,
    ) -> Self:
        """Load a model from somebody one does not know.

        Nothing that the file brings is run: it is refused when it names anything but the numbers,
        tables and texts that saved models consist of.

        Parameters
        ----------
        dir_path, adata, accelerator, device, prefix
            As in :meth:`load`.

        Returns
        -------
        VELOVI
            The model, in evaluation mode.

        Raises
        ------
        StoreError
            The file is missing, damaged or was refused.
        OptionError, DataError
            As in :meth:`load`.
        """
        target = _device(accelerator, device)
        saved = read_saved(dir_path, prefix, trusted=False, device=target)
        if adata is None:
            adata = _saved_data(dir_path, prefix, read)
        return cls._restore(saved, adata, target, None)

    @classmethod
    def _restore(
        cls,
        saved: SavedModel,
        adata: AnnData | bool,
        device: torch.device,
        other_names: list[str] | None,
    ) -> Self:
        registry = saved.registry
        if registry[_MODEL_NAME_KEY] not in (cls.__name__, *(other_names or ())):
            raise OptionError(
                "the saved model is of another class",
                where="dir_path",
                expected=cls.__name__,
                found=str(registry[_MODEL_NAME_KEY]),
                remedy="Load it with the class that saved it",
            )
        data: AnnData | SavedSetup = SavedSetup(registry)
        if isinstance(adata, AnnData):
            data = _in_model_order(adata, saved)
            cls.setup_anndata(data, source_registry=registry, **setup_layers(registry))
        elif adata:
            raise OptionError(
                "this is no data",
                where="adata",
                expected="an AnnData, None for the data saved with the model, or False for none",
                found=repr(adata)[:80],
                remedy="Read the file first, with velovi.read or anndata.read_h5ad",
            )
        try:
            model = cls(data, **saved.arguments)
        except (TypeError, KeyError, AttributeError) as strange:
            raise StoreError(
                "the file does not describe a veloVI model",
                where="dir_path",
                expected="a model that VELOVI.save wrote",
                found=f"{type(strange).__name__}: {strange}",
                remedy="Copy the folder again from where it was saved",
            ) from strange
        for name, value in saved.attributes.items():
            # as scvi-tools saves them; a file may not put a number in a method's place
            if name.endswith("_") and name in vars(model) and name not in _NOT_ATTRIBUTES:
                setattr(model, name, value)
        state = {k: v for k, v in saved.state.items() if k != "pyro_param_store"}
        try:
            model.module.load_state_dict(state)
        except RuntimeError as mismatch:
            raise StoreError(
                "the saved parameters do not fit the model",
                where="dir_path",
                expected="the parameters of a veloVI model",
                found=str(mismatch).splitlines()[-1].strip(),
                remedy="Copy the folder again from where it was saved",
            ) from mismatch
        model.to_device(device)
        model.module.eval()
        return model

    @staticmethod
    def load_registry(dir_path: str, prefix: str | None = None) -> dict[str, Any]:
        """Read what a saved model was made with, without loading the model.

        Parameters
        ----------
        dir_path
            The folder.
        prefix
            What its file names begin with.

        Returns
        -------
        dict
            Layers, genes, arguments and versions.

        Raises
        ------
        StoreError
            There is no saved model in the folder, or it is damaged.
        """
        return read_saved(dir_path, prefix).registry

    @classmethod
    def convert_legacy_save(
        cls,
        dir_path: str,
        output_dir_path: str,
        overwrite: bool = False,
        prefix: str | None = None,
        **save_kwargs: Any,
    ) -> None:
        """Convert a model saved before scvi-tools 0.15 to files that :meth:`load` opens.

        The old files may run code of whoever made them.

        Parameters
        ----------
        dir_path
            The old folder.
        output_dir_path
            The new folder.
        overwrite
            Write into a folder that is already there.
        prefix
            What the file names begin with.
        **save_kwargs
            Arguments of ``torch.save``.

        Raises
        ------
        OptionError
            The new folder is there and ``overwrite`` is not set.
        StoreError
            The old folder does not hold such a model.
        """
        _require_new("output_dir_path", Path(output_dir_path), overwrite)
        missing = [
            name
            for name in (
                SAVE_KEYS.LEGACY_MODEL_FNAME,
                SAVE_KEYS.LEGACY_VAR_NAMES_FNAME,
                SAVE_KEYS.LEGACY_SETUP_DICT_FNAME,
            )
            if not (Path(dir_path) / f"{prefix or ''}{name}").is_file()
        ]
        if missing:
            raise StoreError(
                "there is no model in the old format",
                where=str(dir_path),
                expected="model_params.pt, var_names.csv and attr.pkl",
                found="no " + " and no ".join(missing),
                remedy="Check the folder and prefix; newer models are opened by load",
            )
        super().convert_legacy_save(
            str(dir_path), str(output_dir_path), overwrite=overwrite, prefix=prefix, **save_kwargs
        )


def _require_new(where: str, folder: Path, overwrite: bool) -> None:
    if folder.exists() and not overwrite:
        raise OptionError(
            "the folder is already there",
            where=where,
            expected="a new folder",
            found=str(folder),
            remedy="Choose another folder, or set overwrite=True",
        )


def _device(accelerator: str, device: int | str) -> torch.device:
    require_accelerator(accelerator)
    return parse_device_args(
        accelerator=accelerator, devices=device, return_device="torch", validate_single_device=True
    )[2]


def _saved_data(dir_path: str, prefix: str | None, reader: Any) -> AnnData | bool:
    path = Path(dir_path) / f"{prefix or ''}{SAVE_KEYS.ADATA_FNAME}"
    if path.is_file():
        return reader(path)
    warnings.warn(
        f"{dir_path} holds no data, and none was given: the model is loaded without data, and "
        "posterior methods will want adata=....",
        UserWarning,
        stacklevel=3,
    )
    return False


def _in_model_order(adata: AnnData, saved: SavedModel) -> AnnData:
    """The data with the model's genes in the model's order; a copy only where that is needed."""
    genes = pd.Index(saved.genes)
    same = gene_columns(genes, adata) is None
    return adata if same and not adata.is_view else adata[:, genes].copy()
