"""System A, form ``revision``: one Normal-Inverse-Gamma (NIG) per modality and output, pooled into one.

After "Integrating Large Pre-trained Models into Multimodal Named Entity Recognition with Evidential Fusion"
(arXiv 2306.16991). The idea (one NIG per modality, fused; hierarchical uncertainty) is the paper's; the
architecture for tagging is RECONSTRUCTED, since it is not published where we could read it:

- δ: the text predicts δ_text; every further modality revises it, δₘ = δ_text + Δₘ. Emissions are s·δ + b of
  the pooled δ.
- γ: a linear map of the states (of the word, and of its attention to the modality). It is the only evidence
  parameter that is learned from the states.
- α and β: a 2×2 linear map of log p(1−p) and log H(p), with p the softmax of the modality's own scores
  (`VarianceHead`). They depend on the states only through the predicted probabilities.

`evidential_direct` is the form without these departures; docs/systems/evidential.md lists each with its
reason.

For relations the states of the pair replace those of a word, and the K outputs are the relation classes.

Shapes: B posts, W slots (the words of a tagger, the one pair of a relation), P words in a slot, D width of a
slot's states, N elements of a modality, V its width, H hidden size, K outputs, M modalities, C blank
pictures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from twofold.fusion.attention import GatedCrossAttention
from twofold.fusion.contract import Fusion, FusionOutput, LossInputs, Modalities, ModalityStates, gather_slots
from twofold.fusion.nig import INITIAL_SCALE, NIG, Pooling, absent_nig, evidence_loss, from_scores, nigs_of

BLANK_EVIDENCE_WEIGHT = 0.1
"""Weight, in the loss, of the evidence predicted for a blank picture."""


@dataclass(frozen=True, slots=True)
class PicturePerturbation:
    """Replaced pictures in training (ours; docs/confidence.md). The two probabilities sum to at most 1.

    Attributes:
        blank: probability that a picture is replaced by a blank one. Its γ adds to the loss: nothing else
            teaches the model that no content is no evidence, and a blank picture could lower the
            uncertainty.
        mismatched: probability that a picture is replaced by that of another post of the batch, so that the
            model does not memorise which picture belongs to which text. Its γ adds nothing to the loss: γ of
            the posts' own pictures would fall with it.
    """

    blank: float = 0.0
    mismatched: float = 0.0

    @property
    def total(self) -> float:
        """Probability that a picture is replaced."""
        return self.blank + self.mismatched


@dataclass(frozen=True, slots=True)
class EvidentialSettings:
    """Settings of the fusion.

    Attributes:
        hidden_size: H, size of the attention of a word to a modality.
        evidence_weight: λₑ, weight of the evidence loss.
        regulariser_weight: λ, weight of the penalty on evidence for wrong predictions.
        text_dropout: probability that the text's own evidence is left out in training where another modality
            is present.
        warmup_steps: training steps in which λₑ rises from 0. Before the text encoder has learned anything
            the evidence loss would remove the text's weight, and nothing would restore it: along
            β(1+γ)/(γα) = constant the likelihood does not distinguish γ from β.
        pictures: replaced pictures in training.
    """

    hidden_size: int = 64
    evidence_weight: float = 1.0
    regulariser_weight: float = 0.01
    text_dropout: float = 0.05
    warmup_steps: int = 400
    pictures: PicturePerturbation = field(default_factory=PicturePerturbation)


@dataclass(frozen=True)
class BlankPictures(LossInputs):
    """Inputs of the loss if pictures may have been replaced.

    Attributes:
        blank: (B, M) True where the modality comes from a blank picture.
    """

    blank: Tensor


class VarianceHead(nn.Module):
    """Scores of α and β from p(1−p) of each output and the entropy of all: a 2×2 linear map of their
    logarithms.

    p(1−p) is the variance of a one-hot target that is right with probability p. Heads on the states of words
    learn the residuals of the training data, which the network has memorised: on unseen posts, such values
    did not predict errors (docs/log.md).

    Args:
        name: name of the modality; each initially predicts a variance near 0.1 where all outputs are equally
            probable, whatever its γ.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self.scores = nn.Linear(2, 2)
        with torch.no_grad():
            self.scores.weight.copy_(torch.tensor([[-0.5, -0.5], [0.3, 0.3]]))
            self.scores.bias.copy_(torch.tensor([0.17, -1.4 if name == "text" else -2.8]))

    def forward(self, logits: Tensor) -> Tensor:
        """Scores (B, W, K, 2) of α and β from logits (B, W, K)."""
        logs = torch.log_softmax(logits, 2)
        probability = logs.exp()
        variance = torch.log(probability * (1 - probability) + 1e-4)
        entropy = torch.log(-(probability * logs).sum(2, keepdim=True) + 1e-3).expand_as(variance)
        scores: Tensor = self.scores(torch.stack([variance, entropy], 3))
        return scores


