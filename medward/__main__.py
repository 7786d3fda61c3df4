"""`python -m medward`: the command line, where its script is not on the path."""

from medward.cli import main

if __name__ == "__main__":
    main()
