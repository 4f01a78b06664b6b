"""Bodies of the card minidriver interface over ``CardData``: what the Windows-named faces call.

Each checks its arguments by table before it looks for the card (``context.enter``), then does its work in one
transaction of the card and gives RSA numbers the byte order that Windows expects.
"""
