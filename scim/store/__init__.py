"""What is kept, in Table Storage: keys.py and shared_keys.py alone know row keys, table/ alone talks to the service."""
