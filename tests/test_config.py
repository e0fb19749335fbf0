"""Configurations: writing and reading them back, and error messages that help to correct mistakes."""

from __future__ import annotations

import dataclasses
import functools
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twofold.config import (
    RENAMED_KEYS,
    AugmentationConfig,
    BottleneckConfig,
    Config,
    CorpusConfig,
    DataConfig,
    DirichletConfig,
    EvidentialConfig,
    ModelConfig,
    MultigranularConfig,
    RelationsConfig,
    TrainingConfig,
    WordsConfig,
    from_mapping,
    read_config,
    to_toml,
    tomllib,
)
from twofold.errors import ConfigError

CLASSES = (
    DataConfig,
    CorpusConfig,
    ModelConfig,
    EvidentialConfig,
    BottleneckConfig,
    MultigranularConfig,
    DirichletConfig,
    RelationsConfig,
    WordsConfig,
    TrainingConfig,
    AugmentationConfig,
)
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


def test_a_written_configuration_is_read_back(tmp_path):
    config = Config(
        DataConfig(("a/train.txt", "ü b.jsonl"), ("dev.txt",), "pictures", "alt.tsv"),
        ModelConfig(name='with "quotes" and \\', modalities=(), evidential=EvidentialConfig(loss_weight=2.5)),
        TrainingConfig(epochs=3, encoder_lr=1e-05, seed=7),
    )
    written = _write(tmp_path, to_toml(config))
    found = read_config(written)
    assert (found.model, found.training) == (config.model, config.training)
    assert found.data.train == (str(tmp_path / "a/train.txt"), str(tmp_path / "ü b.jsonl"))


# TOML cannot hold lone surrogates; the test below has characters beyond the first plane.
_text = st.text(st.characters(exclude_categories=["Cs"], max_codepoint=0xFFFF), max_size=20)
_floats = st.floats(allow_nan=False, allow_infinity=False)


