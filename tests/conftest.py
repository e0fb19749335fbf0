"""Fixtures every test may use."""

from __future__ import annotations

import gc
import importlib.util
import os
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from quick_export import quick_exports

os.environ["HF_HUB_OFFLINE"] = "1"  # no test connects to a hub: an unknown name fails at once

# No deadline: a busy machine is not a fault of the code.
settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile(
    "ci", settings.get_profile("tests"), derandomize=True, max_examples=50
)  # the same examples each time: repeating more of them finds nothing new
# For `make mutants`: any failing example is enough, so that none is shrunk.
settings.register_profile("mutants", settings.get_profile("ci"), phases=(Phase.explicit, Phase.generate))
settings.register_profile("quick", settings.get_profile("tests"), max_examples=50)  # of `make check`
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "tests"))


LONGEST = (
    "server/test_demo_page.py", "training/test_export_hub.py", "server/test_review_page.py",
    "server/test_load.py", "batch/test_kills.py", "training/test_controlled.py",
    "experiments/test_whole.py", "training/test_run.py", "training/test_relations.py",
    "training/test_distributed.py", "training/test_semantic_augmentation.py", "fusion/test_bottleneck.py",
    "training/test_export.py", "benchmarks/test_uncertainty.py", "training/test_backbones.py",
    "docs/test_tutorials.py", "training/test_conventions.py", "review/test_training_data.py",
)  # fmt: skip
"""Files whose tests take longest. Workers take whole files: with these first, all workers end together.

Those that wait for browsers and processes come first, while `make check` and `.ci/run` check types.
"""


_ALL_SLOW = re.compile(r"^pytestmark = \[?\s*pytest\.mark\.slow\b", re.MULTILINE)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Skip files that hold only slow tests where these are deselected: imports take most of the time."""
    if config.option.markexpr != "not slow" or collection_path.suffix != ".py":
        return None
    return bool(_ALL_SLOW.search(collection_path.read_text(encoding="utf-8"))) or None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    tests = Path(__file__).parent
    rank = {tests / name: number for number, name in enumerate(LONGEST)}
    if missing := [str(path) for path in rank if not path.is_file()]:
        raise pytest.UsageError(f"LONGEST in {__file__} names files that are not there: {missing}")
    items.sort(key=lambda item: rank.get(item.path, len(rank)))


def pytest_configure() -> None:
    """Collect no garbage while tests are imported: that makes millions of objects, which all stay."""
    gc.disable()


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()
    if "onnxscript" in sys.modules:
        _read_operators_once()


def _read_operators_once() -> None:
    """Cache the operator table that PyTorch's exporter builds for each graph, in a third of its time."""
    from torch.onnx._internal.exporter._registration import ONNXRegistry

    ONNXRegistry.from_torchlib = staticmethod(cache(ONNXRegistry.from_torchlib))


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Use one thread: with tiny tensors synchronisation costs far more than threads gain."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if importlib.util.find_spec("torch"):
        import torch

        torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def no_waiting_for_the_disk() -> Iterator[None]:
    """Files of tests need not survive a crash; flushing took a fifth of the runs in the test's process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: None)
        yield


@pytest.fixture
def quick_export() -> Iterator[None]:
    """Trainings of this test export quickly: the graphs are not what it tests."""
    with quick_exports():
        yield


@pytest.fixture(params=["quick", pytest.param("real", marks=pytest.mark.thorough)])
def either_export(request: pytest.FixtureRequest) -> Iterator[None]:
    """As `quick_export`, and once more with the fusion exported by the exporter that users get."""
    with quick_exports(only_text=request.param == "real"):
        yield


@pytest.fixture(scope="module")
def few_resamples() -> Iterator[None]:
    """Intervals from 40 bootstrap resamples instead of 1000: they are tested with the metrics."""
    from twofold.evaluation.domain_shift import post_ood_detection, prediction_ood_detection
    from twofold.evaluation.trust_report import trust_report
    from twofold.robustness.report import robustness_report

    with pytest.MonkeyPatch.context() as patch:
        for report in (trust_report, post_ood_detection, prediction_ood_detection, robustness_report):
            (name,) = {"resamples", "draws"} & set(report.__kwdefaults__)
            patch.setitem(report.__kwdefaults__, name, 40)
        yield


@pytest.fixture(scope="session")
def both(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny tagger with a tiny relation model, not to be changed; each also in a folder beside it."""
    import tiny_model

    from twofold.model_folder.combine import combine

    models = tmp_path_factory.mktemp("models")
    tagger, relations = tiny_model.build(models / "tagger"), tiny_model.build_relations(models / "relations")
    combine(tagger, relations, models / "both")
    return models / "both"


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of real data beside the checkout, never in the repository; tests are skipped without it."""
    folder = Path(os.environ.get("TWOFOLD_SHARED", Path(__file__).resolve().parents[2] / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"no real data: there is no folder {folder.name}/data beside the checkout")
    return folder
