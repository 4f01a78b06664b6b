"""Key storage providers of CNG: the one of smart cards, and the one that keeps nameless keys in memory."""
