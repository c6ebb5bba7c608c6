"""The one error a user of the export tool sees: one sentence that says what is wrong, where, and what to do."""


class Refused(Exception):
    """Raised for input that cannot be exported; its text is printed as it is and the tool ends with code 2."""


def first_line(error: BaseException) -> str:
    """The first line of a library's error, for the end of our own sentence."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
