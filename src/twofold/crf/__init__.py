"""Linear-chain CRF over BIO tags in NumPy: Viterbi decoding, F1-optimal decoding, span marginals.

It does not know words, texts or models.
"""

from twofold.crf.bio import TagSpan, allowed_transitions
from twofold.crf.decoder import ChainDecoder, DecisionRule, best_disjoint_spans

__all__ = ["ChainDecoder", "DecisionRule", "TagSpan", "allowed_transitions", "best_disjoint_spans"]
