"""Model folders of a few kilobytes with the graphs of the real ones, made without a training framework.

Their weights are made up so that their predictions are known. Tagger: a run of Capital words is a PER, UPPER
words are an ORG, the word "paris" in any case is a LOC, all else is O. Relation model: any pair is in the
relation that its types allow, preferably with the head first, unless the post holds the word "0". Picture and
alt text change scores a little.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import onnx
import onnx.numpy_helper
import onnx.parser
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from twofold.model_folder.folder import FORMAT, write_manifest
from twofold.preprocessing.entity_markers import TypedMarkers
from twofold.preprocessing.modalities import TEXTS, VISUAL
from twofold.preprocessing.segmentation import CASE_FEATURE_COUNT, CONTEXTS, WORD_SHAPES

LABELS = ["O", *(f"{p}-{t}" for t in ("LOC", "MISC", "ORG", "PER") for p in "BI")]
RELATIONS = [
    "None",
    "/per/org/member_of",
    "/per/loc/place_of_residence",
    "/per/per/peer",
    "/org/loc/located_at",
]
ARGUMENTS = {name: [[part.upper() for part in name.split("/")[1:3]]] for name in RELATIONS[1:]}
SOURCES = ("text", "picture", "alt_text")
WIDTH, REGIONS, REGION_WIDTH = 8, 4, 3


def build(
    folder: Path, *, evidence: bool = True, sources: tuple[str, ...] = SOURCES, window_pieces: int = 32
) -> Path:
    """Write a tagger's folder with its manifest, and return its path."""
    graph = _fusion_graph(LABELS, _tag_steps(), _tag_weights(), sources, evidence)
    _write_common(folder, graph, sources)
    count = len(LABELS)
    decoder = {"transitions": np.zeros((count, count)), "start": np.zeros(count), "end": np.zeros(count)}
    save_file({name: x.astype(np.float32) for name, x in decoder.items()}, folder / "decoder.safetensors")
    config = {"name": "tiny", "task": "entities", "labels": LABELS}
    _write(folder / "config.json", config | _config(evidence, sources, window_pieces))
    write_manifest(folder)
    return folder


def build_relations(
    folder: Path, *, evidence: bool = True, sources: tuple[str, ...] = SOURCES, window_pieces: int = 48,
    levitated: bool = False,
) -> Path:  # fmt: skip
    """Write a relation model's folder with the encoders of the tagger; return its path."""
    slots = "int64[B,S,4] slots" if levitated else "int64[B,1,2] slots"
    steps = _pair_steps("head, last_of_head, tail, last_of_tail" if levitated else "head, tail")
    graph = _fusion_graph(RELATIONS, steps, _pair_weights(), sources, evidence, slots=slots)
    _write_common(folder, graph, sources)
    config = {
        "name": "tiny-relations", "task": "relations", "labels": RELATIONS, "argument_types": ARGUMENTS,
        "markers": {"style": "levitated"} if levitated else TypedMarkers().record(),
    }  # fmt: skip
    _write(folder / "config.json", config | _config(evidence, sources, window_pieces))
    write_manifest(folder)
    return folder


def _write_common(folder: Path, graph: onnx.ModelProto, sources: tuple[str, ...]) -> None:
    folder.mkdir(parents=True)
    tokenizer = _tokenizer()
    tokenizer.save(str(folder / "tokenizer.json"))
    _save(_text_graph(tokenizer.get_vocab()), folder / "text.onnx")
    if any(name in VISUAL for name in sources):
        _save(_picture_graph(), folder / "picture.onnx")
    _save(graph, folder / "fusion.onnx")
    _write(folder / "calibration.json", {"temperature": 1.25})


def _config(evidence: bool, sources: tuple[str, ...], window_pieces: int) -> dict[str, object]:
    picture = {
        "resize": 256, "crop": 224, "mean": [127, 127, 127], "std": [128, 128, 128],
        "fit": "crop", "resample": "bicubic", "regions": REGIONS, "hidden_size": REGION_WIDTH, "max_crops": 4,
    }  # fmt: skip
    return {
        "format": FORMAT, "twofold_version": "0.1.0",
        "fusion": "evidential" if evidence else "text_only", "modalities": list(sources),
        "text": {"window_pieces": window_pieces, "context_words": 4, "pad_token_id": 0, "hidden_size": WIDTH},
        "picture": picture if any(name in VISUAL for name in sources) else None, "conventions": None,
    }  # fmt: skip


