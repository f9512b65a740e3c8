"""A trained run taken away: predictions for new images, and files for other programs."""
