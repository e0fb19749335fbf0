"""The Python interface: results of valid and invalid input."""

from __future__ import annotations

import io
import itertools
import json
import subprocess
import sys
from importlib import resources
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import tiny_model
from PIL import Image

import twofold
from twofold.crf import TagSpan
from twofold.errors import ConfigError, InputError, ModelError
from twofold.pipeline.extractor import default_folder
from twofold.records import to_line, to_record


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_model.build(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def extractor(folder):
    return twofold.load(folder, threads=1)


@pytest.fixture(scope="module")
def validator():
    text = resources.files("twofold").joinpath("schemas/extraction.schema.json").read_text(encoding="utf-8")
    schema = json.loads(text)
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def png(colour="red") -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (40, 30), colour).save(stream, "PNG")
    return stream.getvalue()


def found(extraction):
    return [(entity.text, entity.type) for entity in extraction.entities]


def test_entities_with_confidence_and_evidence(extractor):
    post = twofold.Post("p", "Anna Smith left paris with NASA", image=png(), alt_text="a red square")
    extraction = next(extractor.extract([post]))
    assert extraction.id == "p"
    assert found(extraction) == [("Anna Smith", "PER"), ("paris", "LOC"), ("NASA", "ORG")]
    for entity in extraction.entities:
        assert post.text[entity.start : entity.end] == entity.text
        assert 0 < entity.confidence < 1
        assert entity.uncertainty.aleatoric > 0 < entity.uncertainty.epistemic
        assert list(entity.sources) == ["text", "picture", "alt_text"]
        assert sum(source.share for source in entity.sources.values()) == pytest.approx(1)
    assert extraction.picture == twofold.PictureReport("read")
    assert extraction.model == "tiny"


def test_confidence_is_the_tempered_marginal_and_evidence_a_mean_over_the_words(extractor):
    post = twofold.Post(1, "Anna Smith left", alt_text="two faces")
    (encoded,), extraction = list(extractor.pipeline.encode([post])), next(extractor.extract([post]))
    span = TagSpan(0, 2, "PER")
    expected = extractor.pipeline.decoder.confidences([encoded.emissions], [[span]], 1.25)[0][0]
    entity = extraction.entities[0]
    assert entity.confidence == pytest.approx(expected)
    begin, inside = 7, 8  # B-PER, I-PER
    _, gamma, alpha, beta = (encoded.fused[:, [0, 1]]).astype(float)  # (4, n, K)
    assert entity.uncertainty.aleatoric == pytest.approx(np.sum(beta / (alpha - 1)) / 2)
    assert entity.uncertainty.epistemic == pytest.approx(np.sum(beta / (gamma * (alpha - 1))) / 2)
    share = (encoded.share[2, 0, begin] + encoded.share[2, 1, inside]) / 2
    assert entity.sources["alt_text"].share == pytest.approx(share)


def test_an_absent_modality_is_not_listed(extractor):
    only_text, with_alt = extractor.extract(
        ["Anna left", {"id": 1, "text": "Anna left", "alt_text": "a face"}]
    )
    assert list(only_text.entities[0].sources) == ["text"]
    assert only_text.entities[0].sources["text"].share == pytest.approx(1)
    assert list(with_alt.entities[0].sources) == ["text", "alt_text"]


def test_order_is_kept_over_groups_and_lengths_of_posts(extractor):
    texts = ["x " * (7 * i % 23) + f"Anna {i}" for i in range(100)]
    extractions = list(extractor.extract(texts, batch_size=2))
    assert [extraction.text for extraction in extractions] == texts
    assert [extraction.id for extraction in extractions] == list(range(100))


def test_posts_stream(extractor):
    endless = ({"id": i, "text": f"Anna {i}"} for i in itertools.count())
    first = list(itertools.islice(extractor.extract(endless, batch_size=4), 50))
    assert [extraction.id for extraction in first] == list(range(50))


def test_encode_then_decode_is_extract(extractor):
    posts = ["Anna Smith", "", "paris and NASA"]
    assert extractor.pipeline.decode(list(extractor.pipeline.encode(posts))) == list(extractor.extract(posts))


