"""Services without HTTP."""
