"""Results in the formats of other tools: Label Studio, brat, spaCy; CoNLL is written by `corpora.convert`.

It runs no model.
"""
