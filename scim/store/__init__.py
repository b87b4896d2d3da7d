"""Table Storage: rows.py alone knows row keys, gateway.py alone talks to the table; docs/architecture.md draws both."""
