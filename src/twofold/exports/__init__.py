"""Writes results in the formats of other tools: Label Studio, brat, spaCy. `corpora.convert` writes CoNLL.

No model is run.
"""
