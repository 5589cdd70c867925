"""Lists of genes: reading what people write, finding what they mean, keeping sets."""

from __future__ import annotations

import random
import string
import threading

import pytest
from counting import python_calls

from velovi.errors import DataError, StoreError, UnknownNameError
from velovi.runs.gene_sets import (
    MOST_BYTES,
    MOST_GENES,
    GeneMatch,
    GeneSets,
    match_genes,
    names_table,
    near_names,
    plain_name,
    rank_genes,
    split_names,
    table_names,
)
from velovi.runs.workspace import Workspace

GENES = ["Actb", "Neurog3", "Neurod1", "Neurod2", "Ins1", "Ins2", "Gcg", "HLA-DRB1", "Sst", "Fev"]


def many_genes(n: int = 5000) -> list[str]:
    rng = random.Random(0)
    names: dict[str, None] = dict.fromkeys(GENES)
    while len(names) < n:
        letters = "".join(rng.choices(string.ascii_lowercase, k=rng.randint(2, 6)))
        names[rng.choice(string.ascii_uppercase) + letters + rng.choice(["", "1", "-2"])] = None
    return list(names)


@pytest.mark.parametrize(
    "text", ["Actb,Gcg,Sst", "Actb Gcg  Sst", "Actb\nGcg\r\nSst\n", "Actb; 'Gcg';\t\"Sst\"; Actb"]
)
def test_lists_are_split_at_commas_blanks_and_lines(text):
    assert split_names(text) == ["Actb", "Gcg", "Sst"]


def test_nothing_is_no_list():
    assert split_names(" ,\n; ") == []


@pytest.mark.parametrize(
    "text",
    [
        "gene\nActb\nGcg\n",
        "\ufeffGene,score\nActb,0.2\nGcg,0.1\n",
        "Actb\nGcg",
        "Actb,Gcg",
        "symbol\tscore\nActb\t1\n\nGcg\t2\n",
        '"Actb";1\n"Gcg";2\n',
        "Actb\r\nGcg\r\n",
    ],
)
def test_tables_of_genes(text):
    assert table_names(text) == ["Actb", "Gcg"]


def test_a_table_comes_back_as_it_was_written():
    odd = ["Actb", 'A "quoted", one', "HLA-A*01:01", "a\nb"]
    assert table_names(names_table(odd)) == odd


@pytest.mark.parametrize("text", ["", "gene\n", "a\n" + "x" * 200_000 + "\n"])
def test_what_is_no_table_of_genes_is_said(text):
    with pytest.raises(DataError):
        table_names(text)


def test_too_many_genes_are_refused():
    with pytest.raises(DataError, match="20,000"):
        table_names("\n".join(f"g{i}" for i in range(MOST_GENES + 1)))


def test_search_shows_what_holds_the_letters_before_what_is_near():
    assert rank_genes("ins", GENES) == ["Ins1", "Ins2"]
    assert rank_genes("neurod", GENES) == ["Neurod1", "Neurod2"]
    assert rank_genes("rod", GENES) == ["Neurod1", "Neurod2"]
    assert rank_genes("", GENES) == GENES
    assert rank_genes("Gcg", ["Gcgr", "Xgcg", "Gcg"]) == ["Gcg", "Gcgr", "Xgcg"]


@pytest.mark.parametrize("typed", ["hla-drb1", "HLADRB1", "hla.drb1", " HLA DRB1 ", "Hla_Drb"])
def test_search_tolerates_case_and_dashes(typed):
    assert rank_genes(typed, GENES) == ["HLA-DRB1"]


@pytest.mark.parametrize("typed", ["Neurgo3", "Nurog3", "Neurogg3", "Neuxog3", "Nrg3", "Neuog"])
def test_search_tolerates_a_slip(typed):
    assert rank_genes(typed, GENES)[0] == "Neurog3"


def test_search_that_finds_nothing_is_empty():
    assert rank_genes("zzzzzz", GENES) == []
    assert near_names("zzzzzz", GENES) == ()


def test_slips_are_those_of_an_obvious_search():
    """All names one edit away, found by trying every edit."""

    def edits(word: str) -> set[str]:
        letters = string.ascii_lowercase + string.digits
        cut = [(word[:i], word[i:]) for i in range(len(word) + 1)]
        return {
            *(a + b[1:] for a, b in cut if b),
            *(a + b[1] + b[0] + b[2:] for a, b in cut if len(b) > 1),
            *(a + c + b[1:] for a, b in cut if b for c in letters),
            *(a + c + b for a, b in cut for c in letters),
        }

    from velovi.runs.gene_sets import _one_slip

    names = [plain_name(name) for name in many_genes(400)]
    for word in names[:60]:
        near = edits(word)
        for name in names:
            if name != word and len(word) >= 3:
                assert _one_slip(word, name) == (name in near), (word, name)


