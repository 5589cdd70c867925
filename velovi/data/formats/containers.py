"""AnnData in zarr, inside MuData, and in archives."""

from __future__ import annotations

import gzip
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import IO, TYPE_CHECKING

import h5py

from velovi.data import guess_layers
from velovi.data.h5ad import as_data_error
from velovi.data.hdf5_limits import require_inside, require_stored_below
from velovi.data.storable import clean_text
from velovi.errors import DataError

if TYPE_CHECKING:
    from anndata import AnnData

MOST_FILES = 20_000
"""In an archive."""
EXPANSION, LEAST_BYTES = 60, 2**28
"""How many times its size an archive may unpack to; small ones may always reach some bytes."""
_PIECE = 1 << 22


def read_zarr(path: Path) -> tuple[AnnData, list[str]]:
    """An AnnData in zarr, version 2 or 3."""
    import anndata

    with as_data_error(path, expected="AnnData in zarr"):
        return anndata.read_zarr(path), []


def read_mudata(path: Path) -> tuple[AnnData, list[str]]:
    """The modality of a MuData file that holds velocity counts; its only or RNA one otherwise."""
    from anndata.io import read_elem

    with as_data_error(path), h5py.File(path, "r") as file:
        require_inside(file)
        require_stored_below(file["mod"])
        names = list(file["mod"])
        with_counts = [
            name
            for name in names
            if None not in guess_layers(list(file["mod"][name].get("layers", ())))
        ]
        usual = [name for name in names if name.lower() in ("rna", "gex", "gene expression")]
        chosen = next(iter([*with_counts, *usual, *(names if len(names) == 1 else ())]), None)
        if chosen is None:
            raise DataError(
                "no modality of this MuData file holds spliced and unspliced counts",
                where=path.name,
                expected="layers 'spliced' and 'unspliced' in one of them",
                found=", ".join(map(clean_text, names)) or "no modality",
                remedy="Put the counts into the RNA modality: mdata['rna'].layers['spliced'] = …",
            )
        adata = read_elem(file["mod"][chosen])
        left = [clean_text(name) for name in names if name != chosen]
    notes = [f"Modality '{clean_text(chosen)}' was taken"]
    notes[0] += f"; {', '.join(left)} left out." if left else "."
    return adata, notes


@contextmanager
def unpacked(path: Path, most: int | None = None) -> Iterator[tuple[Path, int]]:
    """A folder with what an archive or a compressed file holds, for as long as it is needed.

    Parameters
    ----------
    path
        The archive.
    most
        Bytes that it may unpack to; what its size can justify when left out.

    Yields
    ------
    The folder, and how many bytes are left for archives inside it.

    Raises
    ------
    DataError
        It is damaged, unpacks to more than its size can justify, or leads out of the folder.
    """
    with TemporaryDirectory(prefix="velovi-unpacked-") as folder:
        target = Path(folder)
        limit = max(EXPANSION * path.stat().st_size, LEAST_BYTES) if most is None else most
        kind = "a gzip-compressed file"
        try:
            if zipfile.is_zipfile(path):
                kind = "a zip archive"
                limit -= _unzip(path, target, limit)
            elif tarfile.is_tarfile(path):
                kind = "a tar archive"
                limit -= _untar(path, target, limit)
            else:
                name = path.name.removesuffix(".gz") or "content"
                with gzip.open(path) as source:
                    limit -= _copy(source, target / name, limit)
        except DataError:
            raise
        except (OSError, EOFError, ValueError, RuntimeError, zlib.error) as error:
            why = next(iter(clean_text(error).strip().splitlines()), type(error).__name__)
            raise _damaged(path, f"{kind} ({why})") from error
        except (zipfile.BadZipFile, tarfile.TarError) as error:
            raise _damaged(path, f"{kind} ({clean_text(error)})") from error
        yield target, limit


def _damaged(path: Path, found: str) -> DataError:
    return DataError(
        "the archive cannot be unpacked",
        where=path.name,
        found=found[:200],
        remedy="Copy or download it again, or make it anew without a password",
    )


def _unzip(path: Path, target: Path, limit: int) -> int:
    written = 0
    with zipfile.ZipFile(path) as archive:
        entries = [entry for entry in archive.infolist() if not entry.is_dir()]
        _require_few(path, len(entries))
        for entry in entries:
            place = _place(path, target, entry.filename)
            with archive.open(entry) as source:
                written += _copy(source, place, limit - written)
    return written


def _untar(path: Path, target: Path, limit: int) -> int:
    written = 0
    with tarfile.open(path) as archive:
        for number, entry in enumerate(archive):
            _require_few(path, number)
            if not entry.isfile():
                continue  # links and devices have no business in a folder of counts
            place = _place(path, target, entry.name)
            source = archive.extractfile(entry)
            if source is not None:
                written += _copy(source, place, limit - written)
    return written


def _require_few(path: Path, count: int) -> None:
    if count > MOST_FILES:
        raise DataError(
            "the archive holds too many files",
            where=path.name,
            expected=f"at most {MOST_FILES:,}",
            remedy="Pack only the folder of counts",
        )


def _place(path: Path, target: Path, name: str) -> Path:
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if not parts or ".." in parts or parts[0] == "/" or ":" in parts[0]:
        raise DataError(
            "the archive names a file outside itself",
            where=path.name,
            found=clean_text(name)[:120],
            remedy="Pack the folder anew",
        )
    place = target.joinpath(*parts)
    place.parent.mkdir(parents=True, exist_ok=True)
    return place


def _copy(source: IO[bytes] | gzip.GzipFile, place: Path, limit: int) -> int:
    written = 0
    with place.open("wb") as out:
        while piece := source.read(_PIECE):
            written += len(piece)
            if written > limit:
                raise DataError(
                    "the archive unpacks to more than its size can justify",
                    where=place.name,
                    remedy="Unpack it yourself, and bring the file or folder inside",
                )
            out.write(piece)
    return written
