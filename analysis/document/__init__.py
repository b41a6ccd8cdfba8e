"""What a report is made of: texts, tables, figures, and how they look."""
