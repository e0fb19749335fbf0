"""``twofold evaluate --robustness`` with tiny models, compared with the predictions of `extract`."""

from __future__ import annotations

import io
import json

import pytest
import tiny_model
from PIL import Image

import twofold
from twofold.cli.main import main
from twofold.model_folder.folder import open_folder
from twofold.pipeline.inference_pipeline import InferencePipeline

NAMES = ["original", "mismatched", "blank", "noisy", "blurred", "occluded", "missing", "corrupt", "text_only"]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    place = tmp_path_factory.mktemp("models")
    tiny_model.build(place / "tagger")
    tiny_model.build_relations(place / "relations")
    tiny_model.build(place / "plain", evidence=False)
    tiny_model.build(place / "blind", sources=("text",))
    twofold.combine(place / "tagger", place / "relations", place / "both")
    return place


def picture(path, colour):
    Image.new("RGB", (60, 40), colour).save(path)
    return path.name


@pytest.fixture
def data(tmp_path):
    """Four posts with pictures, one without a picture, and one with an unreadable picture."""
    anna, nasa = {"start": 0, "end": 4, "type": "PER"}, {"start": 8, "end": 12, "type": "ORG"}
    colours = ["red", "lime", "blue", "white"]
    posts = [
        {
            "id": i,
            "text": "Anna of NASA",
            "image": picture(tmp_path / f"{i}.png", colour),
            "entities": [anna, nasa],
        }
        for i, colour in enumerate(colours)
    ]
    for post in posts[:2]:
        post["relations"] = [{"head": anna, "tail": nasa, "type": "/per/org/member_of"}]
    posts[0]["alt_text"] = "a rocket"
    posts += [
        {"id": 8, "text": "Bob", "entities": []},
        {"id": 9, "text": "Bob", "entities": [], "image": "no.png"},
    ]
    (tmp_path / "posts.jsonl").write_text("\n".join(map(json.dumps, posts)), encoding="utf-8")
    return tmp_path / "posts.jsonl"


def measure(model, data, *options):
    target = data.parent / "metrics.json"
    assert main(["evaluate", str(model), str(data), "--robustness", *options, "--json", str(target)]) == 0
    return json.loads(target.read_text(encoding="utf-8"))["robustness"]


def test_entities_under_all_conditions(models, data, capsys):
    robustness = measure(models / "tagger", data)
    assert robustness["posts"] == {"evaluated": 4, "without_picture": 1, "unreadable": 1, "not_in_sample": 0}
    entities = robustness["entities"]
    assert list(entities["conditions"]) == NAMES
    assert "relations" not in robustness
    status = {name: c["pictures"] for name, c in entities["conditions"].items()}
    assert status["corrupt"] == {"read": 0, "none": 0, "unreadable": 4}
    assert status["missing"] == status["text_only"] == {"read": 0, "none": 4, "unreadable": 0}
    assert all(status[name]["read"] == 4 for name in NAMES[:6])
    own = entities["conditions"]["original"]
    assert own["f1"] == own["strict_f1"] == 1
    assert own["share"]["value"] > 0 == entities["conditions"]["corrupt"]["share"]["value"]
    assert entities["checks"]["corrupt_is_missing"]["holds"] is True
    assert entities["conditions"]["corrupt"] | {"pictures": 0} == entities["conditions"]["missing"] | {
        "pictures": 0
    }
    shown = capsys.readouterr()
    assert "robustness to pictures: 4 posts" in shown.out
    assert "left out: 1 without a picture, 1 with an unreadable one, 0 not in the sample" in shown.out
    assert "holds: a corrupt picture is reported unreadable" in shown.out
    table = [line.split() for line in shown.out.splitlines() if line.startswith(("picture ", "blank "))][:2]
    assert " ".join(table[0][1:6]) == "F1 change strict F1 change"  # a score and a change are two columns
    blank = entities["conditions"]["blank"]
    assert table[1][5:7] == [
        f"{100 * blank['strict_f1']:.2f}",
        f"{100 * blank['strict_f1_change']['value']:+.2f}",
    ]
    rows = [line.split()[0] for line in shown.out.splitlines() if line.split()]
    assert [rows.count(name) for name in NAMES[:-1]] == [3] * (len(NAMES) - 1)
    assert "robustness: 4 posts, each under 9 conditions: original, mismatched" in shown.err
    assert shown.out.splitlines()[-1].startswith("strict P")  # the usual scores come last


def test_the_metrics_match_the_predictions_of_extract(models, data):
    entities = measure(models / "tagger", data)["entities"]["conditions"]
    lines = [json.loads(line) for line in data.read_text(encoding="utf-8").splitlines()[:4]]
    out = io.BytesIO()
    Image.new("RGB", (256, 256), (128, 128, 128)).save(out, "BMP")
    (data.parent / "grey.bmp").write_bytes(out.getvalue())
    extractor = twofold.load(models / "tagger")

    def mean(image):
        posts = [line | {"image": image(line)} for line in lines]
        found = list(
            extractor.extract([{k: p.get(k) for k in ("id", "text", "image", "alt_text")} for p in posts])
        )
        return {
            name: sum(sum(get(e) for e in x.entities) / len(x.entities) for x in found) / len(found)
            for name, get in (
                ("confidence", lambda e: e.confidence),
                ("epistemic", lambda e: e.uncertainty.epistemic),
            )
        }

    own = mean(lambda line: str(data.parent / line["image"]))
    grey = mean(lambda line: str(data.parent / "grey.bmp"))
    for name in own:
        assert entities["original"]["predicted"][name]["value"] == pytest.approx(own[name], abs=2e-6)
        change = entities["blank"]["predicted"][name]["change"]["value"]
        assert change == pytest.approx(grey[name] - own[name], abs=2e-6)
        assert abs(change) > 1e-5  # the tiny model uses its picture