def _write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value), encoding="utf-8")


def _save(model: onnx.ModelProto, path: Path) -> None:
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))


def _tokenizer() -> Tokenizer:
    letters = "abcdefghijklmnopqrstuvwxyz0123456789#@.,!?'"
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *letters, *(f"##{c}" for c in letters), "paris", "http"]
    tokenizer = Tokenizer(models.WordPiece({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return tokenizer


def _model(text: str, weights: dict[str, np.ndarray]) -> onnx.ModelProto:
    model = onnx.parser.parse_model('<ir_version: 10, opset_import: ["" : 18]>\n' + text)
    for name, array in weights.items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    return model


def _text_graph(vocabulary: dict[str, int]) -> onnx.ModelProto:
    table = 0.1 * np.random.default_rng(0).standard_normal((len(vocabulary), WIDTH)).astype(np.float32)
    table[:, :2] = 0.0
    table[vocabulary["paris"], 0] = 1.0  # the only two words that the text encoder distinguishes
    table[vocabulary["0"], 1] = 1.0
    return _model(
        f"""text (int64[B,T] input_ids, int64[B,T] attention_mask) => (float[B,T,{WIDTH}] states) {{
            embedded = Gather<axis = 0>(table, input_ids)
            mask = Cast<to = 1>(attention_mask)
            column = Unsqueeze(mask, two)
            states = Mul(embedded, column)
        }}""",
        {"table": table, "two": np.array([2])},
    )


def _picture_graph() -> onnx.ModelProto:
    return _model(
        f"""picture (float[B,3,224,224] pixels) => (float[B,{REGIONS},{REGION_WIDTH}] regions) {{
            quarters = AveragePool<kernel_shape = [112, 112], strides = [112, 112]>(pixels)
            flat = Reshape(quarters, shape)
            regions = Transpose<perm = [0, 2, 1]>(flat)
        }}""",
        {"shape": np.array([0, REGION_WIDTH, REGIONS])},
    )


def _fusion_graph(
    labels: list[str],
    text_steps: list[str],
    text_weights: dict[str, np.ndarray],
    sources: tuple[str, ...],
    evidence: bool,
    *,
    slots: str = "",
) -> onnx.ModelProto:
    """``text_steps`` compute the scores of the text: delta_text (B, S, K)."""
    count, others, random = len(labels), sources[1:], np.random.default_rng(1)
    widths = dict.fromkeys(VISUAL, REGION_WIDTH) | dict.fromkeys(TEXTS, WIDTH)
    weights = text_weights | {
        "one": np.array([1]), "two": np.array([2]), "little": np.array(1e-6, np.float32),
        "bound": np.array(1.5, np.float32),
    }  # fmt: skip
    weights |= {
        f"{s}_weights": 0.3 * random.standard_normal((widths[s], count)).astype(np.float32) for s in others
    }
    inputs = [f"float[B,W,{WIDTH}] words", "int64[B,W] shapes", "bool[B,W] word_mask"]
    for s in others:
        inputs += [f"float[B,N_{s},{widths[s]}] {s}", f"bool[B,N_{s}] {s}_mask"]
    inputs += [slots] if slots else []
    outputs = [f"float[B,S,{count}] emissions"]
    if evidence:
        m = len(sources)
        outputs += [
            f"float[B,{m},4,S,{count}] evidence", f"float[B,4,S,{count}] fused",
            f"float[B,{m},S,{count}] share",
        ]  # fmt: skip
    steps = text_steps + _score_steps(others) + (_evidence_steps(sources) if evidence else [])
    body = "\n".join(steps)
    return _model(f"fusion ({', '.join(inputs)}) => ({', '.join(outputs)}) {{\n{body}\n}}", weights)


def _tag_steps() -> list[str]:
    return [
        "case = Gather<axis = 0>(shape_scores, shapes)",
        "word_scores = MatMul(words, word_weights)",
        "delta_text = Add(word_scores, case)",
    ]


def _tag_weights() -> dict[str, np.ndarray]:
    return {"shape_scores": _shape_scores(), "word_weights": _word_weights()}


def _pair_steps(arguments: str) -> list[str]:
    return [
        f"{arguments} = Split<axis = 2, num_outputs = {arguments.count(',') + 1}>(slots)",
        "gap = Sub(tail, head)",
        "sign = Sign(gap)",
        "order = Cast<to = 1>(sign)",
        "ordered = Mul(order, order_weights)",
        "each = MatMul(words, word_weights)",
        "word_scores = ReduceSum(each, one)",
        "delta_text = Sum(word_scores, ordered, base)",
    ]


def _pair_weights() -> dict[str, np.ndarray]:
    count = len(RELATIONS)
    words = np.zeros((WIDTH, count), np.float32)
    words[1, 0] = 9.0
    related = np.array([0, *[1] * (count - 1)], np.float32)
    return {"word_weights": words, "order_weights": 0.5 * related, "base": 2.0 * related}


def _shape_scores() -> np.ndarray:
    scores = np.zeros((CASE_FEATURE_COUNT, len(LABELS)), np.float32)
    for number, shape in enumerate(WORD_SHAPES):
        rows = slice(number * len(CONTEXTS), (number + 1) * len(CONTEXTS))
        kind = {"Capital": "PER", "UPPER": "ORG"}.get(shape)
        scores[rows, 0] = 0.0 if kind else 3.0
        if kind:
            scores[rows, LABELS.index(f"B-{kind}")] = 3.0
            scores[rows, LABELS.index(f"I-{kind}")] = 3.5
    return scores


def _word_weights() -> np.ndarray:
    weights = np.zeros((WIDTH, len(LABELS)), np.float32)
    weights[0, LABELS.index("B-LOC")] = 9.0
    return weights


def _score_steps(others: tuple[str, ...]) -> list[str]:
    """delta_<source>, there_<source> (B, 1, 1), emissions."""
    steps = ["gate = Sigmoid(delta_text)", "emissions_0 = Identity(delta_text)"]
    for i, s in enumerate(others):
        steps += [
            f"float_{s} = Cast<to = 1>({s}_mask)",
            f"column_{s} = Unsqueeze(float_{s}, two)",
            f"kept_{s} = Mul({s}, column_{s})",
            f"sum_{s} = ReduceSum(kept_{s}, one)",
            f"count_{s} = ReduceSum(column_{s}, one)",
            f"there_{s} = ReduceMax(column_{s}, one)",
            f"divisor_{s} = Add(count_{s}, little)",
            f"mean_{s} = Div(sum_{s}, divisor_{s})",
            f"scores_{s} = MatMul(mean_{s}, {s}_weights)",
            f"delta_{s} = Mul(scores_{s}, gate)",
            f"emissions_{i + 1} = Add(emissions_{i}, delta_{s})",
        ]
    return [*steps, f"emissions = Identity(emissions_{len(others)})"]


def _evidence_steps(sources: tuple[str, ...]) -> list[str]:
    steps = ["there_text = Constant<value_float = 1.0>()"]
    for s in sources:
        steps += [
            f"gamma_{s} = Softplus(delta_{s})",
            f"alpha_part_{s} = Sigmoid(delta_{s})",
            f"alpha_{s} = Add(alpha_part_{s}, bound)",
            f"beta_{s} = Add(alpha_part_{s}, little)",
            *(f"{p}1_{s} = Unsqueeze({p}_{s}, one)" for p in ("delta", "gamma", "alpha", "beta")),
            f"nig_{s} = Concat<axis = 1>(delta1_{s}, gamma1_{s}, alpha1_{s}, beta1_{s})",
            f"nig1_{s} = Unsqueeze(nig_{s}, one)",
            f"kept_gamma_{s} = Mul(gamma_{s}, there_{s})",
        ]
    total = ", ".join(f"kept_gamma_{s}" for s in sources)
    steps += [f"gamma_sum = Sum({total})", "gamma_sum1 = Unsqueeze(gamma_sum, one)"]
    for s in sources:
        steps += [f"part_{s} = Div(kept_gamma_{s}, gamma_sum)", f"part1_{s} = Unsqueeze(part_{s}, one)"]
    return [
        *steps,
        f"evidence = Concat<axis = 1>({', '.join(f'nig1_{s}' for s in sources)})",
        f"share = Concat<axis = 1>({', '.join(f'part1_{s}' for s in sources)})",
        "fused = Concat<axis = 1>(delta1_text, gamma_sum1, alpha1_text, beta1_text)",
    ]


if __name__ == "__main__":
    build(Path(sys.argv[1]))
