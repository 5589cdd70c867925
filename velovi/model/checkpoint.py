"""Saved models as files: reading them, from people one trusts and from others.

A saved model is a folder with ``model.pt``, torch's zip archive around a pickle, and perhaps
``adata.h5ad``. A pickle may name any function of any installed library and have it called, and
set the attributes of whatever it names, so a model from somebody unknown is read by
:class:`_RestrictedUnpickler`, which knows the few names and objects that such files need and
refuses the rest before anything is called or changed.
"""

from __future__ import annotations

import codecs
import io
import pickle
import shutil
import urllib.request
import warnings
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike
from scvi.data._constants import (
    _FIELD_REGISTRIES_KEY,
    _MODEL_NAME_KEY,
    _SETUP_ARGS_KEY,
    _STATE_REGISTRY_KEY,
)
from scvi.model.base._constants import SAVE_KEYS

from velovi.errors import StoreError
from velovi.keys import SCALERS

# everything that files of scvi-tools 0.16 to 1.5 name, under the names of each version of numpy
# and pandas that may have written them
ALLOWED = frozenset(
    {
        ("builtins", "bytearray"),
        ("builtins", "bytes"),
        ("builtins", "dict"),
        ("builtins", "slice"),
        ("_codecs", "encode"),
        ("collections", "OrderedDict"),
        ("collections", "defaultdict"),
        ("numpy", "dtype"),
        ("numpy", "ndarray"),
        ("numpy._core.multiarray", "_reconstruct"),
        ("numpy._core.multiarray", "scalar"),
        ("numpy.core.multiarray", "_reconstruct"),
        ("numpy.core.multiarray", "scalar"),
        ("pandas._libs.internals", "_unpickle_block"),
        ("pandas.core.frame", "DataFrame"),
        ("pandas.core.indexes.base", "Index"),
        ("pandas.core.indexes.base", "_new_Index"),
        ("pandas.core.indexes.range", "RangeIndex"),
        ("pandas.core.internals.managers", "BlockManager"),
        ("pandas", "DataFrame"),
        ("pandas", "Index"),
        ("pandas", "RangeIndex"),
        ("pandas", "StringDtype"),
        ("pandas.arrays", "ArrowStringArray"),
        ("pandas.arrays", "StringArray"),
        ("pandas._libs.arrays", "__pyx_unpickle_NDArrayBacked"),
        ("pyarrow.lib", "_restore_array"),
        ("pyarrow.lib", "py_buffer"),
        ("pyarrow.lib", "type_for_alias"),
        ("torch._utils", "_rebuild_tensor_v2"),
    }
)
# pandas' own parts, which have no public name
BlockManager = import_module("pandas.core.internals.managers").BlockManager
_index_of = import_module("pandas.core.indexes.base")._new_Index


class _ArrowTexts:
    """Texts that pandas 3 keeps in Arrow's memory, read here without Arrow."""

    values: list[str | None]

    def __setstate__(self, state: dict[str, Any]) -> None:
        texts = state["_pa_array"]
        if not isinstance(texts, list):
            raise _ForbiddenNameError("texts of another kind")
        self.values = texts

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.values, dtype=object)


# objects that a file may give a state to; never classes or functions, which would change for all
_FILLED = (np.ndarray, pd.DataFrame, pd.Index, BlockManager, pd.arrays.StringArray, _ArrowTexts)
_SETUP_ARGUMENTS = frozenset({"spliced_layer", "unspliced_layer"})
_CLASS = "VELOVI"
SCALE_ATTRIBUTE = "training_scale_"
# where earlier versions kept the scale of their runs' models
_SCALE_BESIDE = "scalers.csv"
_DOWNLOAD_SECONDS = 60
_ARCHIVE = b"PK\x03\x04"
_PYTHON_2 = {"__builtin__": "builtins"}  # protocol 2, which torch writes, says it so
_NUMPY_1 = {"numpy.core.multiarray": "numpy._core.multiarray"}


@dataclass(frozen=True)
class SavedModel:
    """What ``model.pt`` holds.

    Attributes
    ----------
    state
        The module's parameters by name.
    genes
        Names of the genes, in the model's order.
    attributes
        Attributes of the model object; ``registry_`` and ``init_params_`` among them.
    """

    state: dict[str, Any]
    genes: np.ndarray
    attributes: dict[str, Any]

    @property
    def registry(self) -> dict[str, Any]:
        """Layers, genes, arguments and versions that the model was made with."""
        return self.attributes["registry_"]

    @property
    def training_scale(self) -> pd.DataFrame:
        """Range of each gene in training, as :attr:`velovi.VELOVI.training_scale` has it."""
        return scale_table(self.genes, self.attributes.get(SCALE_ATTRIBUTE))

    @property
    def arguments(self) -> dict[str, Any]:
        """Arguments of the constructor, ``**model_kwargs`` among them."""
        given = self.attributes["init_params_"]
        extra = {k: v for part in given["kwargs"].values() for k, v in part.items()}
        return {**given["non_kwargs"], **extra}


