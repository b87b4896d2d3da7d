"""Who gets into the console, by which link, and what they did there."""