@pytest.mark.parametrize("typed", ["a", "neurgo3", "zzqqxx", "nrd2", "Ins"])
def test_thousands_of_genes_are_searched_at_once(typed):
    genes = many_genes()
    rank_genes(typed, genes)
    # a few looks at each name, however many of them are near
    assert python_calls(lambda: rank_genes(typed, genes)) < 25 * len(genes)


def test_a_list_is_found_with_what_is_missing_and_why():
    reasons = {"Pdx1": "fewer than 20 shared counts"}
    match = match_genes(["ACTB", "Gcg", "pdx1", "Fve", "qqqq", "actb"], GENES, reasons)
    assert match.found == ("Actb", "Gcg")
    assert match.left_out == reasons
    assert match.missing == {"Fve": ("Fev",), "qqqq": ()}


def test_two_spellings_in_the_file_are_not_mixed_up():
    match = match_genes(["Actb", "actb"], ["Actb", "ACTB"])
    assert match.found == ("Actb",)
    assert set(match.missing["actb"]) == {"Actb", "ACTB"}


def test_a_page_of_text_is_looked_up_in_reasonable_time():
    words = [f"word{i}x{i}" for i in range(3000)]
    genes = many_genes()
    found = []
    calls = python_calls(lambda: found.append(match_genes(words, genes)))
    assert calls < 450 * len(genes)  # not every word is compared with every gene
    assert len(found[0].missing) == 3000


def test_a_match_checks_itself():
    with pytest.raises(DataError):
        GeneMatch(found=("Actb", "Actb"))


@pytest.fixture
def sets(tmp_path):
    return GeneSets(Workspace(tmp_path / "workspace"))


def test_sets_are_kept_listed_read_and_deleted(sets):
    assert sets.names() == []
    path = sets.save(" beta cells ", ["Ins1", "Ins2", "Ins1", " "])
    sets.save("Alpha (E14-5)", ["Gcg"])
    assert path.read_text() == "gene\nIns1\nIns2\n"
    assert sets.names() == ["Alpha (E14-5)", "beta cells"]
    assert sets.load("beta cells") == ["Ins1", "Ins2"]
    sets.save("beta cells", ["Mafa"])
    assert sets.load("beta cells") == ["Mafa"]
    sets.delete("beta cells")
    assert sets.names() == ["Alpha (E14-5)"]
    for act in (sets.load, sets.delete):
        with pytest.raises(UnknownNameError, match="Alpha"):
            act("beta cells")


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "..",
        "../../etc/passwd",
        "a/b",
        "a\\b",
        ".hidden",
        "a\0b",
        "a\nb",
        "x" * 61,
        "/etc/passwd",
        "~root",
        "a:b",
        "日" * 60 + "本",
    ],
)
def test_names_that_would_leave_the_folder_are_refused(sets, name):
    for act in (sets.load, sets.delete, lambda name: sets.save(name, ["Actb"])):
        with pytest.raises(DataError):
            act(name)
    assert not list(sets._root.rglob("*.csv"))


def test_links_out_of_the_workspace_are_not_followed(sets, tmp_path):
    secret = tmp_path / "secret.csv"
    secret.write_text("gene\nSecret\n")
    sets.save("mine", ["Actb"])
    (sets._folder / "linked.csv").symlink_to(secret)
    for act in (sets.load, sets.delete, lambda name: sets.save(name, ["Actb"])):
        with pytest.raises(StoreError):
            act("linked")
    assert secret.read_text() == "gene\nSecret\n"


def test_a_linked_folder_is_not_followed(tmp_path):
    workspace, outside = Workspace(tmp_path / "workspace"), tmp_path / "outside"
    outside.mkdir()
    (workspace.root / "gene_sets").symlink_to(outside)
    with pytest.raises(StoreError):
        GeneSets(workspace).save("mine", ["Actb"])
    assert list(outside.iterdir()) == []


def test_a_damaged_set_is_said_not_raised_raw(sets):
    sets.save("mine", ["Actb"])
    path = sets._folder / "mine.csv"
    for content in (b"\xff\xfe\x00", b"gene\n", b"a\n" * MOST_BYTES):
        path.write_bytes(content)
        with pytest.raises(StoreError, match="cannot be read"):
            sets.load("mine")


def test_a_reader_never_sees_half_a_set(sets):
    long, short = [f"Gene{i}" for i in range(3000)], ["Actb"]
    sets.save("mine", short)
    seen, done = set(), threading.Event()

    def read() -> None:
        while not done.is_set():
            seen.add(len(sets.load("mine")))

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(30):
        sets.save("mine", long)
        sets.save("mine", short)
    done.set()
    reader.join()
    assert seen <= {1, 3000}
    assert [path.name for path in sets._folder.iterdir()] == ["mine.csv"]
