"""What runs a trained model without the training framework: pictures, pieces, decoding, sessions."""
