"""Lists of genes: names as people write them, found among the genes of a run, kept as sets.

A set is a CSV file of the workspace, ``gene_sets/<name>.csv``, one gene a row.
"""

from __future__ import annotations

import csv
import difflib
import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from velovi.errors import DataError, StoreError, UnknownNameError, first_named
from velovi.runs.files import make_folder, told_as_store_error, write_bytes
from velovi.runs.naming import LONGEST_SHORT_NAME
from velovi.runs.workspace import Workspace

MOST_GENES = 20_000
MOST_BYTES = 2**20
HEADER = "gene"
_HEADERS = {HEADER, "genes", "symbol", "gene_symbol", "gene_name", "name", "index", ""}
_SEPARATORS = re.compile(r"[\s,;|]+")
_DROPPED = str.maketrans("", "", "-_. /:'\"")
_SET_NAME = re.compile(r"\w[\w ,+&()'-]*")
_LONGEST_FILE_NAME = 200  # bytes; file systems take 255, and a temporary name is longer
_CLOSE = 0.7  # of difflib's ratio, 0 to 1
_MOST_NEAR_SEARCHES = 20  # a pasted page of text must not hold up the server


@dataclass(frozen=True)
class GeneMatch:
    """What became of a list of names.

    ``found`` are genes in the model as the file spells them; ``left_out`` maps genes of the file
    that are not in the model to the reason; ``missing`` maps names that are not in the file to
    near names in the model.
    """

    found: tuple[str, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    missing: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(set(self.found)) != len(self.found):
            raise DataError("a gene is found twice", found=first_named(self.found))


def split_names(text: str) -> list[str]:
    """Names in a text, separated by commas, blanks or new lines; each once, in order.

    Examples
    --------
    >>> split_names('Actb, "Gcg"; actb Gcg')
    ['Actb', 'Gcg', 'actb']
    """
    return _each_once(part.strip("'\"") for part in _SEPARATORS.split(text))


def table_names(text: str) -> list[str]:
    """Names in a CSV file's text: its first column, or its only row; a heading is left out.

    Raises
    ------
    DataError
        When it holds no names, or far too many.
    """
    first = text.lstrip("\ufeff").split("\n", 1)[0]
    delimiter = next((item for item in "\t;," if item in first), ",")
    try:
        lines = list(csv.reader(io.StringIO(text.lstrip("\ufeff")), delimiter=delimiter))
    except csv.Error as error:
        raise DataError(
            "this is not a table of genes",
            expected="a CSV file with one gene a row",
            found=str(error),
        ) from error
    rows = [row for row in lines if any(cell.strip() for cell in row)]
    cells = rows[0] if len(rows) == 1 else [row[0] for row in rows]
    if cells and cells[0].strip().casefold() in _HEADERS:
        cells = cells[1:]
    return _checked_genes(cells)


def names_table(genes: Sequence[str]) -> str:
    """The text of a CSV file with one gene a row."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([[HEADER], *([gene] for gene in genes)])
    return out.getvalue()


def plain_name(name: str) -> str:
    """A gene's name without what people get wrong: capitals, dashes, dots and blanks.

    Examples
    --------
    >>> plain_name("HLA-DRB1.2")
    'hladrb12'
    """
    return name.casefold().translate(_DROPPED)


def rank_genes(query: str, genes: Sequence[str]) -> list[str]:
    """Genes that a reader may mean, the likeliest first.

    Genes that contain what was typed come alone: the same name, then names that begin with it,
    then the others, short before long. Only when there are none, names that are one slip of the
    finger away or that have its letters in the same order take their place.

    Parameters
    ----------
    query
        What was typed. Everything when empty.
    genes
        Names in their usual order.
    """
    wanted = plain_name(query)
    if not wanted:
        return list(genes)
    plain = [plain_name(gene) for gene in genes]
    holding = [i for i, name in enumerate(plain) if wanted in name]
    if holding:
        holding.sort(key=lambda i: (not plain[i].startswith(wanted), len(plain[i])))
        return [genes[i] for i in holding]
    return [genes[i] for i in _nearest(wanted, plain)]


def near_names(name: str, genes: Sequence[str], most: int = 3) -> tuple[str, ...]:
    """The few genes whose names are nearest to one that is not there."""
    return tuple(rank_genes(name, genes)[:most])


def match_genes(
    names: Iterable[str], genes: Sequence[str], left_out: Mapping[str, str] | None = None
) -> GeneMatch:
    """Look names up; capitals and dashes do not matter where that leaves one gene to choose.

    Parameters
    ----------
    names
        As the reader wrote them.
    genes
        Genes in the model.
    left_out
        Genes of the file that are not in the model, and why.
    """
    reasons = left_out or {}
    in_model, in_file = _spellings(genes), _spellings(reasons)
    found: list[str] = []
    dropped: dict[str, str] = {}
    missing: dict[str, tuple[str, ...]] = {}
    for name in names:
        gene = in_model(name)
        if gene is None:
            other = in_file(name)
            if other is not None:
                dropped[other] = reasons[other]
                continue
            search = len(missing) < _MOST_NEAR_SEARCHES
            missing[name] = near_names(name, genes) if search else ()
        else:
            found.append(gene)
    return GeneMatch(tuple(_each_once(found)), dropped, missing)


class GeneSets:
    """The named gene sets of a workspace.

    Parameters
    ----------
    workspace
        Where they are kept, in ``gene_sets``.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._root = workspace.root
        self._folder = workspace.root / "gene_sets"

    def names(self) -> list[str]:
        """Names of the sets, in alphabetical order."""
        found = [path.stem for path in self._folder.glob("*.csv") if _SET_NAME.fullmatch(path.stem)]
        return sorted(found, key=str.casefold)

    def load(self, name: str) -> list[str]:
        """The genes of a set, in the order in which they were saved.

        Raises
        ------
        UnknownNameError
            When there is no such set.
        StoreError
            When its file cannot be read.
        """
        path = self._existing(name)
        try:
            if path.stat().st_size > MOST_BYTES:
                raise DataError("the file is too large for a list of genes")
            return table_names(path.read_text(encoding="utf-8-sig"))
        except (OSError, ValueError) as error:
            raise StoreError(
                "this gene set cannot be read",
                where=name,
                found=str(error),
                remedy="Delete it and save it again",
            ) from error

    def save(self, name: str, genes: Sequence[str]) -> Path:
        """Keep a set; one of the same name is replaced.

        Parameters
        ----------
        name
            1 to 60 letters, digits, blanks and ``, + & ( ) ' -``; it becomes the file's name.
        genes
            At least one.
        """
        path, kept = self._path(name), _checked_genes(genes)
        make_folder(self._folder)
        write_bytes(path, names_table(kept).encode())
        return path

    def delete(self, name: str) -> None:
        """Remove a set."""
        path = self._existing(name)
        with told_as_store_error(path):
            path.unlink(missing_ok=True)

    def _existing(self, name: str) -> Path:
        path = self._path(name)
        if not path.is_file():
            raise UnknownNameError(
                f"there is no gene set named {name!r}",
                where="gene set",
                expected=first_named(self.names()) or "none was saved yet",
                remedy="It may have been deleted; choose another",
            )
        return path

    def _path(self, name: str) -> Path:
        name = name.strip()
        fits = len(name) <= LONGEST_SHORT_NAME and len(name.encode()) <= _LONGEST_FILE_NAME
        if not fits or not _SET_NAME.fullmatch(name):
            raise DataError(
                "a gene set needs another name",
                where=repr(name[:80]),
                expected=f"1 to {LONGEST_SHORT_NAME} letters, digits, blanks or , + & ( ) ' -, "
                "beginning with a letter or digit",
            )
        path = self._folder / f"{name}.csv"
        # a link in the workspace must not lead a reader or writer out of it
        if not path.resolve().is_relative_to(self._root):
            raise StoreError("this gene set lies outside the workspace", where=name)
        return path


def _nearest(wanted: str, plain: Sequence[str]) -> list[int]:
    """Positions of names near to one that none contains, the nearest first."""
    slips = [i for i, name in enumerate(plain) if _one_slip(wanted, name)]
    begun = [] if slips else [i for i, name in enumerate(plain) if _slip_in_begin(wanted, name)]
    spread = [i for i, name in enumerate(plain) if _in_order(wanted, name)]
    near = slips + begun + sorted(spread, key=lambda i: len(plain[i]))
    if not near:
        # difflib is slow: only names of about this length that begin alike are compared
        alike = [
            name for name in plain if name[:1] == wanted[:1] and abs(len(name) - len(wanted)) <= 2
        ]
        close = difflib.get_close_matches(wanted, alike, n=8, cutoff=_CLOSE)
        near = [plain.index(name) for name in close]
    return list(dict.fromkeys(near))


def _one_slip(typed: str, name: str) -> bool:
    """Whether one letter was left out, added, changed, or swapped with the next."""
    if abs(len(typed) - len(name)) > 1 or len(typed) < 3:
        return False
    i = next((i for i, (a, b) in enumerate(zip(typed, name, strict=False)) if a != b), len(typed))
    return (
        typed[i + 1 :] == name[i + 1 :]
        or typed[i:] == name[i + 1 :]
        or typed[i + 1 :] == name[i:]
        or (typed[i : i + 2] == name[i : i + 2][::-1] and typed[i + 2 :] == name[i + 2 :])
    )


def _slip_in_begin(typed: str, name: str) -> bool:
    """Whether a longer name begins with what was typed but for one slip."""
    size = len(typed)
    if size < 4 or len(name) <= size or name[0] != typed[0]:
        return False
    return any(_one_slip(typed, name[:end]) for end in (size, size + 1, size - 1))


def _in_order(typed: str, name: str) -> bool:
    """Whether a name begins like this and holds all its letters in order."""
    if len(typed) < 3 or name[:1] != typed[0]:
        return False
    rest = iter(name)
    return all(letter in rest for letter in typed)


def _spellings(genes: Iterable[str]) -> Callable[[str], str | None]:
    """A function that finds a gene by its name or, when only one fits, by its plain name."""
    exact, plain = set(genes), dict[str, list[str]]()
    for gene in exact:
        plain.setdefault(plain_name(gene), []).append(gene)

    def find(name: str) -> str | None:
        if name in exact:
            return name
        alike = plain.get(plain_name(name), [])
        return alike[0] if len(alike) == 1 else None

    return find


def _each_once(names: Iterable[str]) -> list[str]:
    return [name for name in dict.fromkeys(names) if name]


def _checked_genes(genes: Iterable[str]) -> list[str]:
    kept = _each_once(gene.strip() for gene in genes)
    if not 1 <= len(kept) <= MOST_GENES:
        raise DataError(
            "this is not a list of genes",
            expected=f"1 to {MOST_GENES:,} names",
            found=f"{len(kept):,} names",
        )
    return kept
