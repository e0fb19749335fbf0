"""Model cards: what a model was made of, how well it does and how far it can be trusted."""
