"""The report as a page for people: one self-contained file."""