@given(
    data=st.builds(DataConfig, train=st.lists(_text).map(tuple), images=_text),
    model=st.builds(
        ModelConfig,
        name=_text,
        modalities=st.lists(_text).map(tuple),
        evidential=st.builds(EvidentialConfig, loss_weight=_floats),
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
def test_the_path_of_word_vectors_is_relative_to_the_file_and_built_in_names_stay(tmp_path, given, found):
    text = f"[model.multigranular]\naugmentation = '{given}'\n"
    augmentation = read_config(_write(tmp_path, text)).model.multigranular.augmentation
    assert augmentation == (found or str(tmp_path / given))


def test_paths_in_plain_data_are_unchanged():
    assert from_mapping({"data": {"images": "pictures"}}, "somewhere").data.images == "pictures"


@pytest.mark.parametrize(
    ("text", "key", "nearest"),
    [
        ("[training]\nepoch = 3\n", "epoch", "'epochs', perhaps"),
        ("[model]\nfussion = 'evidential'\n", "fussion", "'fusion', perhaps"),
        ("[trainig]\nepochs = 3\n", "trainig", "'training', perhaps"),
        ("[model]\nzzz = 1\n", "zzz", "one of name, task, text_encoder, image_encoder"),
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
        ("[training]\nwarmup_ratio = '0.1'\n", "a value of type float"),
        ("[training]\nwarmup_ratio = true\n", "a value of type float"),
        ("[model]\nname = 3\n", "a value of type str"),
        ("[data]\ntrain = 3\n", "a list of strings"),
        ("[data]\ntrain = ['a', 3]\n", "a list of strings"),
        ("model = 'minilm'\n", "a table"),
    ],
)
def test_a_value_of_the_wrong_type_says_what_was_expected(tmp_path, text, expected):
    error = _error(tmp_path, text)
    assert error.expected == expected
    assert "got" in error.what


def test_the_message_says_file_section_and_key(tmp_path):
    where = _error(tmp_path, "[training]\nepochs = 'x'\n").where
    assert "c.toml" in where
    assert where.endswith("[training]: epochs")


def test_an_integer_is_accepted_as_a_float_and_a_string_as_a_list(tmp_path):
    config = read_config(_write(tmp_path, "[training]\nema_decay = 0\n[model]\nmodalities = 'picture'\n"))
    assert config.training.ema_decay == 0.0
    assert isinstance(config.training.ema_decay, float)
    assert config.model.modalities == ("picture",)


@pytest.mark.parametrize(("tagger", "expected"), [("default", "default"), ("", ""), ("t", None)])
def test_the_path_of_a_tagger_is_relative_to_the_file(tmp_path, tagger, expected):
    config = read_config(_write(tmp_path, f"[model.relations]\ntagger = '{tagger}'\n"))
    assert config.model.relations.tagger == (str(tmp_path / "t") if expected is None else expected)


# --- files that extend others


def test_an_extending_file_changes_what_it_names_and_keeps_the_rest(tmp_path):
    (tmp_path / "base.toml").write_text(
        "[data]\ntrain = ['a', 'b']\n[model]\nname = 'base'\n[model.evidential]\npooling = 'monig'\n"
        "loss_weight = 2.0\n[training]\nepochs = 9\nseed = 4\n"
    )
    text = "extends = 'base.toml'\n[data]\ntrain = ['c']\n[model.evidential]\nloss_weight = 3.0\n"
    config = read_config(_write(tmp_path, text + "[training]\nseed = 5\n"))
    assert config.data.train == (str(tmp_path / "c"),)  # a list is replaced
    assert config.model == ModelConfig(
        name="base", evidential=EvidentialConfig(pooling="monig", loss_weight=3.0)
    )
    assert config.training == TrainingConfig(epochs=9, seed=5)


def test_paths_are_relative_to_the_file_that_names_them(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "base.toml").write_text("[data]\nimages = 'photos'\nalt_text = 'alt.tsv'\n")
    (tmp_path / "between.toml").write_text("extends = 'base.toml'\n")
    path = _write(tmp_path / "sub", "extends = '../between.toml'\n[data]\nalt_text = 'own.tsv'\n")
    data = read_config(path).data
    assert Path(data.images).resolve() == tmp_path / "photos"
    assert data.alt_text == str(tmp_path / "sub" / "own.tsv")


def test_files_that_extend_each_other_are_refused(tmp_path):
    (tmp_path / "base.toml").write_text("extends = 'c.toml'\n")
    error = _error(tmp_path, "extends = './base.toml'\n")
    assert error.what.startswith("it extends itself")
    assert error.what.count("c.toml") == 2
    assert error.do == "remove one of the extends keys"


@pytest.mark.parametrize(
    ("value", "where", "what"), [("'gone.toml'", "gone.toml", "cannot be read"), ("3", "extends", "got 3")]
)
def test_extends_must_name_a_file(tmp_path, value, where, what):
    error = _error(tmp_path, f"extends = {value}\n")
    assert error.where.endswith(where)
    assert error.what.startswith(what)


# --- names of the previous version


def test_every_renamed_key_is_read_under_its_old_name_with_a_notice(tmp_path, capsys):
    for old, new in RENAMED_KEYS.items():
        (table, _, old_key), value = old.rpartition("."), _other_value(new)
        config = read_config(_write(tmp_path, f"[{table}]\n{old_key} = {json.dumps(value)}\n"))
        assert _setting(config, new) == (tuple(value) if isinstance(value, list) else value)
        notice = capsys.readouterr().err
        assert notice.count("\n") == 1
        assert f"key {old!r} is now {new!r}" in notice


def _setting(config: Config, name: str) -> object:
    return functools.reduce(getattr, name.split("."), config)


def _other_value(name: str) -> object:
    """A value that differs from the default."""
    default = _setting(Config(), name)
    return [] if isinstance(default, tuple) else default + 1 if not isinstance(default, str) else "other"


def test_renamed_values_are_read_under_their_old_names(tmp_path, capsys):
    text = "[model.bottleneck]\nreduction = 'textbook'\nalignment = 'released'\n"
    found = read_config(_write(tmp_path, text)).model.bottleneck
    assert (found.kl_reduction, found.alignment) == ("sum_mean", "rolled_jsd")
    assert len(capsys.readouterr().err.splitlines()) == 3


def test_current_names_give_no_notice(tmp_path, capsys):
    read_config(_write(tmp_path, to_toml(Config())))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("order", [1, -1])
def test_a_key_under_both_names_is_an_error(tmp_path, order):
    lines = ["sources = []", "modalities = ['picture']"][::order]
    error = _error(tmp_path, "[model]\n" + "\n".join(lines) + "\n")
    assert error.what == "'sources' and 'modalities' are the same key"


def test_an_extending_file_with_old_names_wins_over_new_ones(tmp_path):
    (tmp_path / "base.toml").write_text("[model]\nmodalities = ['picture']\n")
    config = read_config(_write(tmp_path, "extends = 'base.toml'\n[model]\nsources = []\n"))
    assert config.model.modalities == ()


@pytest.mark.parametrize("content", [b"[data\n", b"epochs == 3", b"name = '\xff'"])
def test_not_toml(tmp_path, content):
    path = tmp_path / "c.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="not TOML"):
        read_config(path)


def test_no_such_file(tmp_path):
    with pytest.raises(
        ConfigError, match=r"none\.toml: cannot be read: .*; expected a settings file .*; check"
    ):
        read_config(tmp_path / "none.toml")


@pytest.mark.parametrize("path", sorted(CONFIGS.rglob("*.toml")), ids=lambda path: path.stem)
def test_shipped_configurations_are_valid_and_name_their_data(path, capsys):
    config = read_config(path)
    assert bool(config.data.all_train) == bool(config.data.all_dev) == (path.stem != "shared")
    raw = tomllib.loads(path.read_text("utf-8"))
    assert not any(Path(name).is_absolute() for name in raw.get("data", {}).get("train", ()))
    assert capsys.readouterr().err == ""


def test_a_file_repeats_nothing_of_the_one_it_extends():
    for path in CONFIGS.rglob("*.toml"):
        raw = tomllib.loads(path.read_text("utf-8"))
        if "extends" in raw:
            base = dataclasses.asdict(read_config(path.parent / raw.pop("extends")))
            assert [key for key, value in _leaves(raw) if dict(_leaves(base)).get(key) == value] == []


def _leaves(table: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def test_every_field_is_explained_in_the_docstring_of_its_class():
    for kind in CLASSES:
        named = re.findall(r"(?m)^        (\w+): \S", kind.__doc__.split("Attributes:")[1])
        assert named == [field.name for field in dataclasses.fields(kind)]


def test_the_documentation_names_every_key():
    page = (CONFIGS.parent / "docs" / "training.md").read_text("utf-8")
    names = {
        field.name
        for kind in CLASSES
        for field in dataclasses.fields(kind)
        if not dataclasses.is_dataclass(field.default_factory)
    }
    assert [name for name in sorted(names) if not re.search(rf"\| `{name}` +\|", page)] == []


CORPORA = """
[data]
train = ["a"]

[[data.corpora]]
name = "one"
train = ["t/one", "/abs/one"]
types = {person = "PER", "creative work" = ""}

[[data.corpora]]
dev = ["d"]
annotated_types = ["PER"]
merge_mentions = true
"""


def test_corpora_are_tables_with_paths_relative_to_the_file(tmp_path):
    data = read_config(_write(tmp_path, CORPORA)).data
    one, two = data.corpora
    assert one == CorpusConfig(
        "one", (f"{tmp_path}/t/one", "/abs/one"), types={"person": "PER", "creative work": ""}
    )
    assert two == CorpusConfig(dev=(f"{tmp_path}/d",), annotated_types=("PER",), merge_mentions=True)
    assert data.all_train == (f"{tmp_path}/a", *one.train)
    assert data.all_dev == two.dev
    assert data.corpus_of("/abs/one") is one
    assert data.corpus_of(f"{tmp_path}/a") == CorpusConfig()


def test_corpora_are_written_and_read_back(tmp_path):
    config = read_config(_write(tmp_path, CORPORA))
    assert read_config(_write(tmp_path, to_toml(config))) == config


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("corpora = 1", "corpora: got 1; expected tables [[data.corpora]]"),
        ("corpora = [1]", "corpora[0]: got 1; expected a table"),
        ("[[data.corpora]]\nnane = 1", "unknown key 'nane'; expected 'name', perhaps"),
        ("[[data.corpora]]\ntypes = {a = 1}", "types: got {'a': 1}; expected a table of strings"),
    ],
)
def test_mistakes_in_corpora_are_errors(tmp_path, line, expected):
    assert expected in str(_error(tmp_path, f"[data]\n{line}"))
