from __future__ import annotations

import dataclasses
import math

import pytest

from twofold.config import Config
from twofold.config_limits import LIMITS, NAMES, SUMS, Limit, check_limits, numbers
from twofold.errors import ConfigError


def changed(key: str, value: float | str) -> Config:
    return with_value(Config(), key.split("."), value)


def with_value(table, path, value):
    inner = with_value(getattr(table, path[0]), path[1:], value) if path[1:] else value
    return dataclasses.replace(table, **{path[0]: inner})


def test_every_number_has_a_range_that_holds_its_default():
    assert {key for key, _ in numbers(Config())} == set(LIMITS)
    check_limits(Config())


@pytest.mark.parametrize("key", LIMITS)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -1, -1e-9])
def test_no_number_may_be_negative_infinite_or_nan(key, value):
    with pytest.raises(ConfigError, match=key):
        check_limits(changed(key, value))


def test_the_message_has_its_four_parts():
    with pytest.raises(ConfigError) as caught:
        check_limits(changed("training.head_lr", math.nan), "my.toml")
    assert str(caught.value) == (
        "my.toml: training.head_lr is nan; expected a number at least 0 and at most 1; "
        "change it in the configuration, or with --head-lr"
    )


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("training.epochs", 0),
        ("training.max_grad_norm", 0),
        ("training.ema_decay", 1),
        ("model.max_crops", 0),
    ],
)
def test_bounds_that_are_excluded(key, value):
    with pytest.raises(ConfigError, match=key):
        check_limits(changed(key, value))


@pytest.mark.parametrize("keys", SUMS)
def test_probabilities_that_exclude_each_other_sum_to_at_most_1(keys):
    config = Config()
    for key in keys:
        config = with_value(config, key.split("."), 1 / len(keys))
    check_limits(config)
    with pytest.raises(ConfigError, match=rf"{keys[0]} \+ .*; expected a sum of at most 1"):
        check_limits(with_value(config, keys[0].split("."), 1 / len(keys) + 0.1))


@pytest.mark.parametrize(
    ("key", "advice"),
    [
        ("model.relations.imbalance_strength", "or with --relation-imbalance-strength"),
        ("training.augmentation.typos", "change it in the configuration$"),
    ],
)
def test_the_advice_names_an_option_that_exists(key, advice):
    with pytest.raises(ConfigError, match=advice):
        check_limits(changed(key, 2))


def test_limits_in_words():
    assert str(Limit(0, open="low")) == "a number above 0"
    assert str(Limit(0, 1, open="high")) == "a number at least 0 and below 1"


@pytest.mark.parametrize("key", NAMES)
def test_only_known_names(key):
    """An unknown precision would silently be treated as another one."""
    for known in NAMES[key]:
        check_limits(changed(key, known))
    with pytest.raises(ConfigError, match=f"{key} is '3bit'; expected one of {NAMES[key][0]}, "):
        check_limits(changed(key, "3bit"))


def test_a_device_may_have_a_number():
    check_limits(changed("training.device", "cuda:1"))
