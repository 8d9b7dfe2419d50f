"""The report as one HTML file: the words of the Markdown templates, the cells of the same view."""
