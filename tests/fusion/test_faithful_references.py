"""The faithful forms of systems B and C still have the outputs that were equal to those of the originals."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from faithful_references import FORMS, numbers, read, run  # noqa: E402


@pytest.mark.parametrize("name", FORMS)
def test_stored_outputs(name):
    fusion, inputs, outputs = read(name)
    found = numbers(run(fusion, inputs))
    assert found.keys() == outputs.keys()
    for key, value in outputs.items():
        np.testing.assert_allclose(found[key], value, rtol=1e-9, atol=1e-12, err_msg=key)


@pytest.mark.parametrize("name", FORMS)
def test_every_weight_matters_to_what_is_stored(name):
    """Otherwise an archive would not test it. The keys' bias shifts all scores of a query alike."""
    fusion, inputs, _ = read(name)
    torch.manual_seed(0)
    sum((value * torch.randn_like(value)).sum() for value in run(fusion, inputs).values()).backward()
    for key, parameter in fusion.named_parameters():
        assert (parameter.grad.abs().max() > 1e-9) != key.endswith("attention.key.bias"), key