class Evidential(Fusion):
    """Evidential fusion over any number of modalities, each of which may be absent.

    Args:
        width: D of the words.
        outputs: K.
        modality_widths: V of each modality besides the text, by name.
        pooling: rule that pools the NIGs of the modalities, for states of width P·D.
        slot_size: P.
        settings: sizes, weights and probabilities.
    """

    def __init__(
        self,
        width: int,
        outputs: int,
        modality_widths: Mapping[str, int],
        pooling: Pooling,
        slot_size: int = 1,
        settings: EvidentialSettings | None = None,
    ) -> None:
        super().__init__()
        self.modalities = ("text", *modality_widths)
        self.outputs, self.pooling = outputs, pooling
        self.settings = settings or EvidentialSettings()
        self.perturbs_pictures = self.settings.pictures.total > 0
        width, hidden_size = width * slot_size, self.settings.hidden_size
        self.views = nn.ModuleDict(
            {n: GatedCrossAttention(width, v, hidden_size) for n, v in modality_widths.items()}
        )
        self.delta_heads = nn.ModuleDict({"text": nn.Linear(width, outputs)})
        self.delta_heads.update({n: _zero_head(hidden_size, outputs) for n in modality_widths})
        self.gamma_heads = nn.ModuleDict(
            {
                n: _gamma_head(width if n == "text" else hidden_size + width, outputs, n)
                for n in self.modalities
            }
        )
        self.variance_heads = nn.ModuleDict({n: VarianceHead(n) for n in self.modalities})
        self.drop = nn.Dropout(0.1)
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))
        self.scale = nn.Parameter(torch.tensor(INITIAL_SCALE))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(
        self, words: Tensor, mask: Tensor, modalities: Modalities, slots: Tensor | None = None
    ) -> FusionOutput:
        """Fuse; see `Fusion.forward`. Emissions are s·δ + b with a learned scale s.

        No gradient of the cross-attention flows to words and states: pictures must not change the text
        encoder.
        """
        words = gather_slots(words, slots)  # (B, W, P·D): each slot is treated as a word
        modalities, loss_inputs = self._perturbed(modalities)
        present = self._present(words, modalities)  # (B, M)
        text_delta = (
            self.delta_heads["text"](self.drop(words)) / INITIAL_SCALE
        )  # (B, W, K), in units of the CRF
        stacks = [self._evidence("text", text_delta, words)]
        stacks += [
            self._modality_evidence(name, words, text_delta, modalities.get(name))
            for name in self.modalities[1:]
        ]
        evidence = torch.stack(stacks, 1)  # (B, M, 4, W, K)
        nig = NIG(*evidence.unbind(2))
        pooled, weight = self.pooling(nig, present[:, :, None, None].to(words.dtype), words)
        emissions = self.scale * pooled.delta + self.bias
        share = _share(text_delta, nig.delta, weight)
        return FusionOutput(emissions, evidence, torch.stack(pooled, 1), share, present, loss_inputs)

    def set_blank_pictures(self, states: Mapping[str, Tensor]) -> None:
        """See `Fusion.set_blank_pictures`; they are not part of the saved weights."""
        for name, blank in states.items():
            self.register_buffer(f"blank_{name}", blank, persistent=False)

    def _perturbed(self, modalities: Modalities) -> tuple[Modalities, BlankPictures | None]:
        """The modalities with some pictures replaced in training; and, if any may be, which are blank."""
        known = {n: b for n in self.modalities[1:] if (b := getattr(self, f"blank_{n}", None)) is not None}
        visual = [
            name for name in known if name in modalities
        ]  # in the order in which random numbers are drawn
        if not self.training or not visual:
            return modalities, None
        pictures = self.settings.pictures
        perturbed, blank = dict(modalities), {}
        mask = modalities[visual[0]].mask
        draw = torch.rand(len(mask), device=mask.device)  # shared by all modalities: they are of one picture
        other = torch.randperm(len(mask), device=mask.device) if pictures.mismatched else None
        for name in visual:
            perturbed[name], blank[name] = _with_blanks(modalities[name], known[name], draw < pictures.blank)
            if other is not None:
                rows = (draw >= pictures.blank) & (draw < pictures.total)
                perturbed[name] = _with_mismatches(perturbed[name], modalities[name], other, rows)
        none = torch.zeros_like(next(iter(blank.values())))
        return perturbed, BlankPictures(torch.stack([blank.get(name, none) for name in self.modalities], 1))

    def _present(self, words: Tensor, modalities: Modalities) -> Tensor:
        """(B, M) True where a modality takes part; in training the text is left out at random."""
        absent = torch.zeros(words.shape[0], dtype=torch.bool, device=words.device)
        others = [modalities[n].mask.any(1) if n in modalities else absent for n in self.modalities[1:]]
        if not others:
            return ~absent.unsqueeze(1)
        present = torch.stack(others, 1)
        text = torch.ones_like(absent)
        if self.training:
            text = torch.rand(text.shape, device=words.device) >= self.settings.text_dropout
        return torch.cat([(text | ~present.any(1)).unsqueeze(1), present], 1)

    def _modality_evidence(
        self, name: str, words: Tensor, text_delta: Tensor, modality: ModalityStates | None
    ) -> Tensor:
        """NIGs (B, 4, W, K) of a modality, whose δ is that of the text plus a revision.

        A modality without useful content revises nothing, and the pooled δ remains that of the text.
        """
        if modality is None:
            return absent_nig(words, self.outputs)
        view = self.views[name](words, modality)
        revised = text_delta + self.delta_heads[name](self.drop(view)) / INITIAL_SCALE
        return self._evidence(name, revised, torch.cat([view, words.detach()], 2))

    def _evidence(self, name: str, delta: Tensor, context: Tensor) -> Tensor:
        """NIGs (B, 4, W, K): γ from the context (B, W, ·), α and β from δ (B, W, K).

        The context of a further modality includes the word: how reliable a picture is depends on it, and
        without it the modality would be as confident about difficult words as about easy ones.
        """
        gamma = self.gamma_heads[name](self.drop(context)).unsqueeze(3)
        variance = self.variance_heads[name](self.scale.detach() * delta.detach() + self.bias.detach())
        return torch.stack(from_scores(torch.cat([delta.unsqueeze(3), gamma, variance], 3)), 1)

    def loss(self, output: FusionOutput, targets: Tensor, mask: Tensor) -> Tensor:
        """λₑ · mean over slots and outputs of Σ over {modalities, pooled} (NLL + λR), one-hot targets; plus
        the evidence predicted for blank pictures."""
        single, pooled, present = nigs_of(output)
        # Only the text's γ is trained by the likelihood, which cannot distinguish it from β; that of other
        # modalities, and so their share, is trained by its effect on the pooled δ.
        gammas = torch.cat([single.gamma[:, :1], single.gamma[:, 1:].detach()], 1)
        weight = self.settings.evidence_weight * self._warm_up(self.settings.warmup_steps)
        loss = weight * evidence_loss(
            single._replace(gamma=gammas),
            pooled._replace(gamma=pooled.gamma.detach()),
            present,
            targets,
            mask,
            self.settings.regulariser_weight,
        )
        if isinstance(output.loss_inputs, BlankPictures):
            blank = output.loss_inputs.blank
            loss = loss + BLANK_EVIDENCE_WEIGHT * self._blank_evidence(single.gamma, blank, mask)
        return loss

    def _blank_evidence(self, gamma: Tensor, blank: Tensor, mask: Tensor) -> Tensor:
        """Mean γ, over slots and outputs, of the modalities that come from blank pictures (B, M)."""
        where = (blank.unsqueeze(2) & mask.unsqueeze(1)).unsqueeze(3)  # (B, M, W, 1)
        return (gamma * where).sum() / (where.sum() * self.outputs).clamp(min=1)


