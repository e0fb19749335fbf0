"""System A in its textbook form: one Normal-Inverse-Gamma head a modality, on that modality's own states.

RECONSTRUCTED wiring, with nothing in it but what the parents publish: Amini et al. (NeurIPS 2020) for head
and evidence loss, Ma et al. (MoNIG, NeurIPS 2021, Eq. 9) for the pool and for the loss on each modality *and* on
the pooled distribution. All four outputs are learned from states; α > 1 and β > 0 have no other floor; no
gradient is detached. γ and α stay below `nig.EVIDENCE_CAP`, since one-hot targets bound neither.
`evidential` is the form that departs from this one, with the reasons.

Shapes: B posts, W slots (a tagger's words, a relation's one pair), P words of a slot, D width of a
slot's states, N elements of a source, V its width, H inner width, K outputs, M sources.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot, scaled_dot_product_attention

from twofold.fusion.contract import Fused, Fusion, Source, at_slots
from twofold.fusion.evidential import SCALE
from twofold.fusion.nig import NIG, Pooling, nll, regulariser, textbook


class CrossAttention(nn.Module):
    """What each word sees in a source: multi-head attention, its values alone.

    Args:
        width: D of the words.
        source_width: V of the source.
        inner: H, width of the view.
        heads: attention heads; divides H.
    """

    def __init__(self, width: int, source_width: int, inner: int, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(source_width)
        self.query = nn.Linear(width, inner)
        self.key = nn.Linear(source_width, inner)
        self.value = nn.Linear(source_width, inner)
        self.out = nn.Linear(inner, inner)

    def forward(self, words: Tensor, source: Source) -> Tensor:
        """View (B, W, H) of a source (B, N, V), finite also where the source is wholly masked."""
        states = self.norm(source.states)
        asked = (self.query(words), self.key(states), self.value(states))
        query, key, value = (x.unflatten(2, (self.heads, -1)).transpose(1, 2) for x in asked)
        hidden = torch.zeros(source.mask.shape, dtype=query.dtype, device=query.device)
        hidden = hidden.masked_fill(~source.mask, -1e4)[:, None, None]  # (B, 1, 1, N)
        seen = scaled_dot_product_attention(query, key, value, hidden)  # (B, h, W, H/h)
        view: Tensor = self.out(seen.transpose(1, 2).flatten(2))
        return view


class EvidentialDirect(Fusion):
    """Evidential fusion of any number of sources, each of which may be absent.

    Args:
        width: D.
        outputs: K.
        source_widths: V of each source besides the text, by name.
        pooling: rule that makes one NIG of many.
        places: P.
        inner: H, width of a source's view.
        evidence_weight: λₑ, weight of the evidence loss.
        regulariser_weight: λ, weight of evidence for wrong predictions.
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
    ) -> None:
        super().__init__()
        self.sources = ("text", *source_widths)
        width *= places
        self.outputs = outputs
        self.pooling = pooling
        self.evidence_weight, self.regulariser_weight = evidence_weight, regulariser_weight
        self.views = nn.ModuleDict({n: CrossAttention(width, v, inner) for n, v in source_widths.items()})
        self.heads = nn.ModuleDict({"text": nn.Linear(width, 4 * outputs)})
        self.heads.update({n: nn.Linear(inner, 4 * outputs) for n in source_widths})
        self.drop = nn.Dropout(0.1)
        self.scale = nn.Parameter(torch.tensor(SCALE))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(
        self, words: Tensor, mask: Tensor, sources: Mapping[str, Source], slots: Tensor | None = None
    ) -> Fused:
        """Fuse; see `Fusion.forward`. Emissions are s·δ + b with a learned scale s."""
        words = at_slots(words, slots)  # (B, W, P·D)
        nothing = torch.zeros(words.shape[0], dtype=torch.bool, device=words.device)
        there = [sources[n].mask.any(1) if n in sources else nothing for n in self.sources[1:]]
        present = torch.stack([~nothing, *there], 1)  # (B, M)
        stacks = [self._evidence("text", words)]
        stacks += [self._seen(name, words, sources.get(name)) for name in self.sources[1:]]
        evidence = torch.stack(stacks, 1)  # (B, M, 4, W, K)
        nig = NIG(*evidence.unbind(2))
        pooled, share = self.pooling(nig, present[:, :, None, None].to(words.dtype), words)
        return Fused(self.scale * pooled.delta + self.bias, evidence, torch.stack(pooled, 1), share, present)

    def _seen(self, name: str, words: Tensor, source: Source | None) -> Tensor:
        if source is None:
            shape = (words.shape[0], 4, words.shape[1], self.outputs)
            return torch.full(shape, 2.0, dtype=words.dtype, device=words.device)  # masked, but finite
        return self._evidence(name, self.views[name](words, source))

    def _evidence(self, name: str, states: Tensor) -> Tensor:
        """NIGs (B, 4, W, K) of one source, all four from its states (B, W, ·)."""
        scores = self.heads[name](self.drop(states)).unflatten(2, (self.outputs, 4))
        return torch.stack(textbook(scores.float()), 1)

    def loss(self, fused: Fused, targets: Tensor, mask: Tensor) -> Tensor:
        """λₑ · mean over slots and outputs of Σ over {sources, fused} (NLL + λR), one-hot targets."""
        assert fused.evidence is not None
        assert fused.fused is not None
        assert fused.present is not None
        target = one_hot(targets.masked_fill(~mask, 0), self.outputs).to(fused.emissions.dtype)
        pooled = NIG(*fused.fused.unbind(1))  # (B, W, K)
        single = NIG(*fused.evidence.unbind(2))  # (B, M, W, K)
        each = self._penalty(single, target.unsqueeze(1)) * fused.present[:, :, None, None]
        total = self._penalty(pooled, target) + each.sum(1)
        weight = mask.unsqueeze(2)
        loss: Tensor = self.evidence_weight * (total * weight).sum()
        return loss / (weight.sum() * self.outputs).clamp(min=1)

    def _penalty(self, nig: NIG, target: Tensor) -> Tensor:
        return nll(nig, target) + self.regulariser_weight * regulariser(nig, target)
