"""The bodies of CryptoAPI's functions, which its two faces share.

Checks run in the order handle, flags, arguments, state. ``codes`` says what a bad handle is answered with; where the
service-provider face has the provider handle and the other one has not, ``OWN`` stands for it.
"""