def _with_blanks(modality: ModalityStates, blank: Tensor, rows: Tensor) -> tuple[ModalityStates, Tensor]:
    """Replace a modality by that of a blank picture, for some of the posts that have it.

    Args:
        modality: states (B, N, V).
        blank: (C, N', V) elements of blank pictures, repeated where N is above N'.
        rows: (B,) True for those posts.

    Returns:
        The modality, and (B,) where it comes from a blank picture.
    """
    count, elements = modality.mask.shape
    rows = rows & modality.mask.any(1)
    drawn = blank[torch.randint(len(blank), (count,), device=blank.device)]  # (B, N', V)
    drawn = drawn[:, torch.arange(elements, device=blank.device) % blank.shape[1]]
    return ModalityStates(torch.where(rows[:, None, None], drawn, modality.states), modality.mask), rows


def _with_mismatches(
    perturbed: ModalityStates, own: ModalityStates, other: Tensor, rows: Tensor
) -> ModalityStates:
    """Replace a modality by that of another post, for some of the posts that have it.

    Args:
        perturbed: states (B, N, V), some already replaced.
        own: the posts' own.
        other: (B,) number of the other post of each.
        rows: (B,) True for those posts; they keep their own where the other post has none.
    """
    states, mask = own.states[other], own.mask[other]
    rows = (rows & own.mask.any(1) & mask.any(1)).unsqueeze(1)
    return ModalityStates(
        torch.where(rows.unsqueeze(2), states, perturbed.states), torch.where(rows, mask, perturbed.mask)
    )


