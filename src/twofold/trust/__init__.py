"""What makes a model's figures trustworthy: fitted after training, on data held out from it."""
