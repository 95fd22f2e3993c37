"""`python -m fengsui`."""

from fengsui.cli import main

if __name__ == "__main__":
    main()
