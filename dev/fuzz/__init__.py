"""Coverage-guided fuzzing of what reads a client's text: filters, paths, and bodies of PATCH and POST."""
