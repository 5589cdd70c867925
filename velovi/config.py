"""Options of every stage: one frozen dataclass each, with default, range, unit, group and help.

The form of the pages and the flags of the command line are made from these fields, so a default, a
range, a choice's title or a sentence of help is written once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field, asdict, dataclass, field, fields, replace
from typing import Any, ClassVar, Self

from velovi.errors import OptionError, check_choice, check_range
from velovi.schedule import FAST_EPOCHS, REFERENCE_WARM_UP, Schedule, fast, fast_epochs

# the velocity graph of more cells would take more memory than all the rest
ALL_NEIGHBOURS_UP_TO, NEIGHBOURS_BEYOND = 200_000, 100
EXTRINSIC_NEIGHBOURS_UP_TO = 20_000
NULL_CELLS = 1_000
"""Cells of the model that is trained on the null, at most."""
NULL_EPOCHS = 0.4
"""Its epochs, as a share of those that the schedule has for so many cells."""


@dataclass(frozen=True)
class OptionInfo:
    """What a form or a command line needs to know of one option.

    Attributes
    ----------
    label, help
        Its name on a page, and a sentence or two.
    low, high
        The range, inclusive; None leaves that side open.
    unit
        Of the number.
    choices
        The only values allowed, each with its title on a page; empty when any will do.
    captions
        A sentence for each choice that needs one.
    advanced
        Whether few will want to change it.
    group
        Its group of :data:`GROUPS`; that of its stage when left out.
    only_with
        Another option of the stage and the value that it must have for this one to matter.
    """

    label: str
    help: str
    low: float | None = None
    high: float | None = None
    unit: str = ""
    choices: Mapping[str, str] = field(default_factory=dict)
    captions: Mapping[str, str] = field(default_factory=dict)
    advanced: bool = False
    group: str = ""
    only_with: tuple[str, str] | None = None


GROUPS = {
    "File": "What the file's layers mean.",
    "Prepare": "Which genes are kept, and how expression is averaged over similar cells.",
    "Train": "How long and how the model learns.",
    "Ask the model": "How often the trained model is asked, for means and uncertainties.",
    "Machine": "What the run may use of this machine.",
    "Map directions": "How velocities become directions on the map and a shared time.",
    "Evidence": "How the run finds out whether its velocities can be believed.",
    "Model": "Size and shape of the neural networks.",
}
"""Titles of the groups of options, with what each is about."""


def option(default: Any, label: str, help: str, **info: Any) -> Any:  # noqa: A002
    """A dataclass field that carries its :class:`OptionInfo`."""
    return field(default=default, metadata={"info": OptionInfo(label, help, **info)})


@dataclass(frozen=True)
class Options:
    """Base of the option dataclasses: checks ranges and types when born."""

    group: ClassVar[str]
    """Group of :data:`GROUPS` for options that name none."""

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(item.default, tuple):
                value = tuple(value)
                object.__setattr__(self, item.name, value)
            _check(item, value)
            kind: Any = type(item.default)
            if kind in (int, float):  # 3.0 for a whole number, or a number of NumPy's
                object.__setattr__(self, item.name, kind(value))

    @classmethod
    def info(cls) -> dict[str, OptionInfo]:
        """Every option's description, by name, in order."""
        infos = {
            item.name: item.metadata["info"] for item in fields(cls) if "info" in item.metadata
        }
        return {
            name: info if info.group else replace(info, group=cls.group)
            for name, info in infos.items()
        }

    @classmethod
    def default(cls, name: str) -> Any:
        """The default value of one option."""
        value = next(item.default for item in fields(cls) if item.name == name)
        return None if value is MISSING else value

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Options from JSON; an unknown name is an error rather than a silent loss."""
        unknown = sorted(set(values) - {item.name for item in fields(cls)})
        if unknown:
            raise OptionError(
                f"there is no option {', '.join(map(repr, unknown))}",
                where=cls.__name__,
                expected=", ".join(item.name for item in fields(cls)),
                remedy="Check the spelling",
            )
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
        }


def _check(item: Field[Any], value: Any) -> None:
    info: OptionInfo | None = item.metadata.get("info")
    if info is None:
        return
    default, name = item.default, item.name
    if info.choices:
        check_choice(name, value, info.choices)
    elif isinstance(default, bool):
        if not isinstance(value, bool):
            raise OptionError(
                "must be true or false", where=name, found=f"{value!r}", remedy=info.help
            )
    elif isinstance(default, int | float):
        whole = isinstance(default, int)
        check_range(name, value, info.low, info.high, whole=whole, remedy=info.help)
    elif isinstance(default, str) and not isinstance(value, str):
        raise OptionError("must be a text", where=name, found=f"{value!r}")


@dataclass(frozen=True)
class PreprocessOptions(Options):
    """From counts to the smoothed, scaled expression that the model sees."""

    group = "Prepare"

    spliced_layer: str = option(
        "spliced",
        "Spliced layer",
        "Layer that holds the counts of mature (spliced) RNA.",
        group="File",
    )
    unspliced_layer: str = option(
        "unspliced",
        "Unspliced layer",
        "Layer that holds the counts of nascent (unspliced) RNA.",
        group="File",
    )
    counts: str = option(
        "auto",
        "Counts are",
        "raw: molecule counts, divide by each cell's total. normalised: leave as they are. "
        "auto: raw when every number is whole.",
        choices={
            "auto": "Automatic",
            "raw": "Raw molecule counts",
            "normalised": "Already normalised",
        },
        advanced=True,
    )
    min_shared_counts: int = option(
        20,
        "Minimum shared counts",
        "A gene is kept when its spliced and unspliced counts, summed over the cells that have "
        "both, reach this number.",
        low=0,
        high=100_000,
        unit="counts",
    )
    n_top_genes: int = option(
        2000,
        "Variable genes",
        "How many of the most variable genes are kept.",
        low=2,
        high=50_000,
        unit="genes",
    )
    filter_on_r2: bool = option(
        True,
        "Drop genes without signal",
        "Keep only genes whose unspliced counts follow their spliced counts (R2 and slope of the "
        "steady-state line above 0.01).",
    )
    n_pcs: int = option(
        30,
        "Principal components",
        "Components used to find neighbouring cells.",
        low=2,
        high=200,
        advanced=True,
    )
    n_neighbors: int = option(
        30,
        "Neighbours",
        "Neighbouring cells over which expression is averaged.",
        low=2,
        high=500,
        unit="cells",
        advanced=True,
    )
    neighbor_search: str = option(
        "auto",
        "Search for neighbours",
        "exact compares all pairs of cells, which takes long beyond a hundred thousand; "
        "approximate (pynndescent) may miss a few of them; auto is exact up to 50,000 cells.",
        choices={"auto": "Automatic", "exact": "Exact", "approximate": "Approximate"},
        advanced=True,
    )
    genes_to_keep: tuple[str, ...] = option(
        (),
        "Always keep these genes",
        "Genes kept whatever the filters say, if they have any counts at all.",
        advanced=True,
    )
    compute_umap: bool = option(
        True,
        "Compute UMAP",
        "Add a UMAP when the file brings no two-dimensional embedding.",
        advanced=True,
    )
    seed: int = option(
        0, "Seed of PCA and UMAP", "Fixes PCA and UMAP.", low=0, high=2**31 - 1, advanced=True
    )


@dataclass(frozen=True)
class ModelOptions(Options):
    """Size and shape of the neural networks."""

    group = "Model"

    n_hidden: int = option(
        256, "Hidden units", "Width of the neural networks.", low=4, high=4096, advanced=True
    )
    n_latent: int = option(
        10, "Latent dimensions", "Dimensions of the cell state.", low=1, high=200, advanced=True
    )
    n_layers: int = option(
        1, "Hidden layers", "Depth of the neural networks.", low=1, high=8, advanced=True
    )
    dropout_rate: float = option(
        0.1, "Dropout", "Share of units left out in training.", low=0.0, high=0.9, advanced=True
    )
    gamma_init_data: bool = option(
        False,
        "Start degradation from the data",
        "Start each gene's degradation rate from its unspliced-to-spliced ratio.",
        advanced=True,
    )
    linear_decoder: bool = option(
        False,
        "Linear decoder for time",
        "Makes each latent dimension's effect on gene time readable as a weight.",
        advanced=True,
    )


@dataclass(frozen=True)
class TrainOptions(Options):
    """How the model is fitted."""

    group = "Train"

    preset: str = option(
        "fast",
        "Schedule",
        f"fast: {FAST_EPOCHS} epochs, fewer for more than 20,000 cells, in which the learning "
        "rate rises and falls; a few times quicker, with a fit as good. reference: as scvi-tools "
        "trains, until the held-out cells are not fitted better.",
        choices={"fast": "Fast", "reference": "Reference"},
        captions={
            "fast": f"Up to {FAST_EPOCHS} epochs: a few times quicker, with a fit as good.",
            "reference": "As scvi-tools trains: until held-out cells are not fitted better.",
        },
    )
    max_epochs: int = option(
        500,
        "Maximum epochs",
        f"Passes over the cells at most; the fast schedule takes at most {FAST_EPOCHS}.",
        low=1,
        high=10_000,
        unit="epochs",
        advanced=True,
    )
    early_stopping: bool = option(
        True,
        "Stop early",
        "Reference schedule: stop when the held-out cells have not been fitted better for 45 "
        "epochs.",
        only_with=("preset", "reference"),
        advanced=True,
    )
    lr: float = option(
        0.01,
        "Learning rate",
        "Reference schedule: step size of the optimiser.",
        low=1e-6,
        high=1.0,
        only_with=("preset", "reference"),
        advanced=True,
    )
    weight_decay: float = option(
        0.01,
        "Weight decay",
        "Pulls the networks' weights towards zero.",
        low=0.0,
        high=1.0,
        advanced=True,
    )
    batch_size: int = option(
        256,
        "Batch size",
        "Reference schedule: cells in one step.",
        low=2,
        high=65_536,
        unit="cells",
        only_with=("preset", "reference"),
        advanced=True,
    )
    train_size: float = option(
        0.9,
        "Share of cells to train on",
        "The rest is held out to judge the fit.",
        low=0.1,
        high=1.0,
        advanced=True,
    )
    accelerator: str = option(
        "auto",
        "Hardware",
        "auto takes a graphics card when there is one.",
        choices={
            "auto": "Automatic",
            "cpu": "Processor (CPU)",
            "gpu": "Graphics card (GPU)",
            "mps": "Apple graphics (Metal)",
        },
        group="Machine",
    )
    saved_model: str = option(
        "",
        "Use a trained model",
        "Folder of a saved veloVI model to apply instead of training one. Its genes have to be in "
        "the file, and the cells should be of the same kind. Nothing that the folder brings is "
        "run.",
        advanced=True,
    )
    threads: int = option(
        0,
        "CPU threads (0: all that are free)",
        "0 takes one thread for each core that is free when training begins.",
        low=0,
        high=256,
        group="Machine",
        advanced=True,
    )
    memory_gb: float = option(
        0.0,
        "Memory for matrices (0: half of what is free)",
        "Matrices of cells by genes are kept in memory up to this size together, and in files of "
        "the run beyond it, which is slower. 0 takes half of the memory that is free.",
        low=0.0,
        high=100_000.0,
        unit="GB",
        group="Machine",
        advanced=True,
    )
    seed: int = option(
        0,
        "Seed of training",
        "The same seed gives the same model.",
        low=0,
        high=2**31 - 1,
        advanced=True,
    )

    @property
    def most_epochs(self) -> int:
        """Epochs that training takes at most."""
        return min(FAST_EPOCHS, self.max_epochs) if self.preset == "fast" else self.max_epochs

    def schedule(self, n_cells: int) -> Schedule:
        """The schedule for data of this size."""
        if self.preset == "fast":
            return fast(n_cells, min(fast_epochs(n_cells), self.max_epochs))
        return Schedule(
            self.max_epochs,
            self.lr,
            min(self.batch_size, max(2, n_cells // 2)),
            self.early_stopping,
            one_cycle=False,
            warm_up=REFERENCE_WARM_UP,
        )


@dataclass(frozen=True)
class PosteriorOptions(Options):
    """What is computed from the trained model."""

    group = "Ask the model"

    n_samples: int = option(
        25,
        "Posterior samples",
        "Samples a cell for means and standard deviations.",
        low=2,
        high=1000,
        unit="samples",
    )
    directional_samples: int = option(
        50,
        "Samples for directional uncertainty",
        "Velocity samples a cell for the spread of its direction; 0 leaves it out.",
        low=0,
        high=1000,
        unit="samples",
        advanced=True,
    )
    extrinsic_samples: int = option(
        10,
        "Samples for extrinsic uncertainty",
        "Velocity samples a cell for the spread of where it goes next among the measured cells; "
        "0 leaves it out.",
        low=0,
        high=1000,
        unit="samples",
        advanced=True,
    )
    batch_size: int = option(
        512, "Batch size", "Cells at a time.", low=1, high=65_536, unit="cells", advanced=True
    )
    seed: int = option(
        0, "Seed of the samples", "Fixes the samples.", low=0, high=2**31 - 1, advanced=True
    )


@dataclass(frozen=True)
class DynamicsOptions(Options):
    """Velocity graph, projection and shared time."""

    group = "Map directions"

    recurse_neighbors: int = option(
        2,
        "Neighbourhood depth",
        "1 compares a cell's velocity with its neighbours, 2 with their neighbours as well.",
        low=1,
        high=2,
        advanced=True,
    )
    max_neighbors: int = option(
        0,
        "Neighbours in the velocity graph (0: all)",
        f"Most cells that one cell is compared with; 0 compares with all of its neighbourhood, and "
        f"with {NEIGHBOURS_BEYOND} of it when there are more than {ALL_NEIGHBOURS_UP_TO:,} cells.",
        low=0,
        high=5000,
        unit="cells",
        advanced=True,
    )
    seed: int = option(
        0, "Seed of the graph", "Fixes random choices.", low=0, high=2**31 - 1, advanced=True
    )

    def extrinsic_neighbors(self, n_cells: int) -> int:
        """Most cells to compare one with for extrinsic uncertainty, which keeps all cosines."""
        most = self.most_neighbors(n_cells)
        if n_cells <= EXTRINSIC_NEIGHBOURS_UP_TO:
            return most
        return min(most, NEIGHBOURS_BEYOND) if most else NEIGHBOURS_BEYOND

    def most_neighbors(self, n_cells: int) -> int:
        """:attr:`max_neighbors` for data of this size; 0 for all."""
        if self.max_neighbors or n_cells <= ALL_NEIGHBOURS_UP_TO:
            return self.max_neighbors
        return NEIGHBOURS_BEYOND


@dataclass(frozen=True)
class EvidenceOptions(Options):
    """How far the velocities may be believed."""

    group = "Evidence"

    null_run: bool = option(
        True,
        "Check against a null",
        "Train a second, smaller model on some of the same cells without velocity: their spliced "
        "counts split at random in two. Every number then stands beside what it is without "
        f"velocity. At most {NULL_CELLS:,} cells and fewer epochs.",
    )
    rate_check: bool = option(
        False,
        "Check which rates can be known",
        "Train a second, smaller model on cells simulated from the fit, and see which rates it "
        "finds again. Costs as much as the null. Without it, rates stand as not identified, "
        "which they were on all simulated cells.",
    )
    seed: int = option(
        0,
        "Seed of the null and of halves",
        "Fixes the random choices.",
        low=0,
        high=2**31 - 1,
        advanced=True,
    )


@dataclass(frozen=True)
class RunOptions:
    """The options of all stages of a run."""

    preprocess: PreprocessOptions = field(default_factory=PreprocessOptions)
    model: ModelOptions = field(default_factory=ModelOptions)
    train: TrainOptions = field(default_factory=TrainOptions)
    posterior: PosteriorOptions = field(default_factory=PosteriorOptions)
    dynamics: DynamicsOptions = field(default_factory=DynamicsOptions)
    evidence: EvidenceOptions = field(default_factory=EvidenceOptions)

    @classmethod
    def stages(cls) -> dict[str, type[Options]]:
        """Option class of each stage, in the order in which the stages run."""
        return {
            "preprocess": PreprocessOptions,
            "model": ModelOptions,
            "train": TrainOptions,
            "posterior": PosteriorOptions,
            "dynamics": DynamicsOptions,
            "evidence": EvidenceOptions,
        }

    @classmethod
    def from_dict(cls, values: dict[str, dict[str, Any]]) -> Self:
        """From the ``options`` part of a run's ``spec.json``."""
        unknown = sorted(set(values) - set(cls.stages()))
        if unknown:
            raise OptionError(
                f"there is no stage {', '.join(map(repr, unknown))}",
                where="options",
                expected=", ".join(cls.stages()),
            )
        return cls(
            **{
                name: kind.from_dict(values.get(name, {}))  # type: ignore[arg-type]
                for name, kind in cls.stages().items()
            }
        )

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Plain values, ready for JSON."""
        return {name: getattr(self, name).to_dict() for name in self.stages()}
