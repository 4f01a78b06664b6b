"""Text and DER forms of what certificates are made of."""
