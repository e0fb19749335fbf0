"""System A: evidential fusion. One Normal-Inverse-Gamma per source and tag, pooled into one.

After "Integrating Large Pre-trained Models into Multimodal Named Entity Recognition with Evidential
Fusion" (arXiv 2306.16991). The idea (one NIG a modality, fused; hierarchical uncertainty) is the
paper's; the wiring for tagging is RECONSTRUCTED, since it is not published where we could read it: every
further source revises the text's reading, δₘ = δ_text + Δₘ, and emissions are s·δ + b of the pooled δ;
γ comes of what the source shows, α and β of how far its reading hesitates between the outputs.

For relations the pair's states stand where the word's do, and K are the relation classes.

Shapes: B posts, W slots (a tagger's words, a relation's one pair), P words of a slot, D width of a
slot's states, N elements of a source, V its width, H inner width, K outputs, M sources, C blank pictures.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from twofold.fusion.attention import SourceView
from twofold.fusion.contract import Fused, Fusion, Source, at_slots
from twofold.fusion.nig import NIG, Pooling, from_scores, nll, regulariser

SCALE = 4.5
"""Where the learned scale of emissions starts. A tagger trained by its CRF alone scores the right tag of a
word it is sure of at about 4.5; with this scale that is δ = 1, the target, and what is left over is doubt."""
BLANK_WEIGHT = 0.1
"""Weight of the evidence that is claimed for a picture known to be blank."""


class Exchange(NamedTuple):
    """Wrong pictures shown in training (ours; docs/confidence.md).

    Attributes:
        blanks: chance that a picture is shown as a blank one, where every γ that is claimed for it costs.
            Nothing else says that no content is no evidence, and then an uncertainty may fall with it.
        strangers: chance that it is another's of the batch, so that what stood beside a text by chance is
            not learned by heart. Its γ costs nothing: with it, that of the own pictures would go as well.
            The two together are at most 1.
    """

    blanks: float = 0.0
    strangers: float = 0.0


AS_THEY_ARE = Exchange()
"""No wrong pictures."""


class Doubt(nn.Module):
    """Scores of α and β from how far a reading hesitates: p(1−p) of each output, and the entropy of all.

    p(1−p) is the variance of a one-hot target that is right with chance p. Heads that see the states
    of words instead learn the residuals of training, which the network knows by heart: measured on
    posts they had not seen, such values told nothing of errors (docs/log.md).

    Args:
        name: of the source; at the start both kinds predict a variance near 0.1 of a reading that
            knows nothing, whatever their γ.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self.scores = nn.Linear(2, 2)
        with torch.no_grad():
            self.scores.weight.copy_(torch.tensor([[-0.5, -0.5], [0.3, 0.3]]))
            self.scores.bias.copy_(torch.tensor([0.17, -1.4 if name == "text" else -2.8]))

    def forward(self, logits: Tensor) -> Tensor:
        """Scores (B, W, K, 2) of α and β from logits (B, W, K)."""
        logs = torch.log_softmax(logits.float(), 2)
        chance = logs.exp()
        own = torch.log(chance * (1 - chance) + 1e-4)
        every = torch.log(-(chance * logs).sum(2, keepdim=True) + 1e-3).expand_as(own)
        scores: Tensor = self.scores(torch.stack([own, every], 3))
        return scores


