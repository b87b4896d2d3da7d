"""The pages: a module for each part of the console, of functions from a Visit to an answer."""