def test_a_broken_picture_is_reported_and_the_text_is_used(extractor, tmp_path):
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "cut.png").write_bytes(png()[:-25])
    for name, reason in [
        ("gone.jpg", "file not found"),
        ("empty.jpg", "empty"),
        ("cut.png", "the picture is"),
    ]:
        post = {"id": name, "text": "Anna left", "image": str(tmp_path / name)}
        good = {"id": 2, "text": "Bob left", "image": png()}
        extraction, other = extractor.extract([post, good])
        assert extraction.picture.status == "unreadable"
        assert reason in extraction.picture.reason
        assert found(extraction) == [("Anna", "PER")]
        assert list(extraction.entities[0].sources) == ["text"]
        assert other.picture.status == "read"


@pytest.mark.slow
def test_a_hundred_thousand_characters(extractor, validator):
    text = "Anna left paris with her very good friends . " * 2223
    extraction, short = extractor.extract([text, "Bob"])
    assert len(extraction.entities) == 2 * 2223
    assert found(short) == [("Bob", "PER")]
    assert all(np.isfinite(entity.confidence) for entity in extraction.entities)
    record = to_record(extraction)
    validator.validate(record | {"entities": record["entities"][::100]})  # all would take seconds


def test_one_word_of_a_hundred_thousand_characters(extractor):
    extraction = next(extractor.extract(["a" * 100_000]))
    assert extraction.text == "a" * 100_000


@pytest.mark.parametrize(
    ("text", "warning"),
    [("", "the text is empty"), (" \n\t", "the text has no words"), ("\u200b\u202e\ufeff", "no words")],
)
def test_texts_without_words(extractor, validator, text, warning):
    extraction = next(extractor.extract([text]))
    assert extraction.text == text
    assert extraction.entities == ()
    assert warning in extraction.warnings[0]
    validator.validate(to_record(extraction))


@pytest.mark.parametrize(
    ("text", "entities"),
    [
        ("😀🇫🇷👩‍👩‍👧‍👦❤️", []),
        ("An\u200bna left", ["An\u200bna"]),
        ("\u202eAnna\u202c left", ["Anna"]),
        ("Anna\0 left\0", ["Anna"]),
        ("\0", []),
        ("😀 Anna 😀", ["Anna"]),
        ("Anna\u2028left\u0085now", ["Anna"]),
        ("e\u0301" * 3 + " Anna", ["Anna"]),
    ],
)
def test_odd_characters(extractor, validator, text, entities):
    extraction = next(extractor.extract([text]))
    assert [entity.text for entity in extraction.entities] == entities
    assert extraction.warnings == () or text == "\0"
    assert all(text[e.start : e.end] == e.text for e in extraction.entities)
    line = to_line(extraction)
    assert "\n" not in line
    assert json.loads(line)["text"] == text
    validator.validate(json.loads(line))


@pytest.mark.parametrize(
    "record", [{"text": "no id"}, {"id": 1}, {"id": 1, "text": 7}, {"id": 1, "text": "\ud800"}, 7, None]
)
def test_a_record_that_is_not_a_post(extractor, record):
    with pytest.raises(InputError, match="post 1"):
        list(extractor.extract([{"id": 0, "text": "fine"}, record]))


def test_a_bad_row_is_a_rejected_row_in_its_place(extractor):
    """As a table of pandas gives them: NaN for no picture, numbers of numpy, and rows that are not posts."""
    kept = twofold.Rejected("posts.jsonl:3", "the line is blank", "")
    array = {"id": 4, "text": "Anna", "image": np.zeros((2, 2, 3))}
    rows = [
        {"id": np.int64(1), "text": "Anna", "image": np.nan, "alt_text": np.nan},
        {"id": 2, "text": np.nan},
        array,
        kept,
        *({"id": i, "text": "Anna"} for i in range(5, 50)),
        7,
    ]
    results = list(extractor.extract(rows, on_error="reject", batch_size=4))
    assert [result.id for result in results if isinstance(result, twofold.Extraction)] == [1, *range(5, 50)]
    bad = {i: result for i, result in enumerate(results) if isinstance(result, twofold.Rejected)}
    assert list(bad) == [1, 2, 3, 49]
    assert (bad[1].origin, bad[3]) == ("post 1", kept)
    assert bad[1].reason.startswith("text is missing")
    assert "image is of the type ndarray" in bad[2].reason
    assert "'id': 2" in bad[1].raw
    assert list(extractor.extract([7, 8], on_error="reject"))[1].origin == "post 1"
    with pytest.raises(InputError, match="post 1: text is missing"):
        list(extractor.extract(rows))
    with pytest.raises(ConfigError, match="on_error is 'skip'"):
        extractor.extract(rows, on_error="skip")


