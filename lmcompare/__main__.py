"""``python -m lmcompare`` is the command ``lmcompare``."""

from lmcompare.cli.main import main

if __name__ == "__main__":
    main()
