"""The resource manager as programs see it: contexts, handles, transactions, waiting."""
