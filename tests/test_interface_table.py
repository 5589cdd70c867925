"""Every method with every awkward argument against plain code in double precision."""

from __future__ import annotations

import pytest
from interface_cases import cases
from modelling import scaled_data, trained_model

OWN, OTHER = scaled_data(), scaled_data(n_cells=150, seed=5)
CASES = cases(OWN, OTHER)


@pytest.fixture(scope="module")
def model():
    model = trained_model(scaled_data(), epochs=10)
    model.to_device("cpu")
    return model


@pytest.mark.parametrize("case", CASES, ids=lambda value: f"{value.method}({value.arguments})")
def test_the_call_gives_what_the_equations_say(model, case):
    assert case.check(model)
