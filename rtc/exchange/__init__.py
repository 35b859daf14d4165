"""Exchange with the reference code, both ways; and what was learned, shipped."""
