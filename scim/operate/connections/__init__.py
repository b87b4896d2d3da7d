"""What an operator does with connections: make, show, rotate, revoke, pause. Nothing is printed here."""