def scale_table(genes: ArrayLike, values: Mapping[str, ArrayLike] | None) -> pd.DataFrame:
    """A model's training scale from the attribute that is saved with it.

    Parameters
    ----------
    genes
        Names, (genes,).
    values
        An array (genes,) for each of :data:`~velovi.keys.SCALERS`; None when nobody knows.
    """
    index = pd.Index(np.asarray(genes).astype(str))
    columns = {name: np.nan if values is None else np.asarray(values[name]) for name in SCALERS}
    return pd.DataFrame(columns, index=index, dtype=np.float32)


def setup_layers(registry: dict[str, Any]) -> dict[str, str]:
    """Arguments of ``setup_anndata`` from a registry; those of later versions are left out."""
    given = registry[_SETUP_ARGS_KEY]
    return {name: given[name] for name in sorted(_SETUP_ARGUMENTS)}


def read_saved(
    dir_path: str | Path,
    prefix: str | None = None,
    *,
    trusted: bool = True,
    device: torch.device | str = "cpu",
    backup_url: str | None = None,
) -> SavedModel:
    """Read ``model.pt``.

    Parameters
    ----------
    dir_path
        The folder.
    prefix
        What its file names begin with.
    trusted
        Whether to believe the file; otherwise it is refused when it names anything but what
        :data:`ALLOWED` lists.
    device
        Where tensors go.
    backup_url
        Where to download the file from when the folder does not have it.

    Raises
    ------
    StoreError
        The file is missing, damaged, no saved model, or refused.
    """
    name = f"{prefix or ''}{SAVE_KEYS.MODEL_FNAME}"
    path = Path(dir_path) / name
    if backup_url is not None:
        _fetch(backup_url, path)
    if not path.is_file():
        raise StoreError(
            "there is no saved model",
            where=str(path),
            expected=f"a folder with {name}",
            found=_listing(path.parent),
            remedy="Check the folder and prefix; models saved before scvi-tools 0.15 are converted "
            "with convert_legacy_save",
        )
    try:
        content = _load_trusted(path, device) if trusted else _load_restricted(path, device)
        model = SavedModel(
            content[SAVE_KEYS.MODEL_STATE_DICT_KEY],
            np.asarray(content[SAVE_KEYS.VAR_NAMES_KEY]).astype(str),
            content[SAVE_KEYS.ATTR_DICT_KEY],
        )
        _complete(model, path.parent)
    except (StoreError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as damage:  # whatever a damaged pickle makes of itself
        raise StoreError(
            "the file cannot be read as a saved model",
            where=str(path),
            expected="model.pt as VELOVI.save wrote it",
            found=f"{type(damage).__name__}: {str(damage).splitlines()[0] if str(damage) else ''}",
            remedy="Copy the folder again from where it was saved",
        ) from damage
    return model


def _complete(model: SavedModel, folder: Path) -> None:
    """Look at every part, which fails when one is missing, and add what old files lack."""
    if SCALE_ATTRIBUTE not in model.attributes:
        model.attributes[SCALE_ATTRIBUTE] = _scale_beside(folder, model.genes)
    _ = model.training_scale
    dict(model.state)
    dict(model.arguments)
    kind = str(model.registry[_MODEL_NAME_KEY])
    arguments = model.registry[_SETUP_ARGS_KEY]
    if kind != _CLASS and not arguments.keys() >= _SETUP_ARGUMENTS:
        raise StoreError(
            "the saved model is of another class",
            where="saved model",
            expected="a veloVI model, made from a spliced and an unspliced layer",
            found=f"a model of the class {kind}",
            remedy="Choose the folder of a veloVI model",
        )
    if not all(isinstance(arguments.get(name), str) for name in _SETUP_ARGUMENTS):
        raise ValueError(f"setup with {arguments}")
    for field in model.registry[_FIELD_REGISTRIES_KEY].values():
        field[_STATE_REGISTRY_KEY].setdefault("column_names", model.genes.astype(object))


def _scale_beside(folder: Path, genes: np.ndarray) -> dict[str, np.ndarray] | None:
    """The scale that an earlier version wrote beside a run's model; None when nobody knows."""
    try:
        # genes may be called by numbers, or "nan"
        texts = pd.read_csv(folder / _SCALE_BESIDE, dtype=str, keep_default_na=False)
        table = texts.set_index(texts.columns[0]).loc[list(genes), list(SCALERS)]
        return {name: table[name].to_numpy(dtype=np.float32) for name in SCALERS}
    except (OSError, ValueError, KeyError, IndexError):
        return None


def _fetch(url: str, path: Path) -> None:
    """Download to a name beside the file's, so that half a file is never taken for a whole one."""
    if path.exists():
        return
    part = path.with_name(f".{path.name}.part")
    try:
        if not url.startswith(("http://", "https://")):
            raise ValueError("only http and https addresses are opened")
        path.parent.mkdir(parents=True, exist_ok=True)
        request = urllib.request.Request(url, headers={"User-Agent": "velovi"})
        with (
            urllib.request.urlopen(request, timeout=_DOWNLOAD_SECONDS) as answer,
            part.open("wb") as file,
        ):
            shutil.copyfileobj(answer, file)
        part.rename(path)
    except (OSError, ValueError) as failure:
        part.unlink(missing_ok=True)
        raise StoreError(
            "the saved model could not be downloaded",
            where="backup_url",
            expected="an http or https address of a model.pt",
            found=f"{url}: {failure}",
            remedy="Check the address, or copy the file into the folder",
        ) from failure


def _load_trusted(path: Path, device: torch.device | str) -> dict[str, Any]:
    try:
        return torch.load(path, map_location=device, weights_only=False)
    except (ImportError, AttributeError, TypeError):
        # written with other versions of pandas, whose parts are not here: read without them
        return _load_restricted(path, device)


def _load_restricted(path: Path, device: torch.device | str) -> dict[str, Any]:
    # one open file for looking and loading, and torch's own reader for both: another reader of
    # archives may see another list of contents in the same bytes
    with path.open("rb") as file:
        if file.read(len(_ARCHIVE)) != _ARCHIVE:
            raise _refused(path, "a file that is no zip archive")
        file.seek(0)
        with torch.serialization._open_zipfile_reader(file) as reader:
            names = set(reader.get_all_records())
        if "data.pkl" not in names or any(
            name.startswith("code/") or name == "constants.pkl" for name in names
        ):
            raise _refused(path, "an archive with a program in it")
        file.seek(0)
        try:
            with warnings.catch_warnings(action="ignore"):
                return torch.load(
                    file,
                    map_location=device,
                    weights_only=False,
                    pickle_module=SimpleNamespace(
                        Unpickler=_RestrictedUnpickler, load=_load_nothing, __name__="restricted"
                    ),
                )
        except _ForbiddenNameError as forbidden:
            raise _refused(path, str(forbidden)) from None


def _refused(path: Path, found: str) -> StoreError:
    return StoreError(
        "the file was refused, because it could run a program on this machine",
        where=str(path),
        expected="parameters, tables and texts only",
        found=found,
        remedy="Load it with VELOVI.load if you trust who made it, and save it anew with default "
        "options",
    )


class _ForbiddenNameError(pickle.UnpicklingError):
    """A pickle names or does something that saved models do not need."""


_InPython: Any = pickle._Unpickler  # the one whose steps can be looked at


class _RestrictedUnpickler(_InPython):
    """Builds what saved models hold, and looks at every state before an object is given it.

    Not torch's own reader of weights (``weights_only=True`` with ``safe_globals``): allowing it the
    types that registries need, it would hand any state to a numpy dtype, of which there is one for
    the whole process, and any attributes to an ordered dictionary; and its list of names holds for
    all threads, so another load at the same time would be given them too.
    """

    dispatch: ClassVar = dict(_InPython.dispatch)

    def find_class(self, module: str, name: str) -> Any:
        module = _PYTHON_2.get(module, module)
        if (module, name) not in ALLOWED:
            raise _ForbiddenNameError(f"{module}.{name}")
        careful = _CAREFUL.get(name)
        return careful or getattr(import_module(_NUMPY_1.get(module, module)), name)

    def load_build(self) -> None:
        """Give an object its state, after a look at both."""
        state, target = self.stack[-1], self.stack[-2]
        if isinstance(target, np.dtype):
            allowed = _is_plain_dtype(target, state)
        elif type(target) is OrderedDict:  # torch notes versions on a module's parameters
            allowed = isinstance(state, dict) and state.keys() <= {"_metadata"}
        else:
            allowed = isinstance(target, _FILLED)
        if not allowed:
            raise _ForbiddenNameError(f"a new state for {target!r}"[:200])
        super().load_build()

    dispatch[pickle.BUILD[0]] = load_build


def _is_plain_dtype(target: np.dtype[Any], state: Any) -> bool:
    """Whether the state leaves the type what it is: no fields, and objects stay objects."""
    return (
        isinstance(state, tuple)
        and len(state) == len(np.dtype("O").__reduce__()[2])
        and state[2:5] == (None, None, None)
        and state[-1] == target.flags
    )


def _latin_1(text: str, encoding: str) -> bytes:
    """How protocol 2 writes bytes; any other encoding would import a codec by name."""
    if encoding != "latin1":
        raise _ForbiddenNameError(f"the encoding {encoding}")
    return codecs.latin_1_encode(text)[0]


# stands for the class of arrays, which a file may name but not call: it takes bytes for objects
_ARRAYS = object()


def _new_array(kind: object, shape: tuple[int, ...], code: bytes) -> np.ndarray:
    """An empty array, which its state fills."""
    if kind is not _ARRAYS or shape != (0,):
        raise _ForbiddenNameError(f"an array of {kind} and shape {shape}")
    return np.ndarray((0,), dtype=np.int8)


def _new_index(kind: type, parts: dict[str, Any]) -> pd.Index:
    if kind not in (pd.Index, pd.RangeIndex):
        raise _ForbiddenNameError(f"an index of {kind}")
    if isinstance(parts.get("data"), _ArrowTexts):
        return pd.Index(np.asarray(parts["data"]), dtype=object, name=parts.get("name"))
    return _index_of(kind, parts)


def _bytes_only(content: bytes) -> bytearray:
    """A copy of bytes; a number would ask for so many zeros."""
    if not isinstance(content, bytes):
        raise _ForbiddenNameError("a byte array of another kind")
    return bytearray(content)


def _buffer(content: bytes | bytearray) -> bytes:
    if not isinstance(content, bytes | bytearray):
        raise _ForbiddenNameError("a buffer of another kind")
    return bytes(content)


def _arrow_type(name: str) -> str:
    if name not in _ARROW_OFFSETS:
        raise _ForbiddenNameError(f"an Arrow array of {name}")
    return name


def _arrow_texts(parts: tuple[Any, ...]) -> list[str | None]:
    """Texts from Arrow's buffers: which are there, where each begins, and all of them in a row."""
    kind, length, _, first, (there, offsets, content) = parts[:5]
    places = np.frombuffer(offsets, dtype=_ARROW_OFFSETS[kind])[first : first + length + 1].tolist()
    known = np.ones(length, dtype=bool)
    if there is not None:
        bits = np.unpackbits(np.frombuffer(there, dtype=np.uint8), bitorder="little")
        known = bits[first : first + length].astype(bool)
    if len(places) != length + 1 or len(known) != length or places[-1] > len(content or b""):
        raise ValueError("texts that end beyond their file")
    raw = bytes(content or b"")
    return [
        raw[begin:end].decode() if item else None
        for begin, end, item in zip(places[:-1], places[1:], known, strict=True)
    ]


def _new_strings(kind: type, checksum: int, state: Any) -> Any:
    if kind is not pd.arrays.StringArray or state is not None:
        raise _ForbiddenNameError(f"an array of {kind}")
    make: Any = kind.__new__
    return make(kind)


# in the place of functions that could do more than saved models need
_ARROW_OFFSETS = {"large_string": np.int64, "string": np.int32}
_CAREFUL: dict[str, Any] = {
    "ndarray": _ARRAYS,
    "ArrowStringArray": _ArrowTexts,
    "bytearray": _bytes_only,
    "_restore_array": _arrow_texts,
    "py_buffer": _buffer,
    "type_for_alias": _arrow_type,
    "encode": _latin_1,
    "_reconstruct": _new_array,
    "_new_Index": _new_index,
    "__pyx_unpickle_NDArrayBacked": _new_strings,
}


def _load_nothing(file: io.IOBase, **_: Any) -> Any:
    raise _ForbiddenNameError("a file in torch's old format")


def _listing(folder: Path) -> str:
    if not folder.is_dir():
        return f"no folder {folder}"
    return ", ".join(sorted(path.name for path in folder.iterdir())[:10]) or "an empty folder"
