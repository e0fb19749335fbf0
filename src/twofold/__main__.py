"""``python -m twofold``: the command line where its script is not on the path."""

from twofold.cli.main import entry

if __name__ == "__main__":
    entry()
