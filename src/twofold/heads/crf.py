"""Linear-chain conditional random field over BIO tags: loss and Viterbi, with forbidden transitions.

Shapes: B posts, W words, K tags. Lafferty, McCallum & Pereira (2001); the forward algorithm in log
space, time-major. Span marginals and decoding at inference are in `twofold.crf`, which uses the parameters
that this class has trained.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from twofold.heads.contract import Head

FORBIDDEN = -1e4
"""Score of a transition that BIO does not allow."""


def allowed_transitions(labels: Sequence[str]) -> tuple[Tensor, Tensor]:
    """The transitions of BIO: ``I-X`` only after ``B-X`` or ``I-X``.

    Returns:
        transitions (K, K) True where tag j may follow tag i; starts (K,) True where a tag may come first.
    """
    transitions = [[not b.startswith("I-") or (a[2:] == b[2:] and a != "O") for b in labels] for a in labels]
    return torch.tensor(transitions), torch.tensor([not tag.startswith("I-") for tag in labels])


def allowed_tags(bits: Tensor, count: int) -> Tensor:
    """Sets of tags as booleans (B, W, K), from sets as bits (B, W), 1 << tag each; ``count`` is K."""
    return (bits.unsqueeze(2) >> torch.arange(count, device=bits.device)) & 1 == 1


class CRF(Head):
    """Conditional random field.

    Args:
        labels: names of the K tags, ``O``, ``B-X``, ``I-X``.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        super().__init__()
        self.labels = tuple(labels)
        count = len(labels)
        transitions, starts = allowed_transitions(labels)
        self.register_buffer("forbidden_transitions", ~transitions, persistent=False)
        self.register_buffer("forbidden_starts", ~starts, persistent=False)
        self.transitions = nn.Parameter(torch.empty(count, count).uniform_(-0.1, 0.1))
        self.start = nn.Parameter(torch.empty(count).uniform_(-0.1, 0.1))
        self.end = nn.Parameter(torch.empty(count).uniform_(-0.1, 0.1))

    def potentials(self) -> tuple[Tensor, Tensor, Tensor]:
        """Transitions (K, K) from-to, start (K,) and end (K,), forbidden ones at `FORBIDDEN`."""
        transitions = self.transitions.masked_fill(self.get_buffer("forbidden_transitions"), FORBIDDEN)
        return transitions, self.start.masked_fill(self.get_buffer("forbidden_starts"), FORBIDDEN), self.end

    def forward(self, emissions: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
        """Negative log-likelihood of tag sequences.

        Args:
            emissions: (B, W, K).
            targets: (B, W) valid BIO; anything where masked.
            mask: (B, W) True where a word is real; real words come first.

        Returns:
            (B,) nats per post; 0 for a post without words.
        """
        emissions = emissions.float()
        return (self._partition(emissions, mask) - self._score(emissions, targets, mask)) * mask.any(1)

    def partial(self, emissions: Tensor, allowed: Tensor, mask: Tensor) -> Tensor:
        """Negative log-likelihood of a partial annotation: of all tag sequences that it leaves open.

        Types that a corpus does not annotate are unknown there, not absent (Tsuboi et al. 2008, "Training
        conditional random fields using incomplete annotations", equation 3).

        Args:
            emissions: (B, W, K).
            allowed: (B, W, K) True where a tag is possible; some valid sequence must be possible.
            mask: (B, W) True where a word is real; real words come first.

        Returns:
            (B,) nats per post; 0 for a post without words.
        """
        emissions = emissions.float()
        possible = emissions.masked_fill(~allowed, FORBIDDEN)
        return (self._partition(emissions, mask) - self._partition(possible, mask)) * mask.any(1)

    def distillation(self, emissions: Tensor, marginals: Tensor, mask: Tensor) -> Tensor:
        """Cross-entropy of the tag marginals with those of a teacher.

        Posterior distillation of Wang et al. 2020, "Structure-Level Knowledge Distillation For Multilingual
        Sequence Labeling", without the teacher's entropy, which does not depend on the student.

        Args:
            emissions: (B, W, K).
            marginals: (B, W, K) of the teacher, summing to 1 over tags; anything where masked.
            mask: (B, W) True where a word is real; real words come first.

        Returns:
            (B,) nats per post; 0 for a post without words.
        """
        logs = self.log_marginals(emissions, mask)
        return -(marginals * logs).sum(2).masked_fill(~mask, 0.0).sum(1)

    def log_marginals(self, emissions: Tensor, mask: Tensor) -> Tensor:
        """Log probability of each tag at each word, (B, W, K), by forward-backward; anything where masked.

        Args:
            emissions: (B, W, K).
            mask: (B, W) True where a word is real; real words come first.
        """
        emissions = emissions.float()
        transitions, _, end = self.potentials()
        beta = [end.expand_as(emissions[:, 0])]  # (B, K) each
        for t in reversed(range(1, emissions.shape[1])):
            step = torch.logsumexp(transitions + (emissions[:, t] + beta[-1]).unsqueeze(1), 2)
            beta.append(torch.where(mask[:, t, None], step, end))
        alpha = self._forward_messages(emissions, mask)
        return torch.log_softmax(torch.stack(alpha, 1) + torch.stack(beta[::-1], 1), 2)

    def _score(self, emissions: Tensor, tags: Tensor, mask: Tensor) -> Tensor:
        transitions, start, end = self.potentials()
        tags = tags.masked_fill(~mask, 0)
        local = emissions.gather(2, tags.unsqueeze(2)).squeeze(2)
        steps = transitions[tags[:, :-1], tags[:, 1:]] * mask[:, 1:]
        last = tags.gather(1, (mask.sum(1, keepdim=True) - 1).clamp(min=0)).squeeze(1)
        return (local * mask).sum(1) + steps.sum(1) + start[tags[:, 0]] + end[last]

    def _partition(self, emissions: Tensor, mask: Tensor) -> Tensor:
        return torch.logsumexp(self._forward_messages(emissions, mask)[-1] + self.end, 1)

    def _forward_messages(self, emissions: Tensor, mask: Tensor) -> list[Tensor]:
        """Log weight (B, K) of all prefixes up to each word, by its tag; if masked, up to the last word."""
        transitions, start, _ = self.potentials()
        alpha = [start + emissions[:, 0]]
        for t in range(1, emissions.shape[1]):
            step = torch.logsumexp(alpha[-1].unsqueeze(2) + transitions, 1) + emissions[:, t]
            alpha.append(torch.where(mask[:, t, None], step, alpha[-1]))
        return alpha

    @torch.no_grad()
    def decode(self, emissions: Tensor, mask: Tensor) -> list[list[int]]:
        """Best tag sequence of each post (Viterbi).

        Args:
            emissions: (B, W, K).
            mask: (B, W) True where a word is real.

        Returns:
            One list of tag numbers per post, one number for each of its words.
        """
        transitions, start, end = self.potentials()
        score = start + emissions[:, 0].float()
        pointers = []
        for t in range(1, emissions.shape[1]):
            best, pointer = (score.unsqueeze(2) + transitions).max(1)
            score = torch.where(mask[:, t, None], best + emissions[:, t], score)
            pointers.append(pointer)
        last = (score + end).argmax(1)
        return [self._trace(last[b], pointers, b, int(n)) for b, n in enumerate(mask.sum(1))]

    @staticmethod
    def _trace(last: Tensor, pointers: list[Tensor], row: int, length: int) -> list[int]:
        if length == 0:
            return []
        path = [int(last)]
        for pointer in reversed(pointers[: length - 1]):
            path.append(int(pointer[row, path[-1]]))
        return path[::-1]
