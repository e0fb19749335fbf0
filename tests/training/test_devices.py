from __future__ import annotations

import pytest

from twofold.config import TrainingConfig
from twofold.errors import ConfigError
from twofold.training.loop import choose_device


@pytest.mark.parametrize("device", ["cuda:70", "cuda:x"])
def test_a_device_that_is_not_there_is_an_error(device):
    with pytest.raises(ConfigError, match=f"device is '{device}'"):
        choose_device(TrainingConfig(device=device))
