"""Who asks a person: pinentry's window, a program's own functions, the keypad of a reader. A terminal is in ``cli``."""
