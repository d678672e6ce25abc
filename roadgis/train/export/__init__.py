"""Export of a trained model: ONNX, quantization, weights for fine-tuning."""
