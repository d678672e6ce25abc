"""``python -m roadgis``."""

from roadgis.cli import main

if __name__ == "__main__":
    main()
