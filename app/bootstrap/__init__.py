"""The only package that knows every class. A process imports the half that it runs: `serving` or `background`."""
