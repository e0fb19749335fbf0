"""Posts as inputs of a network: words, word pieces, entity markers, pictures, crops, word neighbours."""
