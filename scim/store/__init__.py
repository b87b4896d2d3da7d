"""What is kept, in Table Storage: keys.py alone knows row keys, table/ alone talks to the service."""
