"""`python -m errdetect` is `errdetect`."""

from errdetect.cli import main

__all__: list[str] = []

if __name__ == "__main__":
    main()
