"""The trained network in int8 in ONNX Runtime, quantised after training; images stay as they are."""

TITLE = "int8 in ONNX Runtime"
RUNTIME = "onnxruntime"
