"""The trained network in int8 in OpenVINO, quantised after training; images stay as they are."""

TITLE = "int8 in OpenVINO"
RUNTIME = "openvino"
