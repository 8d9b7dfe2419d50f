"""One module a section of the report: it turns analysis into cells and tables."""
