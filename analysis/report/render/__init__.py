"""A document as a page, as Markdown, as LaTeX, and as files; nothing here knows a study."""
