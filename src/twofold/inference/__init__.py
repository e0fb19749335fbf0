"""Inference with ONNX Runtime and NumPy: encode posts, tag entities, classify and extract relations."""
