"""What is inside a network: attention, filters, receptive fields and class evidence, as figures with numbers.

`bench.inspection.gallery.inspect` writes a folder of figures, `bench.inspection.walkthrough.explain` a page
that follows one image through one or two networks. Nothing here trains a network or looks at a test split.
"""
