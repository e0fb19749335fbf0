"""Sources on the witness stand: what a model says when pictures are exchanged, spoiled or taken away."""
