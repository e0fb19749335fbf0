"""From pairs of a post's words to relations between them: the one path that all use of relation models
goes through.

Each pair is a window of its own, head and tail marked; windows of like length share a batch. Sources of
a post are read once for all its pairs, and not at all where it has none. It does not know where pairs
come from.

Shape letters: K relations, M sources.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from twofold.errors import ModelError
from twofold.inference.modality_states import PostSources
from twofold.inference.network import Network, Row
from twofold.inference.onnx_sessions import FusionOutput
from twofold.inference.type_constraints import Grammar
from twofold.model_folder.folder import ModelFolder
from twofold.posts import PictureReport, Post
from twofold.preprocessing.entity_markers import Argument, PairPieces
from twofold.preprocessing.images import FeatureCache
from twofold.preprocessing.segmentation import segment_post

Floats = NDArray[np.float32]
Pair = tuple[Argument, Argument]
"""Head and tail."""


@dataclass(frozen=True, slots=True)
class PairReading:
    """What the model saw in one pair.

    Attributes:
        head: words of the head, and its type as far as it is known. tail: of the tail.
        picture: what became of the post's picture.
        sources: True for each of the M sources that the post has.
        emissions: (K,).
        evidence: (M, 4, K) δ, γ, α, β of each source; None for models without evidence.
        fused: (4, K) δ, γ, α, β after pooling; None likewise.
        share: (M, K) part of each source, summing to 1 over those present; None likewise.
    """

    head: Argument
    tail: Argument
    picture: PictureReport
    sources: tuple[bool, ...]
    emissions: Floats
    evidence: Floats | None = None
    fused: Floats | None = None
    share: Floats | None = None


class Verdict(NamedTuple):
    """What a pair is taken for.

    Attributes:
        number: of the relation among the labels.
        label: the relation; "None" for none.
        chance: its probability by the network alone, before calibration, in [0, 1].
        scores: (K,) of all relations; −∞ for those that did not compete.
    """

    number: int
    label: str
    chance: float
    scores: NDArray[np.float64]


class RelationReader:
    """The relation classifier of a model folder.

    Args:
        folder: a checked folder of a relation model.
        threads: threads one graph may use; None for as many as there are cores.
        cache: where features of pictures are kept between runs; None to keep none.
        lender: the tagger's network, to borrow what is the same there.

    Attributes:
        folder: the folder.
        grammar: which types of head and tail allow which relation.
    """

    def __init__(
        self,
        folder: ModelFolder,
        threads: int | None = None,
        cache: FeatureCache | None = None,
        lender: Network | None = None,
    ) -> None:
        relation = folder.config.relation
        if relation is None:
            raise ModelError(
                f"the model is for {folder.config.task}", where=str(folder.path), expected="a relation model"
            )
        self.folder = folder
        self.labels = folder.config.labels
        self.grammar = Grammar(self.labels, relation.arguments)
        self.network = Network(folder, threads, cache, lender)
        self._pairs = PairPieces(self.network.pieces, relation.markers)

    def read(
        self,
        posts: Sequence[Post],
        pairs: Sequence[Sequence[Pair]],
        batch_size: int = 32,
        known: PostSources | None = None,
    ) -> list[list[PairReading]]:
        """Read pairs of some posts together.

        Args:
            posts: some hundreds at a time.
            pairs: of each post, in words of `segment_post`; of a post without any nothing is read.
            batch_size: windows in a batch, at most.
            known: sources of the posts that were read already, just as this model would (`Network.same`).

        Returns:
            A reading a pair, in the order of ``pairs``.
        """
        readings: list[list[PairReading]] = [[] for _ in posts]
        asked = [i for i, row in enumerate(pairs) if row]
        if not asked:
            return readings
        part = None if known is None else known.part(asked, known.states)
        found = self.network.read_sources([posts[i] for i in asked], batch_size, part)
        rows = [row for n, i in enumerate(asked) for row in self._rows(n, posts[i], pairs[i])]
        outputs = {n: _only_slot(output) for n, output in self.network.run(rows, found, batch_size)}
        flat = [(i, pair) for i in asked for pair in pairs[i]]
        for number, (i, (head, tail)) in enumerate(flat):
            post = rows[number].post
            there = (True, *(states[post] is not None for states in found.states.values()))
            readings[i].append(PairReading(head, tail, found.pictures[post], there, *outputs[number]))
        return readings

    def _rows(self, number: int, post: Post, pairs: Sequence[Pair]) -> list[Row]:
        marked = self._pairs.windows(post.text, segment_post(post), pairs)
        return [Row(number, pair.window, pair.slot) for pair in marked]

    def judge(self, readings: Sequence[PairReading]) -> list[Verdict]:
        """The most probable relation of each pair; all compete.

        For pairs whose types are a guess: a wrong one must not forbid the right one. How sure that is, is
        asked as in use: among the relations that types allow, here those of what was found.
        """
        rivals = self.grammar.rivals
        return [self._verdict(reading, rivals(int(reading.emissions.argmax()))) for reading in readings]

    def judge_typed(self, readings: Sequence[PairReading]) -> list[Verdict]:
        """As `judge`; "None" and those compete that the types allow, which are told beside the relation."""
        fits = self.grammar.fits
        return [self._verdict(reading, fits(reading.head.type, reading.tail.type)) for reading in readings]

    def _verdict(self, reading: PairReading, allowed: NDArray[np.bool_]) -> Verdict:
        scores = np.where(allowed, reading.emissions.astype(np.float64), -np.inf)
        best = int(scores.argmax())
        chance = float(class_chances(scores[None], 1.0)[0, best])
        return Verdict(best, self.labels[best], chance, scores)


def class_chances(
    scores: NDArray[np.float64], temperature: float | NDArray[np.float64]
) -> NDArray[np.float64]:
    """Softmax of scores (S, K) over the relations, divided by a temperature, one for all or (S, 1)."""
    powers = np.exp((scores - scores.max(1, keepdims=True)) / temperature)
    return np.asarray(powers / powers.sum(1, keepdims=True))


def _only_slot(output: FusionOutput) -> FusionOutput:
    # Copied, so that the batch it is cut from can go.
    return FusionOutput(*(None if x is None else x[..., 0, :].copy() for x in output))  # type: ignore[arg-type]
