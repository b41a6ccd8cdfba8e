"""The report of a study: its sections, and HTML, Markdown, LaTeX, CSV, SVG and PDF from them."""
