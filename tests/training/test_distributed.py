"""Training with two processes: the same gradients and scores as with one, and one folder."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")

from distributed_runs import CONFIG, gradients, untrained  # noqa: E402

import twofold  # noqa: E402
from twofold.config import Config, to_toml  # noqa: E402
from twofold.training.distributed import ALONE, Processes, joined, rank_and_count  # noqa: E402
from twofold.training.examples import collate  # noqa: E402
from twofold.training.run import train  # noqa: E402

slow = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # the exporter warns about its own internals
    pytest.mark.skipif(sys.platform == "win32", reason="torchrun and gloo are tested on POSIX"),
]


def in_two_processes(folder: Path, job: str) -> subprocess.CompletedProcess[str]:
    """Run a job of `distributed_runs` in two processes."""
    tests = Path(__file__).parents[1]
    paths = [str(tests), *filter(None, [os.environ.get("PYTHONPATH")])]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    return subprocess.run(
        [*launcher, str(tests / "distributed_runs.py"), str(folder), job],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("size", [1, 2, 5, 6])
def test_the_parts_of_a_batch_cover_it_and_their_weights_give_its_mean(count, size):
    batch = [3.0**i for i in range(size)]
    shares = [Processes(rank, count).share(batch) for rank in range(count)]
    counted = [value for own, weight in shares if weight for value in own]
    assert sorted(counted) == batch
    means = [weight * sum(own) / len(own) for own, weight in shares]
    assert sum(means) / count == pytest.approx(sum(batch) / size)


def test_without_a_launcher_there_is_one_process(monkeypatch):
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    assert rank_and_count() == (0, 1)
    with joined() as processes:
        assert processes is ALONE
    loss = torch.nn.Linear(1, 1)
    assert ALONE.replicated(loss) is loss
    assert (ALONE.mean(0.1), ALONE.of_first(lambda: "x")) == (0.1, "x")
    state = torch.get_rng_state()
    ALONE.seed(1, 2)
    assert torch.equal(torch.get_rng_state(), state)


class TestTwoProcesses:
    pytestmark = slow

    @pytest.fixture(scope="class")
    def longer(self, config: Config) -> Config:
        return dataclasses.replace(config, training=dataclasses.replace(config.training, epochs=12))

    @pytest.fixture(scope="class")
    def failed(self, longer: Config, tmp_path_factory) -> tuple[Path, str]:
        """The folder of a training whose second process failed, and its standard error."""
        folder = tmp_path_factory.mktemp("failed")
        (folder / CONFIG).write_text(to_toml(longer), encoding="utf-8")
        done = in_two_processes(folder, "failing")
        assert done.returncode != 0
        return folder, done.stderr

    def test_the_gradient_is_the_mean_over_the_posts(self, config: Config, failed):
        found = [torch.load(failed[0] / f"steps.{rank}.pt") for rank in (0, 1)]
        examples = untrained(config).data.train
        described, plain = ([e for e in examples if bool(e.texts) == has] for has in (True, False))
        for name, posts in (("five", [*plain[:3], *described[:2]]), ("one", [described[2]])):
            setup = untrained(config)
            for post in posts:  # one by one, without padding
                batch = collate([post], setup.data.tables, setup.model.text.pad_id)
                (setup.model.loss(setup.model(batch), batch) / len(posts)).backward()
            expected = gradients(setup)
            for rank in (0, 1):
                assert found[rank][name].keys() == expected.keys()
                for key, value in expected.items():
                    own = found[rank][name][key]
                    assert (own is None) == (value is None), key
                    if value is not None:
                        assert torch.allclose(own, value, rtol=1e-4, atol=1e-6), key
                        assert torch.equal(own, found[0][name][key])

    def test_an_error_in_one_process_ends_all_and_one_resumes(self, longer: Config, failed, quick_export):
        folder, stderr = failed
        assert "twofold: the second process fails" in stderr
        assert stderr.count("epoch 2/12") == 1
        assert "Traceback" not in stderr.split("torch/distributed/elastic")[0], stderr
        lines: list[str] = []
        out = train(longer, folder / "model", lines.append)
        assert "resuming after epoch 2" in lines
        assert has_learned(out)

    @pytest.mark.thorough  # the reverse, from two processes to one, is tested above
    def test_two_processes_resume_a_training_of_one(self, longer: Config, tmp_path: Path):
        (tmp_path / CONFIG).write_text(to_toml(longer), encoding="utf-8")

        def stop(line: str) -> None:
            if line.startswith("epoch 3/12"):
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            train(longer, tmp_path / "model", stop)
        done = in_two_processes(tmp_path, "whole")
        assert done.returncode == 0, done.stderr
        assert "resuming after epoch 3" in done.stderr
        assert done.stdout.count("model folder:") == 1
        assert has_learned(tmp_path / "model")
        written = [torch.load(tmp_path / f"whole.{rank}.pt") for rank in (0, 1)]
        assert str(tmp_path / "model.training" / "checkpoint.pt") in written[0]
        assert written[1] == []


def has_learned(folder: Path) -> bool:
    """Whether a model has learned the corpus."""
    found = [next(iter(twofold.load(folder).extract([text]))) for text in ("off to Rome now", "Ada says hi")]
    return [[(e.text, e.type) for e in x.entities] for x in found] == [[("Rome", "LOC")], [("Ada", "PER")]]