def test_a_table_of_pandas_is_not_an_iterable_of_posts(extractor):
    frame = type(
        "DataFrame", (), {"columns": ["id"], "to_dict": None, "__iter__": lambda self: iter(["id"])}
    )()
    with pytest.raises(InputError, match=r'got a DataFrame; .*give df.to_dict\("records"\)'):
        extractor.extract(frame)


@pytest.mark.parametrize("single", ["Anna", {"id": 1, "text": "Anna"}, twofold.Post(1, "Anna"), b"Anna"])
def test_a_single_post_is_not_a_list_of_posts(extractor, single):
    with pytest.raises(InputError, match=r"expected an iterable of posts; put it into a list"):
        extractor.extract(single)


def test_invalid_numbers(extractor, folder):
    with pytest.raises(ConfigError, match="batch_size is 0"):
        extractor.extract([], batch_size=0)
    with pytest.raises(ConfigError, match="threads is 0"):
        twofold.load(folder, threads=0)


def test_no_posts(extractor):
    assert list(extractor.extract([])) == []


def test_a_model_without_evidence(tmp_path, validator):
    folder = tiny_model.build(tmp_path / "plain", evidence=False, sources=("text",))
    extraction = next(twofold.load(folder).extract([{"id": 1, "text": "Anna left"}]))
    assert extraction.entities[0].uncertainty is None
    assert extraction.entities[0].sources == {}
    record = to_record(extraction)
    validator.validate(record)
    assert record["entities"][0].keys() == {"start", "end", "text", "type", "confidence", "sources"}


def test_lines_are_valid_and_short(extractor, validator):
    posts = [
        {"id": 1, "text": "Anna Smith left paris", "image": png(), "alt_text": "a red square"},
        {"id": "two", "text": "Anna", "image": "nowhere.jpg"},
    ]
    for extraction in extractor.extract(posts):
        record = json.loads(to_line(extraction))
        validator.validate(record)
        for entity in record["entities"]:
            assert round(entity["confidence"], 6) == entity["confidence"]
    broken = to_record(extraction) | {"picture": {"status": "unreadable", "reason": ""}}
    with pytest.raises(jsonschema.ValidationError):
        validator.validate(broken)


def test_no_default_model(monkeypatch, tmp_path):
    monkeypatch.setattr("twofold.pipeline.extractor.default_folder", lambda: tmp_path / "default")
    with pytest.raises(ModelError, match="has no default model"):
        twofold.load()
    assert default_folder().name == "default"


def test_unknown_modalities(tmp_path):
    folder = tiny_model.build(tmp_path / "model")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["modalities"] = ["text", "picture", "smell"]
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    from twofold.model_folder.folder import write_manifest

    write_manifest(folder)
    with pytest.raises(ModelError, match=r"uses the modalities text, picture, smell.*install a newer"):
        twofold.load(folder)


def test_cache(folder, tmp_path):
    posts = [{"id": 1, "text": "Anna", "image": png()}]
    plain = list(twofold.load(folder).extract(posts))
    for _ in range(2):
        assert list(twofold.load(folder, cache=tmp_path / "cache").extract(posts)) == plain
    assert len(list((tmp_path / "cache").rglob("*.npy"))) == 1


def test_public_names():
    assert twofold.__all__ == sorted(twofold.__all__)
    for name in twofold.__all__:
        assert getattr(twofold, name) is not None
    assert dir(twofold) == sorted(twofold.__all__)
    with pytest.raises(AttributeError, match="no attribute 'lod'"):
        twofold.lod  # noqa: B018


def test_importing_loads_nothing_heavy_and_extracting_no_torch(folder):
    code = (
        "import sys, twofold\n"
        "heavy = {'numpy', 'onnxruntime', 'PIL', 'tokenizers'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "next(twofold.load(sys.argv[1]).extract(['Anna']))\n"
        "assert 'torch' not in sys.modules and 'rich' not in sys.modules and 'PIL' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code, str(folder)], check=True, cwd=Path(__file__).parent)
