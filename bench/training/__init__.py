"""Training: from the inputs of a job to a model."""
