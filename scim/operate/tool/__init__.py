"""The command line: nothing outside this folder imports click, and nothing of the app imports this folder."""