class Evidential(Fusion):
    """Evidential fusion over any number of sources, each of which may be absent.

    Args:
        width: D.
        outputs: K.
        source_widths: V of each source besides the text, by name.
        pooling: rule that makes one NIG of many, for states of width P·D.
        places: P.
        inner: H, width of a source's view.
        evidence_weight: λₑ, weight of the evidence loss.
        regulariser_weight: λ, weight of evidence for wrong predictions.
        text_dropout: chance that the text's own evidence is left out where another source is there.
        warmup: training steps over which λₑ rises from 0. Evidence judged before the text encoder
            knows anything would take the text's weight away, and nothing gives it back: along
            β(1+γ)/(γα) = constant the likelihood does not tell γ from β.
        exchange: wrong pictures in training.
    """

    def __init__(
        self,
        width: int,
        outputs: int,
        source_widths: Mapping[str, int],
        pooling: Pooling,
        *,
        places: int = 1,
        inner: int = 64,
        evidence_weight: float = 1.0,
        regulariser_weight: float = 0.01,
        text_dropout: float = 0.05,
        warmup: int = 400,
        exchange: Exchange = AS_THEY_ARE,
    ) -> None:
        super().__init__()
        self.sources = ("text", *source_widths)
        width *= places
        self.outputs = outputs
        self.pooling = pooling
        self.evidence_weight, self.regulariser_weight = evidence_weight, regulariser_weight
        self.text_dropout, self.exchange = text_dropout, exchange
        self.exchanges_pictures = sum(exchange) > 0
        self.views = nn.ModuleDict({n: SourceView(width, v, inner) for n, v in source_widths.items()})
        self.means = nn.ModuleDict({"text": nn.Linear(width, outputs)})
        self.means.update({n: _revision_head(inner, outputs) for n in source_widths})
        self.levels = nn.ModuleDict(
            {n: _level_head(width if n == "text" else inner + width, outputs, n) for n in self.sources}
        )
        self.doubts = nn.ModuleDict({n: Doubt(n) for n in self.sources})
        self.drop = nn.Dropout(0.1)
        self.warmup = warmup
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))
        self.scale = nn.Parameter(torch.tensor(SCALE))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(
        self, words: Tensor, mask: Tensor, sources: Mapping[str, Source], slots: Tensor | None = None
    ) -> Fused:
        """Fuse; see `Fusion.forward`. Emissions are s·δ + b with a learned scale s.

        Views take words and states as they are: what a picture says must not bend the text encoder.
        """
        words = at_slots(words, slots)  # (B, W, P·D): each slot is read as a word is
        sources, blank = self._shown(sources)
        present = self._present(words, sources)  # (B, M)
        reading = self.means["text"](self.drop(words)) / SCALE  # (B, W, K), the head works in the CRF's units
        stacks = [self._evidence("text", reading, words)]
        stacks += [self._seen(name, words, reading, sources.get(name)) for name in self.sources[1:]]
        evidence = torch.stack(stacks, 1)  # (B, M, 4, W, K)
        nig = NIG(*evidence.unbind(2))
        pooled, weight = self.pooling(nig, present[:, :, None, None].to(words.dtype), words)
        emissions = self.scale * pooled.delta + self.bias
        share = _share(reading, nig.delta, weight)
        return Fused(emissions, evidence, torch.stack(pooled, 1), share, present, blank)

    def know_blanks(self, states: Mapping[str, Tensor]) -> None:
        """See `Fusion.know_blanks`; they are kept for training only."""
        for name, blank in states.items():
            self.register_buffer(f"blank_{name}", blank, persistent=False)

    def _shown(self, sources: Mapping[str, Source]) -> tuple[Mapping[str, Source], tuple[Tensor, ...]]:
        """The sources, in training some exchanged; and, where any may be, (B, M) which are blank."""
        known = {n: b for n in self.sources[1:] if (b := getattr(self, f"blank_{n}", None)) is not None}
        pictured = [name for name in known if name in sources]  # in their order, as random numbers are drawn
        if not self.training or not pictured:
            return sources, ()
        shown, which = dict(sources), {}
        mask = sources[pictured[0]].mask
        lot = torch.rand(len(mask), device=mask.device)  # one for all sources: they are of one picture
        other = torch.randperm(len(mask), device=mask.device) if self.exchange.strangers else None
        for name in pictured:
            shown[name], which[name] = _blanked(sources[name], known[name], lot < self.exchange.blanks)
            if other is not None:
                rows = (lot >= self.exchange.blanks) & (lot < sum(self.exchange))
                shown[name] = _exchanged(shown[name], sources[name], other, rows)
        none = torch.zeros_like(next(iter(which.values())))
        return shown, (torch.stack([which.get(name, none) for name in self.sources], 1),)

    def _present(self, words: Tensor, sources: Mapping[str, Source]) -> Tensor:
        """(B, M) True where a source takes part; in training the text is left out at random."""
        absent = torch.zeros(words.shape[0], dtype=torch.bool, device=words.device)
        others = [sources[n].mask.any(1) if n in sources else absent for n in self.sources[1:]]
        if not others:
            return ~absent.unsqueeze(1)
        seen = torch.stack(others, 1)
        text = torch.ones_like(absent)
        if self.training:
            text = torch.rand(text.shape, device=words.device) >= self.text_dropout
        return torch.cat([(text | ~seen.any(1)).unsqueeze(1), seen], 1)

    def _seen(self, name: str, words: Tensor, reading: Tensor, source: Source | None) -> Tensor:
        """NIGs (B, 4, W, K) of a source: the text's reading δ as the source would revise it.

        A source that shows nothing of use revises nothing, and leaves the pooled δ where the text
        put it instead of pulling it to its own ignorance.
        """
        if source is None:
            shape = (words.shape[0], 4, words.shape[1], self.outputs)
            return torch.full(shape, 2.0, dtype=words.dtype, device=words.device)  # masked, but finite
        view = self.views[name](words, source)
        revised = reading + self.means[name](self.drop(view)) / SCALE
        return self._evidence(name, revised, torch.cat([view, words.detach()], 2))

    def _evidence(self, name: str, delta: Tensor, context: Tensor) -> Tensor:
        """NIGs (B, 4, W, K): γ from what the source shows and from the word it is about, α and β from δ.

        How far a picture can be trusted depends on the word; a source that could not know which
        words are hard would claim for them the certainty it rightly has of the easy ones.
        """
        level = self.levels[name](self.drop(context)).unsqueeze(3)
        doubt = self.doubts[name](self.scale.detach() * delta.detach() + self.bias.detach())
        return torch.stack(from_scores(torch.cat([delta.unsqueeze(3), level, doubt], 3).float()), 1)

    def loss(self, fused: Fused, targets: Tensor, mask: Tensor) -> Tensor:
        """λₑ · mean over slots and outputs of Σ over {sources, fused} (NLL + λR), one-hot targets."""
        assert fused.evidence is not None
        assert fused.fused is not None
        assert fused.present is not None
        target = one_hot(targets.masked_fill(~mask, 0), self.outputs).to(fused.emissions.dtype)
        pooled = NIG(*fused.fused.unbind(1))  # (B, W, K)
        single = NIG(*fused.evidence.unbind(2))  # (B, M, W, K)
        # Only the text's γ answers to the likelihood, which cannot tell it from β; that of the other
        # sources, and so their share, to what they do to the pooled δ.
        levels = torch.cat([single.gamma[:, :1], single.gamma[:, 1:].detach()], 1)
        pooled_loss = self._penalty(pooled._replace(gamma=pooled.gamma.detach()), target)
        single_loss = self._penalty(single._replace(gamma=levels), target.unsqueeze(1))
        total = pooled_loss + (single_loss * fused.present[:, :, None, None]).sum(1)
        weight = mask.unsqueeze(2)
        mean = (total * weight).sum() / (weight.sum() * self.outputs).clamp(min=1)
        loss: Tensor = self._weight() * mean
        for blank in fused.internal:
            loss = loss + BLANK_WEIGHT * self._claimed(single.gamma, blank, mask)
        return loss

    def _claimed(self, gamma: Tensor, blank: Tensor, mask: Tensor) -> Tensor:
        """Mean γ, over slots and outputs, of the sources that were blank (B, M)."""
        where = (blank.unsqueeze(2) & mask.unsqueeze(1)).unsqueeze(3)  # (B, M, W, 1)
        return (gamma * where).sum() / (where.sum() * self.outputs).clamp(min=1)

    def _weight(self) -> float:
        steps = self.get_buffer("steps")
        if self.training:
            steps += 1
        return self.evidence_weight * min(1.0, int(steps) / max(1, self.warmup))

    def _penalty(self, nig: NIG, target: Tensor) -> Tensor:
        return nll(nig, target) + self.regulariser_weight * regulariser(nig, target)


