"""Compare the embedded picture encoder in 8 bits with full precision: time, and difference of its regions.

    python benchmarks/picture_arithmetic.py --pictures DIR
    python benchmarks/picture_arithmetic.py --pictures DIR --out COPY

Half of the pictures of a folder are used to compute the ranges, the other half to measure: alternating
timing, on one thread, in batches of four, as at inference. With ``--out`` the shipped model is copied with
the 8-bit graph, to be evaluated like any other model.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime
from timing import interleave, ratio

from twofold.encoders.image import EMBEDDED, load_image_encoder
from twofold.errors import PictureError
from twofold.model_folder.folder import write_manifest
from twofold.pipeline.extractor import default_folder
from twofold.preprocessing.images import PictureSettings, read_picture
from twofold.training.export import export_image
from twofold.training.quantise import quantise_graph
from twofold.training.quantise_pictures import PICTURES, Pixels, quantise_pictures

BATCH = 4


def main() -> None:
    """Run the comparison and print it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pictures", type=Path, required=True, help="folder of pictures (recursive)")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--out", type=Path, help="write a copy of the shipped model with the 8-bit graph")
    args = parser.parse_args()
    encoder = load_image_encoder(EMBEDDED)
    pixels = read(args.pictures, encoder.settings)
    with tempfile.TemporaryDirectory() as folder:
        graphs = {name: Path(folder) / f"{name}.onnx" for name in ("float32", "half", "8bit")}
        export_image(encoder, graphs["float32"])
        quantise_graph(graphs["float32"], graphs["half"])
        quantise_pictures(graphs["float32"], graphs["8bit"], pixels[0::2])
        compare(graphs, pixels[1::2], args.rounds)
        if args.out:
            shutil.copytree(default_folder(), args.out)
            shutil.copyfile(graphs["8bit"], args.out / "picture.onnx")
            write_manifest(args.out / "relations")
            write_manifest(args.out)


def read(folder: Path, settings: PictureSettings) -> list[Pixels]:
    """Pixels of at most twice as many pictures as a training uses, evenly spaced in the sorted names."""
    found: list[Pixels] = []
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    for path in files[:: max(1, len(files) // (2 * PICTURES))]:
        try:
            found.append(read_picture(path, settings)[0])
        except PictureError as error:
            print(f"left out: {error}")
    return found[: 2 * PICTURES]


def compare(graphs: dict[str, Path], pixels: list[Pixels], rounds: int) -> None:
    """Print size, similarity of regions and time of each graph."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    sessions = {
        name: onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        for name, path in graphs.items()
    }
    batches = [np.stack(pixels[i : i + BATCH]) for i in range(0, len(pixels), BATCH)]

    def regions(name: str) -> Pixels:
        return np.concatenate([sessions[name].run(None, {"pixels": batch})[0] for batch in batches])

    whole = regions("float32")
    for name in graphs:
        other = regions(name)
        lengths = np.linalg.norm(whole, axis=-1) * np.linalg.norm(other, axis=-1)
        cosine = (whole * other).sum(-1)[lengths > 0] / lengths[lengths > 0]
        size = graphs[name].stat().st_size / 1e6
        print(f"{name}: {size:.1f} MB, cosine of regions {cosine.mean():.3f}, lowest {cosine.min():.3f}")
    seconds = interleave({name: partial(regions, name) for name in graphs}, rounds)
    for name in ("half", "8bit"):
        found = ratio(seconds, "float32", name)
        print(f"time of float32 / {name}: {found.value:.2f} [{found.low:.2f}, {found.high:.2f}]")


if __name__ == "__main__":
    main()