def _share(text_delta: Tensor, delta: Tensor, weight: Tensor) -> Tensor:
    """Share of each modality in the pooled δ = δ_text + Σ wₘ(δₘ − δ_text), by absolute size.

    Args:
        text_delta: (B, W, K) δ_text.
        delta: (B, M, W, K) δ of each modality, the text first.
        weight: (B, M, W, K) weights wₘ of the pooling; 0 where a modality is absent.

    Returns:
        (B, M, W, K), sums to 1 over M. The weights alone would give a share to a modality that revises
        nothing.
    """
    revisions = (weight * (delta - text_delta.unsqueeze(1)))[:, 1:].abs()
    parts = torch.cat([text_delta.abs().unsqueeze(1) + 1e-6, revisions], 1)
    return parts / parts.sum(1, keepdim=True)


def _zero_head(hidden_size: int, outputs: int) -> nn.Linear:
    """Scores by which a modality revises δ_text; zero before training."""
    head = nn.Linear(hidden_size, outputs)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    return head


def _gamma_head(width: int, outputs: int, name: str) -> nn.Linear:
    """Scores of γ for each output; they start near γ = 2.1 for the text and 0.31 for other modalities."""
    head = nn.Linear(width, outputs)
    with torch.no_grad():
        head.bias.fill_(2.0 if name == "text" else -1.0)
        head.weight.mul_(0.3)
    return head
