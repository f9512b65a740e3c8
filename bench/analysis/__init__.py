"""From the run store to tables and findings. Nothing here needs torch, a model or a dataset."""
