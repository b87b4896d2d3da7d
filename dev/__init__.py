"""What runs the app on a developer's machine and in the tests; never deployed."""
