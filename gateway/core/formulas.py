"""Text that goes into a spreadsheet must not be run there (OWASP, CSV injection); pure."""

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")  # how a cell begins that a spreadsheet would run


def harmless(text: str) -> str:
    """With a ' before it where a spreadsheet would take it for a formula."""
    return f"'{text}" if text.startswith(FORMULA) else text
