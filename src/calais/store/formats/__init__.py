"""The formats of files with certificates: serialized stores, PKCS #7, PKCS #12, text."""
