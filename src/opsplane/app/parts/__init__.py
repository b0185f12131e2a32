"""One module for each role: what it serves and the duties beside it."""
