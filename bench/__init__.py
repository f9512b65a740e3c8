"""VCBench: evidence for choosing between Vision Transformers and CNNs."""

__version__ = "0.2.0"
