"""`python -m scim NOUN VERB`: what an operator does. `python -m scim --help` lists it."""

import sys

try:
    from scim.operate.tool.main import main
except ModuleNotFoundError as error:
    if error.name != "click":
        raise
    print("The packages of requirements-operate.txt are not installed: use the Python in .venv.", file=sys.stderr)
    sys.exit(2)

if __name__ == "__main__":
    sys.exit(main())
