"""Time extraction against AutoGluon's AutoMM with the same text encoder, alternately, on one thread.

    python -m venv autogluon && autogluon/bin/pip install autogluon.multimodal==1.6.3
    python benchmarks/autogluon_peer.py --python autogluon/bin/python

AutoGluon needs a separate environment, since it pins other versions; on Linux its PyTorch comes with CUDA
unless pip uses the CPU index. Its predictor is fitted for one step, since its speed does not depend on the
weights: MiniLM from the same package as Twofold's, and for pictures timm's EfficientNet-Lite0 with random
weights. CPU time is compared. Twofold predicts calibrated entities with their uncertainties, and relations
where the line says so; AutoGluon predicts entities only.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import IO

from extraction import extract, write_posts
from serving import metered
from timing import Work, interleave, ratio

import twofold
from twofold.encoders.text import EMBEDDED, load_text_encoder

_PEER = """
import json, os, pathlib, sys, time, warnings
warnings.filterwarnings("ignore")
import pandas, timm, torch
from autogluon.multimodal import MultiModalPredictor

# Release 1.6.3 cannot build a network of text and picture: two arguments were renamed, but their callers not.
from autogluon.multimodal.models.fusion import base, fusion_ner

Fusion, Layers = base.AbstractMultimodalFusionModel, fusion_ner.MLP
build = Fusion.__init__
Fusion.__init__ = lambda self, prefix, models, loss_weight=None: build(self, prefix, models)
fusion_ner.MLP = lambda dropout_prob, **options: Layers(dropout=dropout_prob, **options)

torch.set_num_threads(1)
work, posts, pictures = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3] == "True"
rows = [json.loads(line) for line in posts.read_text(encoding="utf-8").splitlines()]
table = pandas.DataFrame({"text_snippet": [row["text"] for row in rows]})
kinds = {"text_snippet": "text_ner", "entity_annotations": "ner_annotation"}
options = {
    "model.names": ["ner_text"],
    "model.ner_text.checkpoint_name": str(work / "minilm"),
    "model.ner_text.max_text_len": 128,
    "optim.max_steps": 1, "optim.top_k": 1, "env.num_gpus": 0, "env.precision": "32", "env.num_workers": 0,
    "env.num_workers_inference": 0, "env.per_gpu_batch_size": 8, "env.strategy": "auto",
}
if pictures:
    table["image"] = [str(posts.parent / row["image"]) for row in rows]
    kinds["image"] = "image_path"
    folder = work / "lite0"
    folder.mkdir()
    network = timm.create_model("tf_efficientnet_lite0", pretrained=False, num_classes=0)
    torch.save(network.state_dict(), folder / "pytorch_model.bin")
    settings = {"architecture": "tf_efficientnet_lite0", "num_features": network.num_features}
    settings |= {name: network.default_cfg[name] for name in ("input_size", "mean", "std", "crop_pct")}
    (folder / "config.json").write_text(json.dumps(settings), encoding="utf-8")
    options |= {
        "model.names": ["ner_text", "timm_image", "fusion_ner"],
        "model.timm_image.checkpoint_name": str(folder),
    }
types = ["PER", "LOC", "ORG", "MISC"]
label = lambda n, text: json.dumps([{"entity_group": types[n % 4], "start": 0, "end": len(text.split()[0])}])
train = table[:32].copy()
train["entity_annotations"] = [label(n, text) for n, text in enumerate(train["text_snippet"])]
predictor = MultiModalPredictor(
    problem_type="ner", label="entity_annotations", path=str(work / f"fitted{pictures}"), verbosity=0
)
predictor.fit(train, tuning_data=train[:8], column_types=kinds, hyperparameters=options)
output = os.fdopen(int(sys.argv[4]), "w")
print("ready", file=output, flush=True)
for line in sys.stdin:
    begin = time.process_time()
    found = predictor.predict(table)
    print(time.process_time() - begin, len(found), file=output, flush=True)
"""


def main() -> None:
    """Run the comparison and print it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--python", type=Path, required=True, help="Python of the AutoGluon environment")
    parser.add_argument("--posts", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    entities, both = (twofold.load(threads=1, relation_model=x) for x in (False, None))
    with tempfile.TemporaryDirectory() as folder:
        encoder = load_text_encoder(EMBEDDED)
        encoder.backbone.save_pretrained(Path(folder) / "minilm")  # type: ignore[operator]
        _save_tokenizer(encoder.tokenizer.to_str(), Path(folder) / "minilm")
        for pictures in (False, True):
            posts = write_posts(Path(folder) / f"posts{pictures}", args.posts, pictures)
            models = {"Twofold, entities": entities, "Twofold, entities and relations": both}
            compare(models, posts, pictures, args.python, args.rounds)


def compare(
    models: dict[str, twofold.Extractor], posts: Path, pictures: bool, python: Path, rounds: int
) -> None:
    """Print the ratio of AutoGluon's time to that of each model."""
    read, write = os.pipe()
    command = [str(python), "-c", _PEER, str(posts.parents[1]), str(posts), str(pictures), str(write)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    environment.pop("PYTHONPATH", None)
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=sys.stderr, pass_fds=[write], env=environment, text=True
    ) as process:
        os.close(write)
        with os.fdopen(read) as answers:
            if answers.readline() != "ready\n":
                raise SystemExit("AutoGluon did not start: see above")
            assert process.stdin is not None
            spent: dict[str, list[float]] = {"AutoGluon": [], **{name: [] for name in models}}
            works: dict[str, Work] = {"AutoGluon": partial(_ask, process.stdin, answers, spent["AutoGluon"])}
            for name, model in models.items():
                works[name] = metered(partial(extract, model, posts), time.process_time, spent[name])
            interleave(works, rounds)
            process.stdin.close()
    seconds = {name: found[1:] for name, found in spent.items()}
    for name in models:
        found = ratio(seconds, "AutoGluon", name)
        shown = "text and picture" if pictures else "text alone"
        print(f"{shown}: {found.value:.2f} [{found.low:.2f}, {found.high:.2f}] times as long as {name}")


def _ask(stdin: IO[str], answers: IO[str], spent: list[float]) -> None:
    stdin.write("go\n")
    stdin.flush()
    spent.append(float(answers.readline().split()[0]))


def _save_tokenizer(data: str, folder: Path) -> None:
    (folder / "tokenizer.json").write_text(data, encoding="utf-8")
    settings = {"tokenizer_class": "BertTokenizerFast", "model_max_length": 512}
    marks = {"unk_token": "[UNK]", "sep_token": "[SEP]", "pad_token": "[PAD]", "cls_token": "[CLS]"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings | marks), encoding="utf-8")


if __name__ == "__main__":
    main()
