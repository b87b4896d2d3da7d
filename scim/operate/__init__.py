"""What an operator does. The functions are here; `tool/` alone prints, asks, and knows the command line."""
