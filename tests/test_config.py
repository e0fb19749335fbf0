"""Configurations: what is written is read back, and mistakes are told so that they can be mended."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twofold.config import (
    BottleneckConfig,
    Config,
    DataConfig,
    EvidentialConfig,
    ModelConfig,
    MultigranularConfig,
    RelationsConfig,
    TrainingConfig,
    from_mapping,
    read_config,
    resolve,
    to_toml,
    tomllib,
)
from twofold.errors import ConfigError

CONFIGS = Path(__file__).parents[1] / "configs"


def _write(folder: Path, text: str) -> Path:
    path = folder / "c.toml"
    path.write_text(text, encoding="utf-8", newline="\n")
    return path


def _error(folder: Path, text: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        read_config(_write(folder, text))
    return caught.value


def test_an_empty_file_gives_the_defaults(tmp_path):
    assert read_config(_write(tmp_path, "")) == Config()


def test_what_is_written_is_read_back(tmp_path):
    config = Config(
        DataConfig(("a/train.txt", "ü b.jsonl"), ("dev.txt",), "pictures", "alt.tsv"),
        ModelConfig(name='with "quotes" and \\', sources=(), evidential=EvidentialConfig(weight=2.5)),
        TrainingConfig(epochs=3, encoder_lr=1e-05, seed=7),
    )
    written = _write(tmp_path, to_toml(config))
    assert read_config(written) == resolve(config, tmp_path)
    assert read_config(written).model == config.model


# Half surrogate pairs cannot stand in TOML; see the test below for what lies beyond.
_text = st.text(st.characters(exclude_categories=["Cs"], max_codepoint=0xFFFF), max_size=20)
_floats = st.floats(allow_nan=False, allow_infinity=False)


@given(
    data=st.builds(DataConfig, train=st.lists(_text).map(tuple), images=_text),
    model=st.builds(
        ModelConfig,
        name=_text,
        sources=st.lists(_text).map(tuple),
        evidential=st.builds(EvidentialConfig, weight=_floats),
    ),
    training=st.builds(TrainingConfig, epochs=st.integers(0, 10**9), encoder_lr=_floats, device=_text),
)
def test_writing_loses_nothing(data, model, training):
    config = Config(data, model, training)
    assert from_mapping(tomllib.loads(to_toml(config)), "memory") == config


def test_writing_keeps_characters_beyond_the_first_plane():
    config = Config(DataConfig(images="\N{CAMERA WITH FLASH}"))
    assert from_mapping(tomllib.loads(to_toml(config)), "memory") == config


def test_every_field_is_written():
    raw = tomllib.loads(to_toml(Config()))
    for section in dataclasses.fields(Config):
        names = {field.name for field in dataclasses.fields(getattr(Config(), section.name))}
        assert set(raw[section.name]) == names


def test_data_paths_are_relative_to_the_file_and_empty_ones_stay_empty(tmp_path):
    (tmp_path / "sub").mkdir()
    text = '[data]\ntrain = ["a.txt", "../b.txt"]\nimages = "pictures"\n'
    data = read_config(_write(tmp_path / "sub", text)).data
    assert data.train == (str(tmp_path / "sub" / "a.txt"), str(tmp_path / "sub" / "../b.txt"))
    assert data.images == str(tmp_path / "sub" / "pictures")
    assert data.alt_text == ""


def test_an_absolute_data_path_stays_as_it_is(tmp_path):
    place = (tmp_path / "x.txt").as_posix()
    assert read_config(_write(tmp_path, f'[data]\ntrain = ["{place}"]\n')).data.train == (place,)


@pytest.mark.parametrize(("given", "found"), [("encoder", "encoder"), ("none", "none"), ("v.txt", None)])
def test_the_path_of_word_vectors_is_relative_to_the_file_and_names_of_no_file_stay(tmp_path, given, found):
    text = f"[model.multigranular]\naugmentation = '{given}'\n"
    augmentation = read_config(_write(tmp_path, text)).model.multigranular.augmentation
    assert augmentation == (found or str(tmp_path / given))


def test_paths_are_untouched_where_plain_data_comes():
    assert from_mapping({"data": {"images": "pictures"}}, "somewhere").data.images == "pictures"


@pytest.mark.parametrize(
    ("text", "key", "nearest"),
    [
        ("[training]\nepoch = 3\n", "epoch", "'epochs', perhaps"),
        ("[model]\nfussion = 'evidential'\n", "fussion", "'fusion', perhaps"),
        ("[trainig]\nepochs = 3\n", "trainig", "'training', perhaps"),
        ("[model]\nzzz = 1\n", "zzz", "one of name, task, text, image"),
    ],
)
def test_an_unknown_key_names_the_nearest(tmp_path, text, key, nearest):
    error = _error(tmp_path, text)
    assert f"unknown key {key!r}" in error.what
    assert error.expected.startswith(nearest)
    assert "c.toml" in error.where


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[training]\nepochs = '3'\n", "a value of type int"),
        ("[training]\nepochs = 3.5\n", "a value of type int"),
        ("[training]\nepochs = true\n", "a value of type int"),
        ("[training]\nwarmup = '0.1'\n", "a value of type float"),
        ("[training]\nwarmup = true\n", "a value of type float"),
        ("[model]\nname = 3\n", "a value of type str"),
        ("[data]\ntrain = 3\n", "a list of strings"),
        ("[data]\ntrain = ['a', 3]\n", "a list of strings"),
        ("model = 'minilm'\n", "a table"),
    ],
)
def test_a_value_of_the_wrong_type_says_what_was_expected(tmp_path, text, expected):
    error = _error(tmp_path, text)
    assert error.expected == expected
    assert "came" in error.what


def test_the_message_says_file_section_and_key(tmp_path):
    where = _error(tmp_path, "[training]\nepochs = 'x'\n").where
    assert "c.toml" in where
    assert where.endswith("[training]: epochs")


def test_a_whole_number_passes_for_a_fraction_and_one_string_for_a_list(tmp_path):
    config = read_config(_write(tmp_path, "[training]\naverage = 0\n[model]\nsources = 'picture'\n"))
    assert config.training.average == 0.0
    assert isinstance(config.training.average, float)
    assert config.model.sources == ("picture",)


@pytest.mark.parametrize(("tagger", "expected"), [("default", "default"), ("", ""), ("t", "here/t")])
def test_a_tagger_is_found_beside_the_file(tagger, expected):
    config = Config(model=ModelConfig(relations=RelationsConfig(tagger=tagger)))
    assert resolve(config, Path("here")).model.relations.tagger == str(Path(expected) if expected else "")


@pytest.mark.parametrize("content", [b"[data\n", b"epochs == 3", b"name = '\xff'"])
def test_not_toml(tmp_path, content):
    path = tmp_path / "c.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="not TOML"):
        read_config(path)


def test_no_such_file(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.toml: cannot read it"):
        read_config(tmp_path / "none.toml")


@pytest.mark.parametrize("path", sorted(CONFIGS.rglob("*.toml")), ids=lambda path: path.stem)
def test_shipped_configurations_are_valid_and_name_their_data(path):
    config = read_config(path)
    assert config.data.train
    assert config.data.dev
    assert not any(
        Path(name).is_absolute() for name in tomllib.loads(path.read_text("utf-8"))["data"]["train"]
    )


def test_the_documentation_names_every_key():
    page = (CONFIGS.parent / "docs" / "training.md").read_text("utf-8")
    names = {
        field.name
        for kind in (
            DataConfig,
            ModelConfig,
            EvidentialConfig,
            BottleneckConfig,
            MultigranularConfig,
            RelationsConfig,
            TrainingConfig,
        )
        for field in dataclasses.fields(kind)
        if not dataclasses.is_dataclass(field.default_factory)
    }
    assert [name for name in sorted(names) if f"| `{name}` |" not in page] == []
