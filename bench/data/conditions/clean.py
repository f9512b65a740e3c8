"""The test images as they are."""

TITLE = "Clean"
