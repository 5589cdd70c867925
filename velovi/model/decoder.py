"""The decoder: from a cell's state to the times and state probabilities of its genes.

Names and shapes of parameters are those of ``scvi.external.VELOVI``'s decoder.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from scvi.nn import FCLayers
from torch import Tensor, nn


class DecoderVELOVI(nn.Module):
    """From the cell state to each gene's state probabilities and times.

    Parameters
    ----------
    n_input
        Latent dimensions.
    n_output
        Genes.
    n_layers, n_hidden
        Depth and width of the networks.
    use_batch_norm, use_layer_norm
        Normalisation in the hidden layers.
    linear_decoder
        Make the logit of induction time a linear function of the cell state.
    """

    def __init__(
        self,
        n_input: int,
        n_output: int,
        n_layers: int = 1,
        n_hidden: int = 128,
        use_batch_norm: bool = True,
        use_layer_norm: bool = False,
        linear_decoder: bool = False,
    ) -> None:
        super().__init__()
        self.n_output = n_output
        self.linear_decoder = linear_decoder
        shared: dict[str, Any] = {
            "n_in": n_input,
            "n_hidden": n_hidden,
            "dropout_rate": 0.0,
            "use_batch_norm": use_batch_norm,
            "activation_fn": nn.ReLU,
        }
        self.rho_first_decoder = FCLayers(
            n_out=n_output if linear_decoder else n_hidden,
            n_layers=1 if linear_decoder else n_layers,
            use_layer_norm=use_layer_norm and not linear_decoder,
            use_activation=not linear_decoder,
            bias=not linear_decoder,
            **shared,
        )
        self.pi_first_decoder = FCLayers(
            n_out=n_hidden, n_layers=n_layers, use_layer_norm=use_layer_norm, **shared
        )
        self.px_pi_decoder = nn.Linear(n_hidden, 4 * n_output)
        self.px_rho_decoder = nn.Sequential(nn.Linear(n_hidden, n_output), nn.Sigmoid())
        self.px_tau_decoder = nn.Sequential(nn.Linear(n_hidden, n_output), nn.Sigmoid())
        self.linear_scaling_tau = nn.Parameter(torch.zeros(n_output))
        self.linear_scaling_tau_intercept = nn.Parameter(torch.zeros(n_output))

    def forward(self, z: Tensor, latent_dim: int | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Decode cell states.

        Parameters
        ----------
        z
            Cell states ``(cells, latent)``.
        latent_dim
            Use only this latent dimension for the times.

        Returns
        -------
        tuple of Tensor
            Dirichlet concentrations ``(cells, genes, 4)``, induction time and repression time as
            shares of their intervals, both ``(cells, genes)`` in (0, 1).
        """
        rho, tau = self.times(z, latent_dim)
        logits = self.px_pi_decoder(self.pi_first_decoder(z))
        return F.softplus(logits.view(z.shape[0], self.n_output, 4)), rho, tau

    def hidden_of_times(self, z: Tensor, latent_dim: int | None = None) -> Tensor:
        """What the times are worked out from, ``(cells, hidden)``."""
        if latent_dim is None:
            return self.rho_first_decoder(z)
        mask = torch.zeros_like(z)
        mask[..., latent_dim] = 1
        return self.rho_first_decoder(z * mask)

    def times(self, z: Tensor, latent_dim: int | None = None) -> tuple[Tensor, Tensor]:
        """Induction and repression time, as :meth:`forward` gives them."""
        hidden = self.hidden_of_times(z, latent_dim)
        if not self.linear_decoder:
            return self.px_rho_decoder(hidden), self.px_tau_decoder(hidden)
        rho = torch.sigmoid(hidden)
        scale = self.linear_scaling_tau.exp()
        return rho, 1 - torch.sigmoid(hidden * scale + self.linear_scaling_tau_intercept)
