"""HOW it is told: figures and Markdown from records."""