def _blanked(source: Source, blank: Tensor, rows: Tensor) -> tuple[Source, Tensor]:
    """A source, blank in some of the posts that have it.

    Args:
        source: states (B, N, V).
        blank: (C, N', V) elements of blank pictures, gone through again where N is above N'.
        rows: (B,) True for those posts.

    Returns:
        The source, and (B,) where it is blank now.
    """
    count, elements = source.mask.shape
    rows = rows & source.mask.any(1)
    drawn = blank[torch.randint(len(blank), (count,), device=blank.device)]  # (B, N', V)
    drawn = drawn[:, torch.arange(elements, device=blank.device) % blank.shape[1]]
    return Source(torch.where(rows[:, None, None], drawn, source.states), source.mask), rows


def _exchanged(shown: Source, own: Source, other: Tensor, rows: Tensor) -> Source:
    """What is shown, another post's in some of the posts that have the source.

    Args:
        shown: states (B, N, V). own: the posts' own.
        other: (B,) the other post of each.
        rows: (B,) True for those posts; they keep their own where the other has nothing.
    """
    states, mask = own.states[other], own.mask[other]
    rows = (rows & own.mask.any(1) & mask.any(1)).unsqueeze(1)
    return Source(torch.where(rows.unsqueeze(2), states, shown.states), torch.where(rows, mask, shown.mask))


def _share(reading: Tensor, delta: Tensor, weight: Tensor) -> Tensor:
    """Part of each source in the pooled δ = δ_text + Σ wₘ(δₘ − δ_text), by size.

    Args:
        reading: (B, W, K) δ_text.
        delta: (B, M, W, K) δ of each source, the text's first.
        weight: (B, M, W, K) weights wₘ of the pooling; 0 where a source is absent.

    Returns:
        (B, M, W, K), sums to 1 over M. Weights alone would call a source that revises nothing, and
        so agrees with the text, the ground of the decision.
    """
    revisions = (weight * (delta - reading.unsqueeze(1)))[:, 1:].abs()
    parts = torch.cat([reading.abs().unsqueeze(1) + 1e-6, revisions], 1)
    return parts / parts.sum(1, keepdim=True)


def _revision_head(inner: int, outputs: int) -> nn.Linear:
    """Scores by which a source revises the text's reading; none before training."""
    head = nn.Linear(inner, outputs)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    return head


def _level_head(width: int, outputs: int, name: str) -> nn.Linear:
    """Scores of γ for each output; sources besides the text begin with little evidence: 2.1 and 0.31."""
    head = nn.Linear(width, outputs)
    with torch.no_grad():
        head.bias.fill_(2.0 if name == "text" else -1.0)
        head.weight.mul_(0.3)
    return head
