"""A report written out: as a page, as Markdown, as LaTeX tables and macros."""