def test_relations_of_gold_pairs(models, data, capsys):
    robustness = measure(models / "both", data)
    assert list(robustness) == ["posts", "seed", "alt_text", "entities", "relations"]
    relations = robustness["relations"]
    assert relations["posts"] == 2
    usual = json.loads((data.parent / "metrics.json").read_text(encoding="utf-8"))["relations"]["gold_pairs"]
    assert relations["conditions"]["original"]["f1"] == usual["overall"]["f1"]
    assert relations["conditions"]["original"]["strict_f1"] is None
    assert relations["conditions"]["corrupt"]["pictures"]["unreadable"] == 2
    assert relations["checks"]["corrupt_is_missing"]["holds"] is True
    assert relations["conditions"]["blank"]["same_items"]["epistemic"]["posts"] == 2
    assert "relations of gold pairs, 2 posts" in capsys.readouterr().out


def test_a_relation_folder_alone(models, data):
    robustness = measure(models / "relations", data)
    assert robustness["relations"]["checks"]["corrupt_is_missing"]["holds"] is True
    assert robustness["relations"]["conditions"]["original"]["pictures"]["read"] == 2


def test_alt_texts_may_be_hidden(models, data):
    seen, hidden = measure(models / "tagger", data), measure(models / "tagger", data, "--hide-alt-text")
    assert (seen["alt_text"], hidden["alt_text"]) == (True, False)
    assert list(hidden["entities"]["conditions"]) == NAMES[:-1]
    # Without the alt text, a missing picture gives the same result as the text alone.
    missing, text = hidden["entities"]["conditions"]["missing"], seen["entities"]["conditions"]["text_only"]
    assert missing["predicted"]["epistemic"]["value"] == text["predicted"]["epistemic"]["value"]


def test_a_sample_is_fixed_by_the_seed(models, data):
    one = measure(models / "tagger", data, "--sample", "3", "--seed", "1")
    assert one == measure(models / "tagger", data, "--sample", "3", "--seed", "1")
    assert one["posts"]["evaluated"] == 3
    assert one["posts"]["not_in_sample"] == 1


def test_a_model_without_evidence(models, data, capsys):
    entities = measure(models / "plain", data)["entities"]
    assert entities["checks"]["uncertainty_never_falls"]["holds"] is None
    assert entities["conditions"]["blank"]["same_items"]["aleatoric"]["change"]["value"] is None
    assert entities["conditions"]["blank"]["same_items"]["confidence"]["change"]["value"] is not None
    assert "undecided on these posts: fused uncertainty" in capsys.readouterr().out


def test_a_model_that_uses_no_pictures(models, data):
    entities = measure(models / "blind", data)["entities"]
    assert entities["checks"]["corrupt_is_missing"]["holds"] is None
    assert {c["flipped"]["value"] for c in entities["conditions"].values()} == {0}


def test_every_text_is_encoded_once_for_all_conditions(models, data, monkeypatch):
    from twofold.corpora import open_corpus
    from twofold.robustness.conditions import sample_posts
    from twofold.robustness.evaluation import evaluate_conditions

    pipeline = InferencePipeline(open_folder(models / "tagger"))
    rows = []
    text = type(pipeline._tagger.network.sessions).text
    monkeypatch.setattr(
        type(pipeline._tagger.network.sessions),
        "text",
        lambda self, ids, mask: rows.append(len(ids)) or text(self, ids, mask),
    )
    evaluate_conditions(pipeline, sample_posts(list(open_corpus(data))).posts)
    assert sum(rows) == 2  # the one text of all posts, and the one alt text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--sample", "5"], "need --robustness"),
        (["--hide-alt-text"], "need --robustness"),
        (["--robustness", "--sample", "1"], "2 or more posts"),
    ],
)
def test_mistakes(models, data, capsys, options, message):
    assert main(["evaluate", str(models / "tagger"), str(data), *options]) == 2
    assert message in capsys.readouterr().err


def test_there_must_be_two_different_pictures(models, tmp_path, capsys):
    (tmp_path / "posts.jsonl").write_text('{"id": 1, "text": "Anna", "entities": []}', encoding="utf-8")
    target = tmp_path / "x.json"
    arguments = [
        "evaluate",
        str(models / "tagger"),
        str(tmp_path / "posts.jsonl"),
        "--robustness",
        "--json",
        str(target),
    ]
    assert main(arguments) == 2
    assert "expected at least two different pictures" in capsys.readouterr().err
    assert not target.exists()


def test_without_the_option_there_is_no_robustness_report(models, data, capsys, tmp_path):
    target = tmp_path / "x.json"
    assert main(["evaluate", str(models / "tagger"), str(data), "--json", str(target)]) == 0
    assert "robustness" not in json.loads(target.read_text(encoding="utf-8"))
    assert "robustness" not in capsys.readouterr().out
