"""HOW it is measured: one case in, one record out."""
