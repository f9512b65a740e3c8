"""The report: figures, tables and a page made from the run store alone, without torch, data or weights."""
