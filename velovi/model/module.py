"""The variational auto-encoder of veloVI.

Parameters, buffers and their shapes carry the names of ``scvi.external.VELOVI``'s module, so that
saved models go both ways. Source of the equations: Gayoso, Weiler et al., Nature Methods 2024,
doi 10.1038/s41592-023-01994-w.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from scvi.module._constants import MODULE_KEYS
from scvi.module.base import BaseModuleClass, LossOutput, auto_move_data
from scvi.nn import Encoder
from torch import Tensor, nn

from velovi.errors import OptionError, check_choice
from velovi.model import dirichlet, kinetics
from velovi.model.compiled import loss
from velovi.model.compiled.loss import DataTerms, GeneInputs
from velovi.model.decoder import DecoderVELOVI
from velovi.model.kinetics import Abundance, Rates

SPLICED_KEY, UNSPLICED_KEY = "X", "U"
STATES = ("induction", "induction_steady", "repression", "repression_steady")
MAX_RATE = 50.0
# in the repression steady state nothing is expressed, so the noise is a tenth of elsewhere
_REST_NOISE = 0.1

Where = Literal["encoder", "decoder", "none", "both"]


class StateMeans(NamedTuple):
    """Mean abundance in the three states that are not empty.

    Induction and repression are ``(cells, genes)``; the steady state is ``(genes,)``.
    """

    induction: Abundance
    steady: Abundance
    repression: Abundance


class VELOVAE(BaseModuleClass):
    """Variational auto-encoder over spliced and unspliced abundance.

    Parameters
    ----------
    n_input
        Genes.
    true_time_switch
        Known switch times ``(genes,)``, kept with the model and otherwise unused.
    n_hidden, n_latent, n_layers, dropout_rate
        Size of the networks; dropout acts in the encoder.
    log_variational
        Encode ``log(0.01 + x)`` instead of ``x``.
    latent_distribution
        ``"normal"``, or ``"ln"`` for a logistic normal.
    use_batch_norm, use_layer_norm
        Where to normalise hidden layers.
    use_observed_lib_size
        Kept for compatibility; the model has no library size.
    var_activation
        Makes the encoder's variance positive; ``None`` takes the exponential.
    model_steady_states
        Kept for compatibility; both steady states are always modelled.
    gamma_unconstr_init, alpha_unconstr_init, alpha_1_unconstr_init, lambda_alpha_unconstr_init
        Starting values before softplus, each ``(genes,)``.
    switch_spliced, switch_unspliced
        Abundance near the switch, to which the penalty pulls the fit, each ``(genes,)``.
    t_max
        End of the time axis.
    penalty_scale
        Weight of that penalty.
    dirichlet_concentration
        Prior concentration of the state probabilities.
    linear_decoder
        See :class:`~velovi.model.decoder.DecoderVELOVI`.
    time_dep_transcription_rate
        Let transcription approach ``alpha_1`` at rate ``lambda_alpha``.
    """

    # Where they can, one compiled pass evaluates the loss, and a compiled sampler draws the state
    # probabilities. Without the second, draws are torch's: the reference's, number by number.
    fused: bool = True
    compiled_draws: bool = True

    def __init__(
        self,
        n_input: int,
        true_time_switch: np.ndarray | None = None,
        n_hidden: int = 128,
        n_latent: int = 10,
        n_layers: int = 1,
        dropout_rate: float = 0.1,
        log_variational: bool = False,
        latent_distribution: str = "normal",
        use_batch_norm: Where = "both",
        use_layer_norm: Where = "both",
        use_observed_lib_size: bool = True,
        var_activation: Callable[[Tensor], Tensor] | None = nn.Softplus(),  # noqa: B008
        model_steady_states: bool = True,
        gamma_unconstr_init: np.ndarray | None = None,
        alpha_unconstr_init: np.ndarray | None = None,
        alpha_1_unconstr_init: np.ndarray | None = None,
        lambda_alpha_unconstr_init: np.ndarray | None = None,
        switch_spliced: np.ndarray | None = None,
        switch_unspliced: np.ndarray | None = None,
        t_max: float = 20,
        penalty_scale: float = 0.2,
        dirichlet_concentration: float = 0.25,
        linear_decoder: bool = False,
        time_dep_transcription_rate: bool = False,
    ) -> None:
        super().__init__()
        _check_choices(latent_distribution, use_batch_norm, use_layer_norm)
        self.n_latent = n_latent
        self.log_variational = log_variational
        self.latent_distribution = latent_distribution
        self.use_observed_lib_size = use_observed_lib_size
        self.n_input = n_input
        self.model_steady_states = model_steady_states
        self.t_max = t_max
        self.penalty_scale = penalty_scale
        self.dirichlet_concentration = dirichlet_concentration
        self.time_dep_transcription_rate = time_dep_transcription_rate
        self.use_batch_norm_decoder = use_batch_norm in ("decoder", "both")

        self._register_known("switch_spliced", switch_spliced)
        self._register_known("switch_unspliced", switch_unspliced)
        # the order of random draws below is the reference's: one seed, one set of weights
        self.switch_time_unconstr = nn.Parameter(7 + 0.5 * torch.randn(n_input))
        self._register_known("true_time_switch", true_time_switch)
        self.gamma_mean_unconstr = _parameter(gamma_unconstr_init, -1.0, n_input)
        self.beta_mean_unconstr = _parameter(None, 0.5, n_input)
        self.alpha_unconstr = _parameter(alpha_unconstr_init, 0.0, n_input)
        self.alpha_1_unconstr = _parameter(alpha_1_unconstr_init, 0.0, n_input)
        self.lambda_alpha_unconstr = _parameter(lambda_alpha_unconstr_init, 0.0, n_input)
        self.alpha_1_unconstr.requires_grad = time_dep_transcription_rate
        self.lambda_alpha_unconstr.requires_grad = time_dep_transcription_rate
        # four columns for compatibility; the first is the variance of all states
        self.scale_unconstr = nn.Parameter(-1 * torch.ones(2 * n_input, 4))

        self.z_encoder = Encoder(
            2 * n_input,
            n_latent,
            n_layers=n_layers,
            n_hidden=n_hidden,
            dropout_rate=dropout_rate,
            distribution=latent_distribution,
            use_batch_norm=use_batch_norm in ("encoder", "both"),
            use_layer_norm=use_layer_norm in ("encoder", "both"),
            var_activation=copy.deepcopy(var_activation),  # the default would be shared
            activation_fn=nn.ReLU,
        )
        self.decoder = DecoderVELOVI(
            n_latent,
            n_input,
            n_layers=n_layers,
            n_hidden=n_hidden,
            use_batch_norm=self.use_batch_norm_decoder,
            use_layer_norm=use_layer_norm in ("decoder", "both"),
            linear_decoder=linear_decoder,
        )

    def _register_known(self, name: str, values: np.ndarray | None) -> None:
        if values is None:
            setattr(self, name, None)
        else:
            self.register_buffer(name, torch.from_numpy(np.asarray(values, dtype=np.float32)))

    # what the model knows of every gene

    def get_rates(self) -> Rates:
        """Positive, bounded rates of every gene."""
        alpha_1: Tensor = self.alpha_1_unconstr
        lambda_alpha: Tensor = self.lambda_alpha_unconstr
        if self.time_dep_transcription_rate:
            alpha_1, lambda_alpha = _bounded(alpha_1), _bounded(lambda_alpha)
        return Rates(
            alpha=_bounded(self.alpha_unconstr),
            beta=_bounded(self.beta_mean_unconstr),
            gamma=_bounded(self.gamma_mean_unconstr),
            alpha_1=alpha_1,
            lambda_alpha=lambda_alpha,
            time_dependent=self.time_dep_transcription_rate,
        )

    def get_switch_time(self) -> Tensor:
        """Time at which transcription stops, ``(genes,)``, within the time axis."""
        return F.softplus(self.switch_time_unconstr).clamp(0, self.t_max)

    def get_noise(self) -> tuple[Tensor, Tensor]:
        """Standard deviations of unspliced and spliced abundance, each ``(genes,)``."""
        deviation = F.softplus(self.scale_unconstr[:, 0]).sqrt()
        return deviation[: self.n_input], deviation[self.n_input :]

    def get_state_means(self, rates: Rates, rho: Tensor, tau: Tensor) -> StateMeans:
        """Mean abundance in each state at the decoded times ``(cells, genes)``."""
        switch = self.get_switch_time()
        return StateMeans(
            kinetics.induction(rates, switch * rho),
            kinetics.steady_state(rates),
            kinetics.repression(
                rates, kinetics.induction(rates, switch), (self.t_max - switch) * tau
            ),
        )

    def state_log_densities(
        self, spliced: Tensor, unspliced: Tensor, means: StateMeans
    ) -> tuple[Tensor, Tensor]:
        """Log-density of spliced and of unspliced abundance in each state.

        Returns
        -------
        tuple of Tensor
            ``(4, cells, genes)`` each.
        """
        noise_unspliced, noise_spliced = self.get_noise()
        return (
            _normals(spliced, [state.spliced for state in means], noise_spliced),
            _normals(unspliced, [state.unspliced for state in means], noise_unspliced),
        )

    def log_likelihood(
        self, spliced: Tensor, unspliced: Tensor, means: StateMeans, states: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Log-density of spliced and of unspliced abundance, each ``(cells, genes)``.

        Each is a mixture of four normal distributions weighted by ``states``
        ``(cells, genes, 4)``.
        """
        # as torch's own distributions do before they take a logarithm
        smallest = torch.finfo(states.dtype).eps
        logits = states.clamp(smallest, 1 - smallest).log()
        weights = torch.log_softmax(logits, dim=-1).movedim(-1, 0)  # (4, cells, genes)
        in_spliced, in_unspliced = self.state_log_densities(spliced, unspliced, means)
        return (
            torch.logsumexp(weights + in_spliced, dim=0),
            torch.logsumexp(weights + in_unspliced, dim=0),
        )

    def end_penalty(self, rates: Rates) -> Tensor:
        """Squared distance of the fit at the switch from the data's upper end."""
        if self.switch_spliced is None or self.switch_unspliced is None:
            return torch.zeros((), device=rates.alpha.device)
        at_switch = kinetics.induction(rates, self.get_switch_time())
        return ((at_switch.unspliced - self.switch_unspliced) ** 2).sum() + (
            (at_switch.spliced - self.switch_spliced) ** 2
        ).sum()

    # the steps that scvi-tools' training calls

    def _get_inference_input(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"spliced": tensors[SPLICED_KEY], "unspliced": tensors[UNSPLICED_KEY]}

    def _get_generative_input(
        self, tensors: dict[str, Tensor], inference_outputs: dict[str, Any]
    ) -> dict[str, Any]:
        return {"z": inference_outputs[MODULE_KEYS.Z_KEY]}

    @auto_move_data
    def inference(
        self, spliced: Tensor, unspliced: Tensor, n_samples: int = 1
    ) -> dict[str, Tensor]:
        """Encode abundance ``(cells, genes)`` into the cell state's mean, variance and a draw.

        With ``n_samples > 1`` all three have a leading axis of that length.
        """
        if self.log_variational:
            spliced, unspliced = torch.log(0.01 + spliced), torch.log(0.01 + unspliced)
        mean, variance, z = self.z_encoder(torch.cat((spliced, unspliced), dim=-1))
        if n_samples > 1:
            mean = mean.expand(n_samples, *mean.shape)
            variance = variance.expand(n_samples, *variance.shape)
            z = self.draw_cell_state(mean, variance)
        return {
            MODULE_KEYS.Z_KEY: z,
            MODULE_KEYS.QZM_KEY: mean,
            MODULE_KEYS.QZV_KEY: variance,
        }

    def draw_cell_state(self, mean: Tensor, variance: Tensor) -> Tensor:
        """One draw of the cell state for each mean and variance."""
        return self.z_encoder.z_transformation(mean + variance.sqrt() * torch.randn_like(mean))

    @auto_move_data
    def generative(self, z: Tensor, latent_dim: int | None = None) -> dict[str, Any]:
        """Decode cell states ``(cells, latent)`` and draw state probabilities."""
        concentration, rho, tau = self.decoder(z, latent_dim=latent_dim)
        rates = self.get_rates()
        return {
            "px_pi": dirichlet.sample(concentration, compiled=self.compiled_draws),
            "px_pi_alpha": concentration,
            "px_rho": rho,
            "px_tau": tau,
            "rates": rates,
            "end_penalty": self.end_penalty(rates),
        }

    def loss(
        self,
        tensors: dict[str, Tensor],
        inference_outputs: dict[str, Tensor],
        generative_outputs: dict[str, Any],
        kl_weight: float = 1.0,
        n_obs: float = 1.0,
    ) -> LossOutput:
        """Negative evidence lower bound of a minibatch, and the penalty at the switch."""
        mean = inference_outputs[MODULE_KEYS.QZM_KEY]
        variance = inference_outputs[MODULE_KEYS.QZV_KEY]
        divergence_z = 0.5 * (variance + mean**2 - 1 - variance.log()).sum(dim=-1)
        terms = self._data_terms(
            tensors[SPLICED_KEY],
            tensors[UNSPLICED_KEY],
            concentration=generative_outputs["px_pi_alpha"],
            states=generative_outputs["px_pi"],
            rho=generative_outputs["px_rho"],
            tau=generative_outputs["px_tau"],
            rates=generative_outputs["rates"],
        )
        penalty = self.penalty_scale * (1 - kl_weight) * generative_outputs["end_penalty"]
        return LossOutput(
            loss=terms.mean + kl_weight * divergence_z.mean() + penalty,
            reconstruction_loss=terms.reconstruction,
            kl_local=divergence_z + terms.divergence,
        )

    def _data_terms(
        self,
        spliced: Tensor,
        unspliced: Tensor,
        *,
        concentration: Tensor,
        states: Tensor,
        rho: Tensor,
        tau: Tensor,
        rates: Rates,
    ) -> DataTerms:
        """What the loss has for every cell and gene, by the fused pass where that is possible."""
        covered = loss.covers(concentration, rho, tau, spliced, unspliced)
        if self.fused and covered and not rates.time_dependent:
            return loss.data_terms(
                spliced,
                unspliced,
                concentration,
                states,
                rho,
                tau,
                self.gene_inputs(rates),
                t_max=self.t_max,
                prior=self.dirichlet_concentration,
            )
        log_spliced, log_unspliced = self.log_likelihood(
            spliced, unspliced, self.get_state_means(rates, rho, tau), states
        )
        reconstruction = -(log_spliced + log_unspliced).sum(dim=-1)
        divergence = dirichlet.divergence_from_symmetric(
            concentration, self.dirichlet_concentration
        ).sum(dim=-1)
        return DataTerms((reconstruction + divergence).mean(), reconstruction, divergence)

    def gene_inputs(self, rates: Rates) -> GeneInputs:
        """What compiled loops need of every gene."""
        switch_time = self.get_switch_time()
        at_switch = kinetics.induction(rates, switch_time)
        steady = kinetics.steady_state(rates)
        return GeneInputs(
            rates.alpha,
            rates.beta,
            rates.gamma,
            switch_time,
            steady.unspliced,
            steady.spliced,
            at_switch.unspliced,
            at_switch.spliced,
            *self.get_noise(),
        )

    @torch.no_grad()
    def get_loadings(self) -> np.ndarray:
        """Effect of each latent dimension on each gene's induction time, ``(genes, latent)``.

        Raises
        ------
        OptionError
            When the model was not made with ``linear_decoder=True``.
        """
        if not self.decoder.linear_decoder:
            raise OptionError(
                "loadings exist only for a linear decoder",
                where="linear_decoder",
                expected="a model made with linear_decoder=True",
                found="a model made without",
                remedy="Make and train such a model",
            )
        layer = self.decoder.rho_first_decoder.fc_layers[0]
        loadings = layer[0].weight
        if self.use_batch_norm_decoder:
            norm = layer[1]
            loadings = (norm.weight / (norm.running_var + norm.eps).sqrt())[:, None] * loadings
        return loadings.cpu().numpy()


def _normals(x: Tensor, means: list[Tensor], noise: Tensor) -> Tensor:
    """Log-densities of three normals at ``means`` and of one, narrower, at zero."""
    terms = [-0.5 * ((x - mean) / noise) ** 2 for mean in means]
    terms.append(-0.5 * (x / (_REST_NOISE * noise)) ** 2 - math.log(_REST_NOISE))
    return torch.stack(terms) - noise.log() - 0.5 * math.log(2 * math.pi)


def _bounded(unconstrained: Tensor) -> Tensor:
    return F.softplus(unconstrained).clamp(0, MAX_RATE)


def _parameter(start: np.ndarray | None, default: float, n_genes: int) -> nn.Parameter:
    if start is None:
        return nn.Parameter(torch.full((n_genes,), default))
    return nn.Parameter(torch.from_numpy(np.asarray(start, dtype=np.float32).copy()))


def _check_choices(latent_distribution: str, batch_norm: str, layer_norm: str) -> None:
    places = ("encoder", "decoder", "none", "both")
    for name, value, choices in (
        ("latent_distribution", latent_distribution, ("normal", "ln")),
        ("use_batch_norm", batch_norm, places),
        ("use_layer_norm", layer_norm, places),
    ):
        check_choice(name, value, choices)
