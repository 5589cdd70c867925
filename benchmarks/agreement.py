"""Our posterior beside scvi.external.VELOVI's at the same weights and the same random numbers.

``python -m benchmarks.agreement COUNTS.h5ad [--model SAVED_REFERENCE] [--epochs 20]``

Without a saved model the reference is trained for a few epochs first. Prints, for every quantity,
the largest difference relative to its largest value: over all genes, and over those whose splicing
and degradation rates differ by more than 0.05. The reference adds 1e-6 to ``gamma - beta``, which
is an error of 1e-6 / (gamma - beta), and cancels digits where the rates are close; the float64
lines show that nothing else differs.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from anndata import AnnData
from scvi import settings
from scvi.external import VELOVI as Reference

from velovi import VELOVI, preprocess, read
from velovi.config import PreprocessOptions
from velovi.model.selection import DEFAULT_BATCH_SIZE

APART = 0.05
SAMPLES, BATCH = 3, 462  # 462 divides the pancreas' 3,696 cells: ragged batches fail there


def calls(n_cells: int) -> dict[str, object]:
    """What is compared: every posterior method, as samples."""
    few = {"n_samples": SAMPLES, "return_mean": False, "batch_size": BATCH}
    one = {"n_samples": SAMPLES, "return_mean": False, "batch_size": n_cells}
    return {
        "velocity": lambda m: m.get_velocity(**few),
        "velocity, likeliest state": lambda m: m.get_velocity(**few, velo_statistic="max"),
        "velocity, unspliced, no clip": lambda m: m.get_velocity(
            **few, velo_mode="unspliced", clip=False
        ),
        "latent time": lambda m: m.get_latent_time(**few),
        "fit, spliced": lambda m: m.get_expression_fit(**few)[0],
        "fit, unspliced": lambda m: m.get_expression_fit(**few)[1],
        "state probabilities": lambda m: m.get_state_assignment(**one)[0],
        "gene likelihood": lambda m: m.get_gene_likelihood(**one),
        "rates": lambda m: np.concatenate(list(m.get_rates().values())),
        "directional uncertainty": lambda m: m.get_directional_uncertainty(n_samples=SAMPLES)[0],
        "directional cosines": lambda m: m.get_directional_uncertainty(n_samples=SAMPLES)[1],
        "latent representation": lambda m: m.get_latent_representation(batch_size=BATCH),
        "latent representation, sampled": lambda m: m.get_latent_representation(
            batch_size=BATCH, give_mean=False
        ),
        "latent representation, variance": lambda m: m.get_latent_representation(
            batch_size=BATCH, return_dist=True
        )[1],
        "aggregated posterior, centres": lambda m: (
            m.get_aggregated_posterior(batch_size=BATCH).component_distribution.base_dist.loc
        ),
        "evidence lower bound": lambda m: m.get_elbo(batch_size=BATCH, return_mean=False),
        "reconstruction error": lambda m: m.get_reconstruction_error(
            batch_size=BATCH, return_mean=False
        )["reconstruction_loss"],
        "switch time": lambda m: (
            torch.nn.functional.softplus(m.module.switch_time_unconstr).detach().numpy()
        ),
    }


def difference(mine: object, other: object, genes: np.ndarray | None = None) -> float:
    """Largest absolute difference over the largest absolute value, on all or some genes."""
    a, b = np.asarray(mine, dtype=float), np.asarray(other, dtype=float)
    if genes is not None and a.ndim >= 3:
        a, b = (x[:, :, genes] for x in (a, b))
    return float(np.abs(a - b).max() / np.abs(b).max())


def pair_of_models(data: AnnData, model: Path | None, epochs: int) -> tuple[VELOVI, Reference]:
    """The reference, trained or loaded, and ours with its weights."""
    Reference.setup_anndata(data, spliced_layer="Ms", unspliced_layer="Mu")
    if model is None:
        settings.seed = 0
        reference = Reference(data)
        reference.train(max_epochs=epochs, accelerator="cpu", enable_progress_bar=False)
    else:
        reference = Reference.load(str(model), adata=data, accelerator="cpu")
    twin = AnnData(
        obs=data.obs[[]],
        var=data.var[[]],
        layers={name: data.layers[name].copy() for name in ("Ms", "Mu")},
    )
    VELOVI.setup_anndata(twin, spliced_layer="Ms", unspliced_layer="Mu")
    ours = VELOVI(twin)
    ours.module.load_state_dict(reference.module.state_dict())
    ours.module.eval()
    ours.module.compiled_draws = False  # torch's draws, which are the reference's
    ours.is_trained = True
    return ours, reference


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("counts", type=Path)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--epochs", type=int, default=20)
    given = parser.parse_args()
    data = preprocess(read(given.counts), PreprocessOptions(compute_umap=False)).adata
    settings.batch_size = DEFAULT_BATCH_SIZE  # for the methods that take none
    ours, reference = pair_of_models(data, given.model, given.epochs)
    rates = reference.get_rates()
    apart = np.abs(rates["gamma"] - rates["beta"]) > APART
    print(f"{'':32s} all {len(apart)} genes   {apart.sum()} genes")
    for name, call in calls(data.n_obs).items():
        settings.seed = 7
        other = call(reference)
        settings.seed = 7
        # the reference's data loader takes one number from the generator first
        torch.empty((), dtype=torch.int64).random_()
        mine = call(ours)
        print(f"{name:32s} {difference(mine, other):13.1e} {difference(mine, other, apart):11.1e}")
    _float64(ours, reference)


def _float64(ours: VELOVI, reference: Reference) -> None:
    tensors = {
        key: torch.from_numpy(np.asarray(ours.adata.layers[name][:500], dtype=np.float64))
        for key, name in (("X", "Ms"), ("U", "Mu"))
    }

    def loss(model: VELOVI | Reference) -> np.ndarray:
        torch.manual_seed(3)
        with torch.no_grad():
            found = model.module.double().eval()(tensors)[2]
        return found.reconstruction_loss["reconstruction_loss"].numpy()

    print(f"{'loss, float64':32s} {difference(loss(ours), loss(reference)):13.1e}")
    kind = type(reference.module)
    for name in ("_get_induction_unspliced_spliced", "_get_repression_unspliced_spliced"):
        getattr(kind, name).__defaults__ = (0.0,)
    print(f"{'the same without the 1e-6':32s} {difference(loss(ours), loss(reference)):13.1e}")


if __name__ == "__main__":
    main()
