"""A document as a page, as Markdown, as LaTeX, and as files; independent of studies."""
