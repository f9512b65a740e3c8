"""Claims about ViTs and CNNs, judged by what was measured."""
