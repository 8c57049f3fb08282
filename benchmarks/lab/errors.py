"""What the lab says when it cannot go on."""


class LabError(Exception):
    """A run ended early: the message says what failed, and where."""


class CannotStart(LabError):
    """This machine lacks what the lab needs: the message says what would mend it."""
